//! Something that holds a process back, in words and as JSON.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// The part of the pipeline that a cause is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The processes.
    Cluster,
    /// Reading.
    Reading,
    /// From what was read to what is derived.
    Frontier,
    /// Files and commits.
    Commit,
    /// What the partitions promise.
    Horizon,
}

/// Something that holds a process back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    /// Where.
    pub part: Part,
    /// What, in one word.
    pub name: &'static str,
    /// What, in one sentence without a full stop.
    pub says: String,
    /// For how long.
    #[serde(serialize_with = "seconds")]
    pub seconds: Duration,
    /// Whether the process is not ready because of it.
    pub grave: bool,
}

/// Of a duration, as JSON.
pub fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 10.0).round() / 10.0)
}
