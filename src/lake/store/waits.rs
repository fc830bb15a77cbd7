//! Waiting for a store that fails for now, so that the outside can see that somebody waits.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Clock;
use crate::stopwatch::Stopwatch;

/// The longest time between two tries.
const LONGEST: Duration = Duration::from_secs(5);

/// Who waits for a store.
#[derive(Clone, Debug, Default)]
pub struct Waits(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: AtomicUsize,
    /// Runs while anybody waits.
    stopwatch: Stopwatch,
    retries: AtomicU64,
    /// What the store said last.
    why: Mutex<String>,
}

impl Waits {
    /// Whether anybody does.
    pub fn any(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }

    /// For how long somebody has waited, and what the store said last.
    pub fn current(&self) -> Option<(Duration, String)> {
        self.0.stopwatch.set(self.any());
        let time = self.0.stopwatch.running()?;
        Some((time, self.0.why.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    /// For how long anybody did, in all.
    pub fn total(&self) -> Duration {
        // Two that begin and end at once may have set it in the wrong order.
        self.0.stopwatch.set(self.any());
        self.0.stopwatch.total()
    }

    /// How often something was tried again.
    pub fn retries(&self) -> u64 {
        self.0.retries.load(Ordering::Relaxed)
    }

    /// One more waits; true if nobody did before.
    fn begin(&self) -> bool {
        let is_first = self.0.waiting.fetch_add(1, Ordering::Relaxed) == 0;
        self.0.stopwatch.set(true);
        is_first
    }

    /// One waits no more; true if nobody does now.
    fn end(&self) -> bool {
        let is_last = self.0.waiting.fetch_sub(1, Ordering::Relaxed) == 1;
        self.0.stopwatch.set(self.any());
        is_last
    }

    /// A way to wait, for the first time so long.
    pub(super) fn pause(&self, first: Duration, clock: Arc<dyn Clock>) -> Pause {
        Pause { next: first, waits: self.clone(), clock, waiting: false }
    }
}

/// Waits longer each time. The first of all that wait says why, the last that it is over: an outage is one line.
#[derive(Debug)]
pub struct Pause {
    next: Duration,
    waits: Waits,
    clock: Arc<dyn Clock>,
    waiting: bool,
}

impl Pause {
    /// Counts as waiting until it is dropped.
    pub fn begin(&mut self, why: &str) {
        why.clone_into(&mut self.waits.0.why.lock().unwrap_or_else(PoisonError::into_inner));
        if !std::mem::replace(&mut self.waiting, true) && self.waits.begin() {
            tracing::warn!("the lake's store: {why}; trying again until it does");
        }
    }

    /// Waits before another try.
    pub async fn wait(&mut self, why: &str) {
        self.begin(why);
        tracing::debug!("the lake's store: {why}; trying again in {:?}", self.next);
        self.clock.sleep(self.next).await;
        self.waits.0.retries.fetch_add(1, Ordering::Relaxed);
        self.next = (self.next * 2).min(LONGEST);
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if self.waiting && self.waits.end() {
            tracing::info!("the lake's store: nobody waits for it any more");
        }
    }
}
