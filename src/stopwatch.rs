//! For how long something has been so, in all and now: set by whoever knows, read by whoever asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Runs while something is so.
#[derive(Debug)]
pub struct Stopwatch {
    made: Instant,
    /// Microseconds after `made`; 0 while it stands.
    since: AtomicU64,
    /// Microseconds of all times that are over.
    total: AtomicU64,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Stopwatch { made: Instant::now(), since: AtomicU64::new(0), total: AtomicU64::new(0) }
    }
}

impl Stopwatch {
    /// It is so now, or is not.
    pub fn set(&self, is_so: bool) {
        if is_so == (self.since.load(Relaxed) != 0) {
            return;
        }
        let now = self.now();
        if is_so {
            // Who was faster has set it to the same.
            let _ = self.since.compare_exchange(0, now, Relaxed, Relaxed);
        } else {
            match self.since.swap(0, Relaxed) {
                0 => {}
                since => drop(self.total.fetch_add(now.saturating_sub(since), Relaxed)),
            }
        }
    }

    /// For how long it has been so without a break.
    pub fn running(&self) -> Option<Duration> {
        let since = self.since.load(Relaxed);
        (since != 0).then(|| Duration::from_micros(self.now().saturating_sub(since)))
    }

    /// For how long it has been so in all.
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.total.load(Relaxed)) + self.running().unwrap_or_default()
    }

    fn now(&self) -> u64 {
        (self.made.elapsed().as_micros() as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_from_the_first_yes_to_the_first_no() {
        let (watch, nap) = (Stopwatch::default(), Duration::from_millis(20));
        assert_eq!((watch.running(), watch.total()), (None, Duration::ZERO));
        watch.set(false);
        watch.set(true);
        std::thread::sleep(nap);
        watch.set(true);
        assert!(watch.running().is_some_and(|time| time >= nap) && watch.total() >= nap);
        watch.set(false);
        let total = watch.total();
        std::thread::sleep(nap);
        assert!(total >= nap && watch.total() == total && watch.running().is_none());
        watch.set(true);
        std::thread::sleep(nap);
        assert!(watch.total() >= total + nap, "times add up");
    }
}
