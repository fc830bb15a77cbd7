//! Tells the program what it is made of: the commit and its date, and the versions that Cargo.lock names.
//!
//! The same tree gives the same text: no clock is read. Cargo runs this again when the commit or Cargo.lock has changed, not at
//! each build. `CITYSTREAM_COMMIT` says it where there is no git, as in an image.
#![allow(clippy::print_stdout)] // Reason: how Cargo is told.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CITYSTREAM_COMMIT");
    let commit = std::env::var("CITYSTREAM_COMMIT").ok().filter(|text| !text.is_empty()).or_else(commit);
    println!("cargo::rustc-env=CITYSTREAM_COMMIT={}", commit.as_deref().unwrap_or("unknown, built without git"));
    println!("cargo::rerun-if-changed=Cargo.lock");
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    for (variable, name) in [("CITYSTREAM_TIMELY", "timely"), ("CITYSTREAM_DIFFERENTIAL", "differential-dataflow")] {
        println!("cargo::rustc-env={variable}={}", locked(&lock, name).unwrap_or("unknown"));
    }
}

/// The commit that is checked out, and its date: `0123456789ab of 2026-11-25`.
fn commit() -> Option<String> {
    // A source tree within another project's repository has nothing to say.
    let root = git(&["rev-parse", "--show-toplevel"])?;
    if std::fs::canonicalize(root).ok()? != std::fs::canonicalize(".").ok()? {
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
