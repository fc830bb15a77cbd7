//! All that is decided about one API: what a place is told, whether it is asked about, and what an outcome means.
//!
//! No I/O, no clock, no waiting: the tasks of [`Feed`](crate::Feed) do what is decided here.

use std::collections::HashMap;
use std::time::Duration;

use h3o::CellIndex;

use crate::breaker::Breaker;
use crate::budget::Budget;
use crate::cache::{Cache, Found, Freshness};
use crate::fetch::FetchError;
use crate::moment::Moment;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::status::{Counts, Status};

/// No API keeps us from asking for longer than this, whatever it says.
const LONGEST_HOLD: Duration = Duration::from_secs(86_400);

/// What is known, and what is under way.
#[derive(Debug)]
pub struct Decisions<V> {
    policy: Policy,
    ready: bool,
    cache: Cache<V>,
    asked: HashMap<CellIndex, Asked>,
    budget: Budget,
    breaker: Breaker,
    counts: Counts,
}

/// How far it is with a cell that has no live answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// A request is under way, or will be.
    Pending,
    /// It has failed, and is not to be asked about before a time.
    Failed { until: Moment, why: Reason },
}

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Now: it is counted.
    Granted,
    /// Not before a time.
    At(Moment),
    /// Not at all.
    Withheld(Reason),
}

impl<V: Clone> Decisions<V> {
    /// Nothing known yet. `ready` is whether the API can be asked at all, `sent` what has been used of the limits.
    pub fn new(policy: Policy, ready: bool, sent: Vec<Moment>) -> Self {
        Decisions {
            ready,
            cache: Cache::new(policy.ages, policy.cells),
            asked: HashMap::new(),
            budget: Budget::new(policy.limits.clone(), sent),
            breaker: Breaker::new(policy.breaker),
            counts: Counts::default(),
            policy,
        }
    }

    /// How it is asked.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What there is for a cell, or why there is nothing.
    pub fn find(&mut self, cell: CellIndex, now: Moment) -> Result<Found<V>, Reason> {
        let older = match self.cache.find(cell, now) {
            Some(found) if found.freshness == Freshness::Live => {
                self.counts.live += 1;
                return Ok(found);
            }
            older => older,
        };
        let why = self.why_not_live(cell, now);
        *self.counts.fallbacks.entry(why).or_default() += 1;
        match older {
            Some(_) => self.counts.cached += 1,
            None => self.counts.missing += 1,
        }
        older.ok_or(why)
    }

    fn why_not_live(&self, cell: CellIndex, now: Moment) -> Reason {
        match self.asked.get(&cell) {
            _ if !self.ready => Reason::NoKey,
            Some(Asked::Failed { until, why }) if now < *until => *why,
            _ if self.is_over_quota(now) => Reason::OverQuota,
            _ => self.breaker.refuses(now).unwrap_or(Reason::Pending),
        }
    }

    /// Whether a request for a cell is to be made; it then counts as under way until [`end`](Self::end).
    pub fn want(&mut self, cell: CellIndex, now: Moment) -> bool {
        let live = self.cache.find(cell, now).is_some_and(|found| found.freshness == Freshness::Live);
        let waits = match self.asked.get(&cell) {
            Some(Asked::Pending) => true,
            Some(Asked::Failed { until, .. }) => now < *until,
            None => false,
        };
        if !self.ready || live || waits || self.breaker.refuses(now).is_some() || self.is_over_quota(now) {
            return false;
        }
        if self.asked.len() >= self.policy.cells {
            self.asked.retain(|_, asked| !matches!(asked, Asked::Failed { until, .. } if *until <= now));
        }
        let room = self.asked.len() < self.policy.cells;
        if room {
            self.asked.insert(cell, Asked::Pending);
        }
        room
    }

    fn is_over_quota(&self, now: Moment) -> bool {
        self.budget.free_at() > now + self.policy.patience
    }

    /// Cells that are asked about.
    pub fn pending(&self) -> usize {
        self.asked.values().filter(|asked| **asked == Asked::Pending).count()
    }

    /// Lets the first request for a wanted cell begin, or says why not.
    pub fn begin(&mut self, now: Moment) -> Result<(), Reason> {
        self.breaker.admit(now)
    }

    /// Whether a request, the first or a repeated one, may be sent.
    pub fn permit(&mut self, now: Moment) -> Permit {
        if let Some(why) = self.breaker.stops(now) {
            return Permit::Withheld(why);
        }
        if self.is_over_quota(now) {
            return Permit::Withheld(Reason::OverQuota);
        }
        match self.budget.take(now) {
            Ok(()) => {
                self.counts.requests += 1;
                Permit::Granted
            }
            Err(free) => Permit::At(free),
        }
    }

    /// What has come of a wanted cell in the end.
    pub fn end(&mut self, cell: CellIndex, outcome: Result<V, &FetchError>, now: Moment) {
        let error = match outcome {
            Ok(value) => {
                self.counts.answers += 1;
                self.breaker.answered();
                self.cache.keep(cell, value, now);
                self.asked.remove(&cell);
                return;
            }
            Err(error) => error,
        };
        if let FetchError::Withheld(_) = error {
            self.asked.remove(&cell);
            return;
        }
        let why = error.reason();
        *self.counts.failures.entry(why).or_default() += 1;
        let pause = if why == Reason::Unknown { self.policy.unknown_pause } else { self.policy.pause };
        self.asked.insert(cell, Asked::Failed { until: now + pause, why });
        match error {
            FetchError::Unknown(_) => self.breaker.answered(),
            FetchError::ToldToWait { until, .. } => {
                let until = until.unwrap_or(now + self.policy.told_pause);
                self.breaker.hold(until.min(now + LONGEST_HOLD), why);
            }
            FetchError::KeyRefused(_) => self.breaker.hold(now + self.policy.refused_pause, why),
            _ => self.breaker.failed(now, why),
        }
    }

    /// A request that was let begin was withheld before it was sent.
    pub fn withdraw(&mut self, now: Moment) {
        self.breaker.withdrawn(now);
    }

    /// Why the API is not asked now, if so.
    pub fn held(&self, now: Moment) -> Option<Reason> {
        match self.ready {
            false => Some(Reason::NoKey),
            true if self.is_over_quota(now) => Some(Reason::OverQuota),
            true => self.breaker.refuses(now),
        }
    }

    /// The feed as it is.
    pub fn status(&self, feed: &'static str, now: Moment) -> Status {
        Status { feed, held: self.held(now), left: self.budget.left(now), counts: self.counts.clone() }
    }
}

#[cfg(test)]
#[path = "decisions_tests.rs"]
mod tests;
