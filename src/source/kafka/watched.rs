//! The partitions whose ends are asked for: what the threads that ask share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use citystream_dataflows::time::bindings::Partition;

use super::super::ends::{End, Ends};

/// How often each leader is asked: shorter than the default epoch of 250 ms.
pub(super) const EVERY: Duration = Duration::from_millis(200);

/// What the threads share.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) wake: Condvar,
}

/// What is known.
#[derive(Default)]
pub(super) struct State {
    pub(super) watched: BTreeMap<Partition, Ends>,
    pub(super) leaders: BTreeMap<Partition, i32>,
    /// Leaders that a thread asks.
    pub(super) asked: BTreeSet<i32>,
    /// A leader did not answer: perhaps it leads no more.
    pub(super) doubt: bool,
    pub(super) stop: bool,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits at most `time`, until there is an end to it or something else changes.
    pub(super) fn wait(&self, time: Duration, is_changed: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.state();
        let waited = self.wake.wait_timeout_while(state, time, |s| !s.stop && !is_changed(s));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// What a leader is to be asked about now; `None` ends its thread.
    pub(super) fn led_by(&self, leader: i32) -> Option<Vec<Partition>> {
        let mut state = self.state();
        let led = state.watched.keys().filter(|p| state.leaders.get(p) == Some(&leader)).copied().collect::<Vec<_>>();
        if state.stop || led.is_empty() {
            state.asked.remove(&leader);
            return None;
        }
        Some(led)
    }

    /// Takes answers.
    pub(super) fn tell(&self, ends: impl Iterator<Item = (Partition, End)>) {
        let mut state = self.state();
        for (partition, end) in ends {
            state.watched.entry(partition).or_default().tell(end);
        }
    }

    /// Waits until a leader is to be asked again.
    pub(super) fn pause(&self) {
        drop(self.wait(EVERY, |_| false));
    }

    /// A leader did not answer.
    pub(super) fn doubt(&self) {
        self.state().doubt = true;
    }
}
