//! Why there is no live answer.

use serde::Serialize;

/// Why there is no live answer for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The feed has no key.
    NoKey,
    /// It has been asked for, or soon will be.
    Pending,
    /// The quota is used up.
    OverQuota,
    /// The API has told us to wait (429, Retry-After).
    ToldToWait,
    /// The API does not take the key (401, 403).
    KeyRefused,
    /// The API knows nothing of this place (400, 404).
    Unknown,
    /// The API does not answer: no connection, too slow, a server error.
    Down,
    /// The API's answer cannot be used: not JSON, a field missing or out of range, too long.
    BadAnswer,
}

impl Reason {
    /// Words for people.
    pub fn words(self) -> &'static str {
        match self {
            Reason::NoKey => "no key",
            Reason::Pending => "no answer yet",
            Reason::OverQuota => "over quota",
            Reason::ToldToWait => "told to wait",
            Reason::KeyRefused => "key refused",
            Reason::Unknown => "unknown place",
            Reason::Down => "API down",
            Reason::BadAnswer => "bad answer",
        }
    }
}
