//! A small disk that can be filled: a tmpfs in a mount namespace, for which nobody needs to be root.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Holds the namespace open until its standard input closes, as it does with the test.
const HOLD: &str = r#"mount -t tmpfs -o size=16m tmpfs "$1" && echo mounted && read -r _"#;

/// A disk of 16 MiB.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    holder: Child,
    place: PathBuf,
}

impl SmallDisk {
    /// Mounts it at a new folder, for those in its namespace only.
    pub(crate) fn mount(place: PathBuf) -> SmallDisk {
        fs::create_dir(&place).expect("a folder");
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--map-root-user", "sh", "-c", HOLD, "sh"]).arg(&place);
        let mut holder = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare, of util-linux");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().expect("its output")).read_line(&mut said).expect("its output");
        assert_eq!(said, "mounted\n", "the small disk cannot be mounted");
        SmallDisk { holder, place }
    }

    /// The process that holds its namespace.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// Where it is, for those in its namespace.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Leaves no room on it.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.outside("ballast")).expect("a file");
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    /// Makes room again.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.outside("ballast")).expect("a file to remove");
    }

    /// Copies a folder to where everybody sees it.
    pub(crate) fn copy(&self, name: &str, to: &Path) {
        let copied = Command::new("cp").arg("-r").arg(self.outside(name)).arg(to).status().expect("cp");
        assert!(copied.success(), "{name} cannot be copied from the small disk");
    }

    fn outside(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder()));
        root.join(self.place.strip_prefix("/").expect("an absolute path")).join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// A program in the namespace of `holder`: the process that is started becomes it.
pub(super) fn within(holder: u32, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &holder.to_string(), "--user", "--mount", "--preserve-credentials", "--", program]);
    command
}
