//! `citystream launch`: the processes of a host come, go and come again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::common::json_log::JsonLog;

/// What is launched, its lines, and how it is ended whatever happens.
pub(crate) struct Launched {
    pub(crate) process: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Launched {
    pub(crate) fn start(mut command: Command) -> Launched {
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

/// Sends a signal to a process that was started here.
pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.expect("kill").success());
}

#[test]
fn a_lost_process_is_started_again_with_all_others_and_a_signal_drains_all() {
    let log = JsonLog::new();
    log.minute(0, 200);
    let plan = log.plan().flag("processes", "3");
    let mut launched = Launched::start(plan.command(&["launch", "--log-format", "json"]));
    launched.wait_for("\"records_committed\":1000");
    let before = launched.children();
    assert_eq!(before.len(), 3);
    signal(before[1], "KILL");
    let killed = Instant::now();
    launched.wait_for("was killed by signal 9: all start again now");
    log.minute(1, 100);
    launched.wait_for("\"records_committed\":500");
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    let after = launched.children();
    assert!(after.len() == 3 && after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
    signal(launched.process.id(), "TERM");
    let (code, said) = launched.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(after.iter().all(|id| !std::path::Path::new(&format!("/proc/{id}")).exists()), "all have ended");
}

#[test]
fn what_no_restart_mends_ends_it_and_nobody_outlives_it() {
    let log = JsonLog::new();
    log.minute(0, 10);
    let plan = log.plan().flag("processes", "3");
    let (code, said) = Launched::start(plan.command(&["launch", "--until-drained"])).end();
    assert_eq!(code, Some(0), "{said}");
    // Settings that the lake does not have are a mistake that no restart mends.
    let (code, said) = Launched::start(plan.command(&["launch", "--until-drained", "--lateness", "7m"])).end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("lateness: 10m there, 7m here") && !said.contains("all start again"), "{said}");

    let mut launched = Launched::start(plan.command(&["launch", "--log-format", "json"]));
    launched.wait_for("progress");
    let children = launched.children();
    launched.process.kill().expect("it runs");
    let deadline = Instant::now() + Duration::from_secs(15);
    let is_there = |id: &u32| std::path::Path::new(&format!("/proc/{id}/exe")).read_link().is_ok();
    while children.iter().any(is_there) {
        assert!(Instant::now() < deadline, "{children:?} outlive who looked after them");
        std::thread::sleep(Duration::from_millis(50));
    }
}
