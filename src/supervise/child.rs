//! One process of the cluster as this one sees it: its lines, and its end.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

/// A line that a process has said.
#[derive(Debug)]
pub struct Line {
    /// The process.
    pub process: usize,
    /// The line.
    pub text: String,
}

/// A process of the cluster.
#[derive(Debug)]
pub struct Child {
    /// Which one.
    pub process: usize,
    running: Process,
    /// How it ended.
    pub end: Option<ExitStatus>,
}

impl Child {
    /// Starts a process, whose lines go to `lines`. It is in a process group of its own: what the terminal says to the group is
    /// passed on once, not heard twice.
    pub fn start(program: &Path, arguments: &[OsString], process: usize, lines: &Sender<Line>) -> io::Result<Child> {
        let mut command = Command::new(program);
        command.args(arguments).arg(format!("--process={process}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut running = command.spawn()?;
        if let Some(said) = running.stderr.take() {
            follow(process, said, lines.clone())?;
        }
        if let Some(said) = running.stdout.take() {
            follow(process, said, lines.clone())?;
        }
        Ok(Child { process, running, end: None })
    }

    /// Sees whether it has ended; true if it has only now.
    pub fn look(&mut self) -> bool {
        if self.end.is_none() {
            self.end = self.running.try_wait().ok().flatten();
            return self.end.is_some();
        }
        false
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        // A process that is not waited for yet keeps its id, so that no other can be meant.
        if self.end.is_none()
            && let Some(pid) = Pid::from_raw(self.running.id() as i32)
        {
            let _ = kill_process(pid, signal);
        }
    }
}

/// Nothing outlives who looks after it.
impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.running.wait();
    }
}

fn follow(process: usize, said: impl io::Read + Send + 'static, lines: Sender<Line>) -> io::Result<()> {
    let read = move || {
        for text in BufReader::new(said).lines().map_while(Result::ok) {
            if lines.send(Line { process, text }).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().name(format!("lines of {process}")).spawn(read).map(drop)
}

/// How a process ended, in words.
pub fn describe(end: ExitStatus) -> String {
    match (end.code(), end.signal()) {
        (Some(4), _) => "has lost a peer (4)".to_owned(),
        (Some(code), _) => format!("has ended with {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "has ended".to_owned(),
    }
}
