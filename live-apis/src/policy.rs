//! How an API is asked: how often, how long, and what is done when it fails.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::breaker::BreakerPolicy;
use crate::budget::Limit;
use crate::cache::Ages;

/// How an API is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long an answer counts.
    pub ages: Ages,
    /// How many requests are sent, repeated ones among them.
    pub limits: Vec<Limit>,
    /// How many requests are under way at once.
    pub at_once: usize,
    /// How long one request may take.
    pub timeout: Duration,
    /// How a request that failed is repeated.
    pub backoff: Backoff,
    /// When the API is no longer asked.
    pub breaker: BreakerPolicy,
    /// After a failure, this long until the same cell is asked about again.
    pub pause: Duration,
    /// The same where the API knows nothing of the place.
    pub unknown_pause: Duration,
    /// How long the API is left alone when it says so without saying how long.
    pub told_pause: Duration,
    /// How long it is left alone after it has refused the key.
    pub refused_pause: Duration,
    /// How long a request may wait for the limits; one that would wait longer is over quota.
    pub patience: Duration,
    /// The longest answer in bytes.
    pub longest: usize,
    /// The most cells of which something is known.
    pub cells: usize,
}

impl Policy {
    /// Answers that count for `ages`, asked for within `limits`; all else as usual.
    pub fn new(ages: Ages, limits: Vec<Limit>, at_once: usize) -> Self {
        Policy {
            ages,
            limits,
            at_once,
            timeout: Duration::from_secs(5),
            backoff: Backoff { attempts: 3, first: Duration::from_millis(500), longest: Duration::from_secs(5) },
            breaker: BreakerPolicy { failures: 5, open: Duration::from_secs(30), longest: Duration::from_secs(600) },
            pause: Duration::from_secs(30),
            unknown_pause: Duration::from_secs(3600),
            told_pause: Duration::from_secs(60),
            refused_pause: Duration::from_secs(900),
            patience: Duration::from_secs(60),
            longest: 1 << 20,
            cells: 10_000,
        }
    }
}
