//! The topics, each declared once in a file of [`topics`], and their records as they stand in Kafka.
//!
//! A [`Declaration`] is data: decoder, raw tables, their docs, settings and what the joined tables are made of all follow
//! from it. The five of this crate are there from the start; others can be declared before a run ([`Topic::declare`]).
//!
//! Pure: no I/O, no clock, no environment.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod declaration;
mod per_topic;
mod record;
pub mod relaxed;
mod text;
mod topic;
pub mod topics;
mod words;

#[cfg(test)]
mod tests;

pub use declaration::{Becomes, COMPASS, Cell, Declaration, Field, Kind, MAX_FIELDS, MAX_ID};
pub use per_topic::PerTopic;
pub use record::{Body, Head, Place, Record, uuid};
pub use topic::{DeclareError, MAX_TOPICS, Topic};
pub use topics::{Emergency, Gps, Incident, Services, Traffic, Vehicle, Weather};
pub use words::{IncidentKind, Level, Phase, Severity, Source};

/// Time in microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;
