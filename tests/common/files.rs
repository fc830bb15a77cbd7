//! A directory of JSON lines as a log: written by `citystream simulate`, its ids read back independently.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use jiff::ToSpan;
use jiff::civil::DateTime;
use serde_json::Value;

use super::{Plan, python};

/// Starts the simulator writing into `dir` with these flags.
pub(crate) fn simulate(plan: &Plan, dir: &Path, flags: &[&str]) -> Child {
    simulate_to(plan, &format!("dir:{}", dir.display()), flags)
}

/// Starts the simulator with these flags.
pub(crate) fn simulate_to(plan: &Plan, to: &str, flags: &[&str]) -> Child {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_citystream"));
    command.args(["simulate", "--to", to]).args(flags);
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

/// Appends one ping out of order: the log's last one again, five minutes earlier.
pub(crate) fn add_an_earlier_ping(dir: &Path) {
    let path = dir.join("gps_data/0.jsonl");
    let log = std::fs::read_to_string(&path).expect("a log of pings");
    let valid = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let timed = valid.filter_map(|line| Some((line["value"]["timestamp"].as_str()?.parse::<DateTime>().ok()?, line)));
    let (time, mut line) = { timed }.next().expect("a ping");
    line["value"]["timestamp"] = (time - 5.minutes()).to_string().into();
    line["value"]["id"] = "00000000-0000-4000-8000-000000000001".into();
    let mut file = OpenOptions::new().append(true).open(&path).expect("a log of pings");
    writeln!(file, "{line}").expect("room for a line");
}
