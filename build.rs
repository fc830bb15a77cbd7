//! Tells the program what it is made of: the commit and its date, and the versions that Cargo.lock names; and packs the
//! files of the page.
//!
//! The same tree gives the same text: no clock is read. Cargo runs this again when the commit or Cargo.lock has changed, not at
//! each build. `CITYSTREAM_COMMIT` says it where there is no git, as in an image.
#![allow(clippy::print_stdout)] // Reason: how Cargo is told.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CITYSTREAM_COMMIT");
    let commit = std::env::var("CITYSTREAM_COMMIT").ok().filter(|text| !text.is_empty()).or_else(commit);
    println!("cargo::rustc-env=CITYSTREAM_COMMIT={}", commit.as_deref().unwrap_or("unknown, built without git"));
    println!("cargo::rerun-if-changed=Cargo.lock");
    let lock = fs::read_to_string("Cargo.lock").unwrap_or_default();
    for (variable, name) in [("CITYSTREAM_TIMELY", "timely"), ("CITYSTREAM_DIFFERENTIAL", "differential-dataflow")] {
        println!("cargo::rustc-env={variable}={}", locked(&lock, name).unwrap_or("unknown"));
    }
    println!("cargo::rerun-if-changed=src/page/assets");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    pack(Path::new("src/page/assets"), &out.join("assets"))
}

/// The files of a folder and of those in it, as `NAME.gz`.
fn pack(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            pack(&entry.path(), &to.join(name))?;
            continue;
        }
        let packed = fs::File::create(to.join(format!("{}.gz", name.to_string_lossy())))?;
        let mut packed = GzEncoder::new(packed, Compression::best());
        packed.write_all(&fs::read(entry.path())?)?;
        packed.finish()?;
    }
    Ok(())
}

/// The commit that is checked out, and its date: `0123456789ab of 2026-11-25`.
fn commit() -> Option<String> {
    // A source tree within another project's repository has nothing to say.
    let root = git(&["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(root).ok()? != fs::canonicalize(".").ok()? {
        return None;
    }
    // Both change with the commit that is checked out, and with nothing else.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).exists());
        path.iter().for_each(|path| println!("cargo::rerun-if-changed={path}"));
    }
    git(&["log", "-1", "--abbrev=12", "--format=%h of %cs"])
}

/// What git says in a line; `None` where there is no git or no repository.
fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The version of a package in Cargo.lock.
fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let package = lock.split("[[package]]").find(|package| package.contains(&format!("\nname = \"{name}\"\n")))?;
    package.split("version = \"").nth(1)?.split('"').next()
}
