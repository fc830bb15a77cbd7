//! `citystream launch` as a process: its lines as they come, the processes that it looks after.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::Plan;
use super::cluster::hostfile;

/// What is launched, its lines, and how it is ended whatever happens.
pub(crate) struct Launched {
    pub(crate) process: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Launched {
    /// Launches `processes` processes, with these flags and the plan's settings.
    pub(crate) fn start(plan: &Plan, processes: usize, flags: &[&str]) -> Launched {
        let mut command = plan.command(&["launch"]);
        command.args(flags).args(["-n", &processes.to_string()]);
        if processes > 1 {
            command.arg("-h").arg(hostfile(plan, processes));
        }
        let mut process = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().expect("the program");
        let (said, lines) = channel();
        let stderr = process.stderr.take().expect("piped");
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| drop(said.send(line)));
        });
        Launched { process, lines, seen: Vec::new() }
    }

    /// The processes that it looks after.
    pub(crate) fn children(&self) -> Vec<u32> {
        let of = format!("/proc/{0}/task/{0}/children", self.process.id());
        let ids = std::fs::read_to_string(of).unwrap_or_default();
        ids.split_whitespace().filter_map(|id| id.parse().ok()).collect()
    }

    /// Reads lines up to one that holds a text.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no {text:?} in {:#?}", self.seen));
            self.seen.push(line);
            if self.seen.last().is_some_and(|line| line.contains(text)) {
                return;
            }
        }
    }

    /// Its exit code, and all that it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let code = self.process.wait().expect("it was started").code();
        let rest: Vec<String> = self.lines.iter().collect();
        self.seen.extend(rest);
        (code, std::mem::take(&mut self.seen).join("\n"))
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
