//! How fast files are read and made: at most a quarter of a core, and not while others need it more.

use std::time::{Duration, Instant};

use super::TidyError;

/// For each time that work takes, so many times as long a rest follows.
const REST: u32 = 3;
/// How long to wait where others need the machine.
const WAIT: Duration = Duration::from_millis(200);

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// Yes, and as fast as it goes.
    AtOnce,
    /// Yes, beside others.
    Go,
    /// Not now.
    Wait,
    /// No more.
    End,
}

/// See the module.
pub struct Pace<'a> {
    now: &'a dyn Fn() -> Now,
    since: Instant,
}

impl<'a> Pace<'a> {
    /// Beside others, who are asked before each step.
    pub fn beside(now: &'a dyn Fn() -> Now) -> Pace<'a> {
        Pace { now, since: Instant::now() }
    }

    /// As fast as it goes.
    pub fn alone() -> Pace<'static> {
        Pace { now: &|| Now::AtOnce, since: Instant::now() }
    }

    /// A step begins.
    pub fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// A step of some milliseconds has been done.
    pub fn step(&mut self) -> Result<(), TidyError> {
        if (self.now)() != Now::AtOnce {
            std::thread::sleep(self.since.elapsed() * REST);
        }
        loop {
            match (self.now)() {
                Now::AtOnce | Now::Go => break,
                Now::Wait => std::thread::sleep(WAIT),
                Now::End => return Err(TidyError::Ended),
            }
        }
        self.since = Instant::now();
        Ok(())
    }
}
