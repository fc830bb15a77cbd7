//! Processes of a cluster that run on this host: started together, and all of them again when one is lost.
//!
//! Timely's membership is fixed, so a lost process ends the run of all; whoever is on other hosts does the same there, and
//! they meet again. What cannot mend itself ends it.

mod backoff;
mod child;
mod here;

pub use child::Line;
pub use here::here;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::config::RESTARTS;
use crate::error::{INTERRUPTED, RunError};
use backoff::Backoff;
use child::{Child, describe};

/// How often it is looked how processes are.
const LOOK: Duration = Duration::from_millis(20);
/// How long those that are left may take to see that one is lost.
const NOTICE: Duration = Duration::from_secs(3);
/// How long those that were asked to end may take: they give up by themselves after 9 s.
const PATIENCE: Duration = Duration::from_millis(9500);
/// A process that has run so long was of use, where no commit can be seen.
const OF_USE: Duration = Duration::from_secs(60);

/// What is to run.
#[derive(Debug)]
pub struct Processes {
    /// The program.
    pub program: PathBuf,
    /// The processes of this host, each with its arguments.
    pub here: Vec<(usize, Vec<OsString>)>,
    /// Whether they end by themselves; others end in order only where somebody asks one of them to.
    pub finite: bool,
}

/// What is seen from the outside.
pub trait Watch {
    /// Signals that this process was sent so far.
    fn signals(&self) -> u32;
    /// Takes a line of a process; true if it tells of a commit that has landed.
    fn line(&mut self, line: &Line) -> bool;
    /// Takes what happened to processes.
    fn event(&mut self, text: &str);
}

/// Runs processes to their orderly end, or to one that cannot mend itself; gives the exit code.
///
/// # Errors
/// A process that cannot be started.
pub fn supervise(processes: &Processes, watch: &mut impl Watch) -> Result<i32, RunError> {
    let mut backoff = Backoff::default();
    let mut restarts = 0;
    loop {
        let mut attempt = Attempt::start(processes, restarts)?;
        let end = attempt.follow(watch, processes.finite);
        let landed = attempt.has_landed();
        drop(attempt);
        restarts += 1;
        match end {
            End::For(code) => return Ok(code),
            End::Lost(what) => {
                let pause = backoff.after(landed);
                let when = if pause.is_zero() { "now".to_owned() } else { format!("in {} s", pause.as_secs()) };
                watch.event(&format!("{what}: all start again {when}"));
                if !rest(pause, watch) {
                    return Ok(0);
                }
            }
        }
    }
}

/// Waits; false if asked to end.
fn rest(pause: Duration, watch: &impl Watch) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < pause && watch.signals() == 0 {
        thread::sleep(LOOK);
    }
    watch.signals() == 0
}

/// How an attempt ended.
enum End {
    /// For good, with this exit code.
    For(i32),
    /// With the loss of a process.
    Lost(String),
}

/// An end that was none in order.
struct Loss {
    /// Whether it is more than what the loss of another brings with it.
    is_cause: bool,
    what: String,
}

/// From the start of all processes of this host to the end of the last.
struct Attempt {
    children: Vec<Child>,
    lines: Receiver<Line>,
    begun: Instant,
    landed: bool,
    /// The first end that was none in order.
    lost: Option<Loss>,
    /// An exit code that no restart mends.
    for_good: Option<i32>,
    /// When those that are left are killed.
    deadline: Option<Instant>,
    /// Signals passed on: also those from before it began, so that none is lost between two attempts.
    heard: u32,
}

impl Attempt {
    fn start(processes: &Processes, restarts: u32) -> Result<Attempt, RunError> {
        let (said, lines) = channel();
        let start = |(process, arguments): &(usize, Vec<OsString>)| {
            let mut arguments = arguments.clone();
            arguments.push(format!("--{RESTARTS}={restarts}").into());
            Child::start(&processes.program, &arguments, *process, &said)
        };
        let children: Result<_, _> = processes.here.iter().map(start).collect();
        let children = children.map_err(|error| RunError::Failed(format!("cannot start a process: {error}")))?;
        let begun = Instant::now();
        Ok(Attempt { children, lines, begun, landed: false, lost: None, for_good: None, deadline: None, heard: 0 })
    }

    /// Whether it was of use.
    fn has_landed(&self) -> bool {
        self.landed || self.begun.elapsed() > OF_USE
    }

    fn follow(&mut self, watch: &mut impl Watch, finite: bool) -> End {
        while self.children.iter().any(|child| child.end.is_none()) {
            self.pass_on(watch);
            self.hear(watch);
            self.look();
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.children.iter().for_each(|child| child.signal(Signal::KILL));
            }
            thread::sleep(LOOK);
        }
        // What was said last may still be on its way.
        thread::sleep(LOOK);
        self.hear(watch);
        match (self.for_good, self.lost.take()) {
            (Some(code), _) => End::For(code),
            // A process of another host was: it drains all, and is to be waited for.
            (None, None) if !finite && self.heard == 0 => End::Lost("asked to end elsewhere".to_owned()),
            (None, None) => End::For(0),
            (None, Some(Loss { what, .. })) if self.heard > 0 => {
                watch.event(&format!("{what}; nothing starts again, as all were asked to end"));
                End::For(if self.heard > 1 { INTERRUPTED } else { 0 })
            }
            (None, Some(Loss { what, .. })) => End::Lost(what),
        }
    }

    /// Passes signals on, each once.
    fn pass_on(&mut self, watch: &impl Watch) {
        while self.heard < watch.signals() {
            self.heard += 1;
            self.children.iter().for_each(|child| child.signal(Signal::TERM));
            self.deadline = Some(Instant::now() + PATIENCE);
        }
    }

    fn hear(&mut self, watch: &mut impl Watch) {
        for line in self.lines.try_iter() {
            self.landed |= watch.line(&line);
        }
    }

    /// Sees who has ended, and how.
    fn look(&mut self) {
        for at in 0..self.children.len() {
            if !self.children[at].look() {
                continue;
            }
            let child = &self.children[at];
            let Some(end) = child.end.filter(|end| !end.success()) else { continue };
            let loss =
                Loss { is_cause: end.code() != Some(4), what: format!("process {} {}", child.process, describe(end)) };
            // Who has lost a peer may be seen before that peer.
            if self.lost.as_ref().is_none_or(|held| loss.is_cause && !held.is_cause) {
                self.lost = Some(loss);
            }
            let mut patience = NOTICE;
            if let Some(code @ (2 | 3 | 5 | 6 | 7)) = end.code() {
                self.for_good.get_or_insert(code);
                self.children.iter().for_each(|child| child.signal(Signal::TERM));
                patience = PATIENCE;
            }
            self.deadline.get_or_insert(Instant::now() + patience);
        }
    }
}
