//! Whether an API is asked at all: not while it keeps failing, and not before the time that it has told us.
//!
//! Closed: it is asked. Open: it is not, until a time. After that one request tries (half-open), and its outcome closes
//! the breaker or opens it for twice as long.

use std::time::Duration;

use crate::moment::Moment;
use crate::reason::Reason;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it is open at first.
    pub open: Duration,
    /// How long it is open at most.
    pub longest: Duration,
}

/// Whether an API is asked.
#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: State,
    /// Failures in a row, while closed.
    failures: u32,
    /// How long it is open the next time.
    open: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Moment, why: Reason },
    HalfOpen { why: Reason },
}

impl Breaker {
    /// Closed.
    pub fn new(policy: BreakerPolicy) -> Self {
        Breaker { policy, state: State::Closed, failures: 0, open: policy.open }
    }

    /// Why the API is not to be asked now, if so.
    pub fn refuses(&self, now: Moment) -> Option<Reason> {
        match self.state {
            State::Open { until, why } if now < until => Some(why),
            State::HalfOpen { why } => Some(why),
            _ => None,
        }
    }

    /// Why not even a request that was let pass is to be repeated now, if so.
    pub fn stops(&self, now: Moment) -> Option<Reason> {
        match self.state {
            State::HalfOpen { .. } => None,
            _ => self.refuses(now),
        }
    }

    /// Lets a request pass, whose outcome is told afterwards, or says why not.
    pub fn admit(&mut self, now: Moment) -> Result<(), Reason> {
        if let Some(why) = self.refuses(now) {
            return Err(why);
        }
        if let State::Open { why, .. } = self.state {
            self.state = State::HalfOpen { why };
        }
        Ok(())
    }

    /// The API has answered.
    pub fn answered(&mut self) {
        // An answer to an older request does not end a wait that we have been told.
        if !matches!(self.state, State::Open { .. }) {
            *self = Breaker::new(self.policy);
        }
    }

    /// The API has not answered as it should.
    pub fn failed(&mut self, now: Moment, why: Reason) {
        self.failures += 1;
        match self.state {
            State::Closed if self.failures < self.policy.failures => {}
            State::Closed | State::HalfOpen { .. } => {
                self.state = State::Open { until: now + self.open, why };
                self.open = (self.open * 2).min(self.policy.longest);
            }
            State::Open { .. } => {}
        }
    }

    /// The API is not to be asked before a time, whatever happened before.
    pub fn hold(&mut self, until: Moment, why: Reason) {
        let longer = match self.state {
            State::Open { until: before, .. } => before >= until,
            _ => false,
        };
        if !longer {
            self.state = State::Open { until, why };
        }
    }

    /// A request that was let pass was not sent after all.
    pub fn withdrawn(&mut self, now: Moment) {
        if let State::HalfOpen { why } = self.state {
            self.state = State::Open { until: now, why };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const POLICY: BreakerPolicy = BreakerPolicy { failures: 3, open: SECOND, longest: Duration::from_secs(3) };

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(POLICY);
        (0..3).for_each(|_| breaker.failed(at(0), Reason::Down));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let mut breaker = Breaker::new(POLICY);
        breaker.failed(at(0), Reason::Down);
        breaker.failed(at(0), Reason::Down);
        breaker.answered();
        breaker.failed(at(0), Reason::Down);
        breaker.failed(at(0), Reason::Down);
        assert_eq!(breaker.admit(at(0)), Ok(()));
        breaker.failed(at(5), Reason::BadAnswer);
        assert_eq!(breaker.admit(at(1004)), Err(Reason::BadAnswer));
    }

    #[test]
    fn one_request_tries_and_its_answer_closes_it() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(1000)), Ok(()));
        assert_eq!(breaker.admit(at(1000)), Err(Reason::Down));
        breaker.answered();
        assert_eq!((breaker.admit(at(1000)), breaker.admit(at(1000))), (Ok(()), Ok(())));
    }

    #[test]
    fn each_failed_try_opens_it_for_longer() {
        let mut breaker = opened();
        let mut now = 0;
        for open in [1000, 2000, 3000, 3000] {
            assert_eq!(breaker.admit(at(now + open - 1)), Err(Reason::Down));
            now += open;
            assert_eq!(breaker.admit(at(now)), Ok(()));
            breaker.failed(at(now), Reason::Down);
        }
    }

    #[test]
    fn a_told_wait_holds_whatever_older_requests_bring() {
        let mut breaker = Breaker::new(POLICY);
        breaker.hold(at(60_000), Reason::ToldToWait);
        breaker.hold(at(10), Reason::ToldToWait);
        breaker.answered();
        (0..9).for_each(|_| breaker.failed(at(5), Reason::Down));
        assert_eq!(breaker.refuses(at(59_999)), Some(Reason::ToldToWait));
        assert_eq!(breaker.admit(at(60_000)), Ok(()));
    }

    #[test]
    fn a_try_that_was_not_sent_leaves_the_next_one_free() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(1000)), Ok(()));
        breaker.withdrawn(at(1000));
        assert_eq!(breaker.admit(at(1000)), Ok(()));
    }
}
