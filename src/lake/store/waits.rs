//! Waiting for a store that fails for now, so that the outside can see that somebody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The longest time between two tries.
const LONGEST: Duration = Duration::from_secs(5);

/// How many wait for a store.
#[derive(Clone, Debug, Default)]
pub struct Waits(Arc<AtomicUsize>);

impl Waits {
    /// Whether anybody does.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// A way to wait, for the first time so long.
    pub(super) fn pause(&self, first: Duration) -> Pause {
        Pause { next: first, waits: self.clone(), waiting: false }
    }
}

/// Waits longer each time. The first of all that wait says why, the last that it is over: an outage is one line.
#[derive(Debug)]
pub struct Pause {
    next: Duration,
    waits: Waits,
    waiting: bool,
}

impl Pause {
    /// Counts as waiting until it is dropped.
    pub fn begin(&mut self, why: &str) {
        if !std::mem::replace(&mut self.waiting, true) && self.waits.0.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("the lake's store: {why}; trying again until it does");
        }
    }

    /// Waits before another try.
    pub async fn wait(&mut self, why: &str) {
        self.begin(why);
        tracing::debug!("the lake's store: {why}; trying again in {:?}", self.next);
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(LONGEST);
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if self.waiting && self.waits.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            tracing::info!("the lake's store: nobody waits for it any more");
        }
    }
}
