//! The program as processes: started, stopped by signals to their ids, their ends awaited with a deadline.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use xtask::process::free_ports;

use super::Plan;

/// Longer than anything here takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(180);

/// Processes of one run.
#[derive(Debug)]
pub(crate) struct Cluster {
    processes: Vec<Process>,
    shape: String,
}

#[derive(Debug)]
struct Process {
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Cluster {
    /// Starts them; several get a hostfile with free ports.
    pub(crate) fn start(plan: &Plan, processes: usize, workers: usize, flags: &[&str]) -> Cluster {
        let hostfile = (processes > 1).then(|| hostfile(plan, processes));
        let shape = format!("{processes} x {workers}");
        let start = |index: usize| {
            let mut command = plan.command(&["run"]);
            command.args(flags).args(["-w", &workers.to_string()]);
            if let Some(hostfile) = &hostfile {
                command.args(["-n", &processes.to_string(), "-p", &index.to_string(), "-h"]).arg(hostfile);
            }
            Process::start(command, plan.fresh_path(&format!("process-{index}.log")))
        };
        Cluster { processes: (0..processes).map(start).collect(), shape }
    }

    /// Starts a process of one worker for each of these addresses, where it serves its health.
    pub(crate) fn listening(plan: &Plan, addresses: &[String]) -> Cluster {
        let hostfile = hostfile(plan, addresses.len());
        let commands = addresses.iter().enumerate().map(|(index, address)| {
            let mut command = plan.command(&["run"]);
            command.args(["-n", &addresses.len().to_string(), "-p", &index.to_string(), "-h"]).arg(&hostfile);
            command.arg(format!("--listen={address}"));
            command
        });
        Cluster::of(plan, commands.collect())
    }

    /// Starts these commands.
    pub(crate) fn of(plan: &Plan, commands: Vec<Command>) -> Cluster {
        let shape = format!("{} commands", commands.len());
        let start = |command| Process::start(command, plan.fresh_path("command.log"));
        Cluster { processes: commands.into_iter().map(start).collect(), shape }
    }

    /// How many processes there are.
    pub(crate) fn len(&self) -> usize {
        self.processes.len()
    }

    /// The process id of one.
    pub(crate) fn pid(&self, index: usize) -> u32 {
        self.processes[index].child.id()
    }

    /// Sends a signal (`INT`, `TERM`, `KILL`, `STOP`, `CONT`) to one that has not ended.
    pub(crate) fn signal(&mut self, index: usize, signal: &str) {
        let process = &mut self.processes[index];
        if process.poll().is_none() {
            send(process.child.id(), signal);
        }
    }

    /// Sends a signal to all.
    pub(crate) fn signal_all(&mut self, signal: &str) {
        (0..self.len()).for_each(|index| self.signal(index, signal));
    }

    /// Whether all go on.
    pub(crate) fn running(&mut self) -> bool {
        self.processes.iter_mut().all(|process| process.poll().is_none())
    }

    /// Waits for the end of all; gives their exit codes, -9 for one that was killed.
    pub(crate) fn wait(&mut self, limit: Duration) -> Vec<i32> {
        let deadline = Instant::now() + limit;
        while self.processes.iter_mut().any(|process| process.poll().is_none()) {
            assert!(Instant::now() < deadline, "{} processes go on after {} s", self.shape, limit.as_secs());
            sleep(Duration::from_millis(50));
        }
        self.processes.iter().filter_map(|process| process.ended).map(code).collect()
    }

    /// Asks one to end (SIGTERM) and waits for that; its exit code, and how long it took.
    pub(crate) fn terminate(&mut self, index: usize, limit: Duration) -> (i32, Duration) {
        self.signal(index, "TERM");
        self.wait_one(index, limit)
    }

    /// Waits for the end of one; its exit code, and how long it took.
    pub(crate) fn wait_one(&mut self, index: usize, limit: Duration) -> (i32, Duration) {
        let (began, mut ended) = (Instant::now(), None);
        super::wait_until("it has ended", limit, || {
            ended = self.processes[index].poll();
            ended.is_some()
        });
        (ended.map_or(-1, code), began.elapsed())
    }

    /// Waits for the end of all, which is to be a success.
    pub(crate) fn expect_success(mut self) {
        let codes = self.wait(LONG);
        assert!(codes.iter().all(|&code| code == 0), "exit codes of {}: {codes:?}", self.shape);
    }

    /// Ctrl-C: drain, commit, 0.
    pub(crate) fn interrupt(mut self) {
        self.signal_all("INT");
        self.expect_success();
    }

    /// What one said on its standard error.
    pub(crate) fn said(&self, index: usize) -> String {
        std::fs::read_to_string(&self.processes[index].log).unwrap_or_default()
    }

    /// The most memory that one has had resident, in bytes.
    pub(crate) fn peak_memory(&self, index: usize) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid(index))).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.expect("a process that runs") * 1024
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in &mut self.processes {
            if process.poll().is_none() {
                let _ = process.child.kill();
                let _ = process.child.wait();
            }
        }
        if std::thread::panicking() {
            print!("{}", self.ends_of_logs());
        }
    }
}

impl Cluster {
    fn ends_of_logs(&self) -> String {
        let mut text = String::new();
        for (index, process) in self.processes.iter().enumerate() {
            let log = std::fs::read_to_string(&process.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let _ = writeln!(text, "--- process {index} of {}, {:?}:", self.shape, process.ended);
            for line in &lines[lines.len().saturating_sub(40)..] {
                let _ = writeln!(text, "    {line}");
            }
        }
        text
    }
}

impl Process {
    fn start(mut command: Command, log: PathBuf) -> Process {
        let file = File::create(&log).expect("a log");
        let out = file.try_clone().expect("a log");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(file).spawn().expect("the program starts");
        Process { child, log, ended: None }
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child of ours");
        }
        self.ended
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
}

/// Sends a signal to a process that this test started.
pub(crate) fn send(pid: u32, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().expect("kill");
    assert!(status.success(), "cannot send {signal} to {pid}");
}

/// A hostfile of free ports: tests run side by side, each on its own.
pub(super) fn hostfile(plan: &Plan, processes: usize) -> PathBuf {
    let ports = free_ports::<8>().expect("free ports");
    let lines: String = ports.iter().take(processes).map(|port| format!("127.0.0.1:{port}\n")).collect();
    let path = plan.fresh_path("hosts");
    std::fs::write(&path, lines).expect("a hostfile");
    path
}
