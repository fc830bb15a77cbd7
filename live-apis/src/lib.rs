//! What the weather, the traffic and the emergency services at a place are, as three public APIs tell it, within what
//! their free tiers allow.
//!
//! A lookup never waits: it takes what is there, live or cached, and has it asked for again where it is not live. Where
//! nothing is there it says why, and the caller makes up a value. A key never stands in a log, an error or a value.
//!
//! The HTTP client needs a process-wide rustls provider (`rustls::crypto::ring::default_provider().install_default()`).
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod apis;
mod backoff;
mod breaker;
mod budget;
mod cache;
mod decisions;
mod feed;
mod fetch;
mod journal;
mod moment;
mod place;
mod policy;
mod reason;
mod retry_after;
mod secret;
mod status;

pub use backoff::Backoff;
pub use breaker::BreakerPolicy;
pub use budget::Limit;
pub use cache::{Ages, Found, Freshness};
pub use feed::Feed;
pub use fetch::{ClientError, client};
pub use journal::JournalError;
pub use place::{Place, PlaceError};
pub use policy::Policy;
pub use reason::Reason;
pub use secret::Secret;
pub use status::{Counts, Status};
