//! Lines about strangers: few, however many come.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How many are said at once, and after how long more may be.
const MOST: u32 = 5;
const PERIOD: Duration = Duration::from_secs(30);

/// What is said about who was sent away.
#[derive(Debug)]
pub(crate) struct Complaints {
    since: Instant,
    said: u32,
    unsaid: u64,
}

impl Complaints {
    pub(crate) fn new() -> Self {
        Complaints { since: Instant::now(), said: 0, unsaid: 0 }
    }

    /// Says why a connection was refused, or counts it.
    pub(crate) fn warn(&mut self, from: SocketAddr, reason: &str) {
        if let Some(more) = self.may_say(Instant::now()) {
            tracing::warn!("refused a connection from {from}: {reason}{more}");
        }
    }

    /// Whether one more may be said now; what is to be said of those that were not.
    fn may_say(&mut self, now: Instant) -> Option<String> {
        if now.duration_since(self.since) >= PERIOD {
            (self.since, self.said) = (now, 0);
        }
        if self.said == MOST {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        Some(match std::mem::take(&mut self.unsaid) {
            0 => String::new(),
            unsaid => format!(" (and {unsaid} more since the last line)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_strangers_are_a_few_lines_and_a_number() {
        let mut complaints = Complaints::new();
        let now = complaints.since;
        let said: Vec<_> = (0..1000).filter_map(|_| complaints.may_say(now)).collect();
        assert_eq!(said, vec![String::new(); 5]);
        assert_eq!(complaints.may_say(now + PERIOD).as_deref(), Some(" (and 995 more since the last line)"));
        assert_eq!(complaints.may_say(now + PERIOD).as_deref(), Some(""));
    }
}
