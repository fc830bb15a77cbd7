//! What a feed has done so far, for people and programs.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::reason::Reason;

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Times that a live value was there.
    pub live: u64,
    /// Times that an older one was, within its age limit.
    pub cached: u64,
    /// Times that there was none.
    pub missing: u64,
    /// Why it was not a live one.
    pub fallbacks: BTreeMap<Reason, u64>,
    /// Requests sent, repeated ones among them.
    pub requests: u64,
    /// Answers that could be used.
    pub answers: u64,
    /// Places for which no answer came in the end, by reason.
    pub failures: BTreeMap<Reason, u64>,
}

/// A feed as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The API.
    pub feed: &'static str,
    /// Why it is not asked now, if so.
    pub held: Option<Reason>,
    /// Requests left of the longest limit, a day's unless told otherwise.
    pub left: Option<usize>,
    /// What has happened.
    #[serde(flatten)]
    pub counts: Counts,
}
