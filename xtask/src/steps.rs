//! The steps of which provisioning is made.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Removes a folder, if it is there.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Runs a program that provisions something, and says how long it took.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    eprintln!("xtask: provisioning {what}");
    let began = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    // What it says is progress: standard output belongs to the results of xtask.
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{program} could not provision {what}: {status}");
    }
    eprintln!("xtask: {what}: {} s", began.elapsed().as_secs());
    Ok(())
}
