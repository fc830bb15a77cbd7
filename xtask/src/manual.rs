//! `cargo xtask stack`: the servers by hand. They go on until `down`, which ends them by their process ids.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use xtask::Stack;
use xtask::process::Server;

use crate::test::{prepare, start};

/// Provisions without starting anything.
pub(crate) fn provision() -> Result<ExitCode> {
    prepare(&Stack::locate()?, false)?;
    Ok(ExitCode::SUCCESS)
}

fn dir(stack: &Stack) -> PathBuf {
    stack.dir().join("run/manual")
}

/// Starts the servers and prints how to reach them, as shell exports.
pub(crate) fn up() -> Result<ExitCode> {
    let stack = Stack::locate()?;
    let dir = dir(&stack);
    if dir.join("pids").exists() {
        bail!("the stack is up already; `cargo xtask stack env` says how to reach it, `down` ends it");
    }
    prepare(&stack, false)?;
    fs::create_dir_all(&dir)?;
    let (servers, environment) = start(&stack, &dir, Server::detached)?;
    let pids: String = servers.iter().map(|server| format!("{}\n", server.pid())).collect();
    fs::write(dir.join("pids"), pids)?;
    let exports: String = environment.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    fs::write(dir.join("env"), exports)?;
    env()
}

/// Prints how to reach the servers that `up` started.
pub(crate) fn env() -> Result<ExitCode> {
    let path = dir(&Stack::locate()?).join("env");
    let text = fs::read_to_string(path).context("the stack is not up; `cargo xtask stack up` starts it")?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// Ends the servers that `up` started and removes their files.
pub(crate) fn down() -> Result<ExitCode> {
    let stack = Stack::locate()?;
    let dir = dir(&stack);
    let pids = fs::read_to_string(dir.join("pids")).context("the stack is not up")?;
    for pid in pids.split_whitespace().filter(|pid| ours(&stack, pid)) {
        Command::new("kill").arg(pid).status()?;
        for _ in 0..150 {
            if !ours(&stack, pid) {
                break;
            }
            sleep(Duration::from_millis(100));
        }
    }
    fs::remove_dir_all(&dir)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a process id still belongs to a server of this stack: ids are used again.
fn ours(stack: &Stack, pid: &str) -> bool {
    let command = fs::read(Path::new("/proc").join(pid).join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).contains(&*stack.dir().to_string_lossy())
}
