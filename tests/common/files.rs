//! A directory of JSON lines as a log: written by `citystream simulate`, its ids read back independently.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::{Plan, python};

/// Starts the simulator writing into `dir` with these flags.
pub(crate) fn simulate(plan: &Plan, dir: &Path, flags: &[&str]) -> Child {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_citystream"));
    command.args(["simulate", "--to", &format!("dir:{}", dir.display())]).args(flags);
    command.current_dir(plan.dir()).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().expect("the simulator starts")
}

/// The ids of all records in `dir`, as a file for [`super::Lake::contents_with`].
pub(crate) fn ids(plan: &Plan, dir: &Path) -> PathBuf {
    let path = plan.fresh_path("ids");
    let text = python::run("ids_of_files.py", &[dir.to_str().expect("a path")]);
    std::fs::write(&path, text).expect("a file of ids");
    path
}
