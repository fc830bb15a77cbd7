//! How long to wait before asking again what has failed.

use std::time::Duration;

/// Waits that double, with full jitter, up to a longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Requests for one answer, the first among them; at least 1.
    pub attempts: u32,
    /// The longest wait after the first attempt.
    pub first: Duration,
    /// The longest wait of all.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after `attempt` (from 1), or nothing where it was the last. `chance` is drawn from 0 to 1.
    pub fn wait(&self, attempt: u32, chance: f64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doubled = self.first.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        Some(doubled.min(self.longest).mul_f64(chance.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let backoff = Backoff { attempts: 5, first: Duration::from_secs(1), longest: Duration::from_secs(3) };
        let longest = [1, 2, 3, 4].map(|attempt| backoff.wait(attempt, 1.0));
        assert_eq!(longest, [1, 2, 3, 3].map(|s| Some(Duration::from_secs(s))));
        assert_eq!(backoff.wait(5, 1.0), None);
        assert_eq!(backoff.wait(1, 0.25), Some(Duration::from_millis(250)));
        let endless = Backoff { attempts: u32::MAX, ..backoff };
        assert_eq!(endless.wait(1_000_000, 1.0), Some(Duration::from_secs(3)));
    }
}
