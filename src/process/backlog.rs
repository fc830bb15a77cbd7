//! Whether a process reads what came long ago: then it is to have the machine for itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::metrics::Metrics;

/// What is read in this time is no backlog.
const USUAL: Duration = Duration::from_secs(10);
/// How often to look.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub struct Backlog {
    metrics: Arc<Metrics>,
    seen: Mutex<Seen>,
}

/// What was seen at the last look.
struct Seen {
    at: Instant,
    passed: u64,
    is_there: bool,
}

impl Backlog {
    /// Of the process that these metrics are of.
    pub fn new(metrics: Arc<Metrics>) -> Backlog {
        let seen = Seen { at: Instant::now(), passed: metrics.passed(), is_there: false };
        Backlog { metrics, seen: Mutex::new(seen) }
    }

    /// Whether more is left to read than is read in ten seconds. Where nothing is read nobody needs the machine.
    pub fn is_there(&self, now: Instant) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let time = now.saturating_duration_since(seen.at);
        if time >= LOOK {
            let passed = self.metrics.passed();
            let usual = passed.saturating_sub(seen.passed) as f64 * (USUAL.as_secs_f64() / time.as_secs_f64());
            *seen = Seen { at: now, passed, is_there: usual > 0.0 && self.metrics.left() as f64 > usual };
        }
        seen.is_there
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use citystream_dataflows::time::TimePolicy;
    use citystream_dataflows::time::bindings::{Partition, Topic};

    use super::*;

    #[test]
    fn a_backlog_is_more_than_is_read_in_ten_seconds() {
        let policy = TimePolicy { lateness: 1, slack: 1, max_ahead: 1, max_hold: 1 };
        let metrics = Arc::new(Metrics::new(policy, LOOK).unwrap());
        let backlog = Backlog::new(Arc::clone(&metrics));
        let mut now = Instant::now();
        // A second a step: what is read in it, what is left after it, and whether that is a backlog.
        for (read, left, expected) in
            [(100, 1001, true), (100, 990, false), (0, 990, false), (50, 990, true), (1, 0, false)]
        {
            metrics.pass(read);
            metrics.lag(Partition { topic: Topic::GPS, index: 0 }).set(left);
            now += Duration::from_millis(1001);
            assert_eq!(backlog.is_there(now), expected, "{read} {left}");
            metrics.lag(Partition { topic: Topic::GPS, index: 0 }).set(5);
            assert_eq!(backlog.is_there(now), expected, "it looks once a second");
        }
    }
}
