//! Where the stack lives: `target/stack/` unless `CITYSTREAM_STACK_DIR` says otherwise.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder that holds the provisioned programs and the working files of running servers.
#[derive(Clone, Debug)]
pub struct Stack {
    dir: PathBuf,
}

impl Stack {
    /// The stack of this workspace, or the one that `CITYSTREAM_STACK_DIR` names.
    pub fn locate() -> Result<Stack> {
        let dir = match env::var_os("CITYSTREAM_STACK_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => match env::var_os("CARGO_TARGET_DIR") {
                Some(target) => PathBuf::from(target).join("stack"),
                None => workspace().join("target/stack"),
            },
        };
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("cannot resolve {}", dir.display()))?;
        Ok(Stack { dir })
    }

    /// The folder itself, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A provisioned program.
    pub fn bin(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    /// Where DuckDB with its extensions is.
    pub fn extensions(&self) -> PathBuf {
        self.dir.join("extensions")
    }

    /// Where Spark's Python packages are.
    pub fn spark(&self) -> PathBuf {
        self.dir.join("spark")
    }

    /// The Python interpreter that has the pinned packages.
    pub fn python(&self) -> PathBuf {
        self.dir.join("venv/bin/python")
    }

    /// A fresh folder for the servers of this process; removes those of processes that have ended.
    pub fn fresh_run_dir(&self) -> Result<PathBuf> {
        let runs = self.dir.join("run");
        std::fs::create_dir_all(&runs)?;
        for entry in std::fs::read_dir(&runs)?.flatten() {
            let name = entry.file_name();
            let pid = name.to_string_lossy().parse::<u32>().ok();
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let dir = runs.join(std::process::id().to_string());
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}
