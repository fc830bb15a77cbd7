//! When to give a sign of life, and how long each peer has given none.

use std::time::{Duration, Instant};

/// How soon a peer that stands still is noticed.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    /// The time between two signs of life.
    pub beat: Duration,
    /// A peer that gives none for so long is lost; a worker that does not turn for so long is named.
    pub silence: Duration,
}

impl Default for Liveness {
    fn default() -> Self {
        Liveness { beat: Duration::from_secs(1), silence: Duration::from_secs(10) }
    }
}

/// Time as this process has lived it: that in which it stood still itself makes nobody silent.
#[derive(Debug)]
pub(crate) struct Pulse {
    liveness: Liveness,
    last: Instant,
    /// Since the last beat.
    passed: Duration,
    /// By process, since the last sign of life.
    silent: Vec<Duration>,
}

impl Pulse {
    pub(crate) fn new(liveness: Liveness, processes: usize, now: Instant) -> Self {
        Pulse { liveness, last: now, passed: Duration::ZERO, silent: vec![Duration::ZERO; processes] }
    }

    /// Lets time pass; how much, and whether a beat is due.
    pub(crate) fn pass(&mut self, now: Instant) -> (Duration, bool) {
        let passed = now.duration_since(self.last).min(self.liveness.beat * 2);
        self.last = now;
        self.silent.iter_mut().for_each(|silent| *silent += passed);
        self.passed += passed;
        let is_due = self.passed >= self.liveness.beat;
        if is_due {
            self.passed = Duration::ZERO;
        }
        (passed, is_due)
    }

    /// A process has given a sign of life.
    pub(crate) fn heard(&mut self, process: usize) {
        self.silent[process] = Duration::ZERO;
    }

    /// For how long a process has been silent.
    pub(crate) fn silence(&self, process: usize) -> Duration {
        self.silent[process]
    }

    /// Whether a process has been silent for too long.
    pub(crate) fn is_silent(&self, process: usize) -> bool {
        self.silent[process] >= self.liveness.silence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_a_peer_is_silent_after_its_time_unless_this_process_stood_still() {
        let (liveness, mut now) = (Liveness::default(), Instant::now());
        let mut pulse = Pulse::new(liveness, 2, now);
        now += Duration::from_secs(3600);
        assert_eq!(pulse.pass(now), (Duration::from_secs(2), true));
        assert!(!pulse.is_silent(1), "an hour in which nobody looked");
        let mut beats = 0;
        for _ in 0..36 {
            now += Duration::from_millis(250);
            beats += u32::from(pulse.pass(now).1);
        }
        assert_eq!(beats, 9);
        assert!(pulse.is_silent(1));
        pulse.heard(1);
        assert!(!pulse.is_silent(1) && pulse.is_silent(0));
    }
}
