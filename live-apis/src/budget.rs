//! How many requests may be sent: never more than a limit within any span of its length.
//!
//! The spans slide, so a limit holds wherever the API's own minute or day begins.

use std::collections::VecDeque;
use std::time::Duration;

use crate::moment::Moment;

/// At most this many requests within a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Requests; with 0 none is ever sent.
    pub requests: usize,
    /// The span's length.
    pub within: Duration,
}

/// The requests sent, against limits. The clock may go back: a request counts as sent no earlier than the one before.
#[derive(Debug)]
pub struct Budget {
    limits: Vec<Limit>,
    /// As far back as the longest limit reaches, in order.
    sent: VecDeque<Moment>,
}

impl Budget {
    /// A budget of which `sent` has been used already.
    pub fn new(limits: Vec<Limit>, sent: impl IntoIterator<Item = Moment>) -> Self {
        let mut sent: Vec<Moment> = sent.into_iter().collect();
        sent.sort_unstable();
        Budget { limits, sent: sent.into() }
    }

    /// When the next request may be sent: not after `now` if it may be sent at once.
    pub fn free_at(&self) -> Moment {
        self.limits.iter().map(|limit| self.free_of(*limit)).max().unwrap_or_default()
    }

    fn free_of(&self, limit: Limit) -> Moment {
        match self.sent.len().checked_sub(limit.requests) {
            None => Moment::default(),
            // The request that must have left the span before another one enters it; with a limit of 0 there is none.
            Some(at) => self.sent.get(at).map_or(Moment::NEVER, |sent| *sent + limit.within),
        }
    }

    /// Counts a request that is about to be sent, or tells when one may be.
    pub fn take(&mut self, now: Moment) -> Result<(), Moment> {
        let free = self.free_at();
        if free > now {
            return Err(free);
        }
        self.sent.push_back(self.sent.back().map_or(now, |last| now.max(*last)));
        let reach = self.longest().map_or(Duration::ZERO, |limit| limit.within);
        while self.sent.pop_front_if(|sent| *sent + reach <= now).is_some() {}
        Ok(())
    }

    /// Requests left within the longest limit; nothing if there is none.
    pub fn left(&self, now: Moment) -> Option<usize> {
        let limit = self.longest()?;
        let used = self.sent.iter().filter(|sent| **sent + limit.within > now).count();
        Some(limit.requests.saturating_sub(used))
    }

    fn longest(&self) -> Option<Limit> {
        self.limits.iter().copied().max_by_key(|limit| limit.within)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);

    fn at(millis: u64) -> Moment {
        Moment::from_millis(1_800_000_000_000 + millis)
    }

    fn limits() -> Vec<Limit> {
        vec![Limit { requests: 2, within: SECOND }, Limit { requests: 5, within: DAY }]
    }

    #[test]
    fn a_limit_holds_in_every_span_of_its_length() {
        let mut budget = Budget::new(limits(), []);
        let sent: Vec<u64> = (0..10_000).step_by(100).filter(|ms| budget.take(at(*ms)).is_ok()).collect();
        assert_eq!(sent, [0, 100, 1000, 1100, 2000]);
        assert_eq!(budget.take(at(3000)), Err(at(0) + DAY));
        assert_eq!(budget.left(at(3000)), Some(0));
        budget.take(at(0) + DAY).unwrap();
        assert_eq!(budget.take(at(50) + DAY), Err(at(100) + DAY));
    }

    /// Against a count over all spans, at random times.
    #[test]
    fn no_span_ever_holds_more_than_its_limit() {
        let seed =
            std::env::var("CITYSTREAM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
        eprintln!("CITYSTREAM_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let limits = vec![Limit { requests: 3, within: SECOND }, Limit { requests: 20, within: 10 * SECOND }];
        let mut budget = Budget::new(limits.clone(), []);
        let (mut now, mut sent) = (0, Vec::new());
        for _ in 0..5_000 {
            now += random.u64(0..700);
            if budget.take(at(now)).is_ok() {
                sent.push(now);
            }
        }
        for Limit { requests, within } in limits {
            let within = within.as_millis() as u64;
            let most =
                sent.iter().map(|from| sent.iter().filter(|t| (*from..from + within).contains(*t)).count()).max();
            assert_eq!(most, Some(requests), "within {within} ms");
        }
    }

    #[test]
    fn what_was_sent_before_a_restart_counts() {
        let mut budget = Budget::new(limits(), [at(4), at(1), at(2), at(3)]);
        assert_eq!(budget.left(at(5000)), Some(1));
        budget.take(at(5000)).unwrap();
        assert_eq!(budget.take(at(9000)), Err(at(1) + DAY));
    }

    #[test]
    fn a_clock_that_goes_back_frees_nothing() {
        let mut budget = Budget::new(limits(), []);
        budget.take(at(60_000)).unwrap();
        budget.take(at(60_000)).unwrap();
        assert_eq!(budget.take(at(0)), Err(at(61_000)));
    }

    #[test]
    fn nothing_is_sent_with_a_limit_of_nothing() {
        let mut budget = Budget::new(vec![Limit { requests: 0, within: DAY }], []);
        assert_eq!(budget.take(at(0)), Err(Moment::NEVER));
    }
}
