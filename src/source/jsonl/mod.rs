//! A log without a server: a directory `<dir>/<topic>/<partition>.jsonl`.
//!
//! The first line of a file is a header, `{"topic_id": "<32 hex digits>"}`, the same in all partitions of a topic. Every
//! other line is `{"ts": <unix ms>, "key": <string or null>, "value": {record}}`. An offset is a byte position, the next
//! offset the position after the newline. What has no newline is not there yet: neither to be read nor to be
//! waited for. A line that is no such envelope is handed on whole, at the last log time, for the decoder to refuse.
//!
//! With the event clock the lines are bare records (archives), without a header, and a record's log time is the time
//! that it carries: nothing is late then except within its own partition's order, whatever the archive went through.
//!
//! Nothing here allocates per line, and nothing is done about time except to read it.

mod bare;
mod catalog;
mod envelope;
mod header;
mod reader;
mod tail;
pub mod writer;

#[cfg(test)]
#[allow(clippy::print_stdout)]
mod tests;

use std::path::{Path, PathBuf};

use citystream_dataflows::time::bindings::{Partition, Topic};
use citystream_wire::PerTopic;
use jiff::tz::TimeZone;

pub use catalog::JsonlCatalog;
pub use reader::JsonlReader;
pub use writer::{JsonlWriter, WriteError};

/// Where such a log is and how it is read.
#[derive(Clone, Debug)]
pub struct JsonlOptions {
    dir: PathBuf,
    topics: PerTopic<String>,
    /// `Some` for bare records: the zone of their naive timestamps.
    event_clock: Option<TimeZone>,
}

impl JsonlOptions {
    /// The log in `dir`, with a directory for each topic; `event_clock` for bare records.
    pub fn new(dir: PathBuf, topics: PerTopic<String>, event_clock: bool) -> Self {
        JsonlOptions { dir, topics, event_clock: event_clock.then_some(TimeZone::UTC) }
    }

    /// Reads the naive timestamps of bare records in this zone instead of UTC.
    #[must_use]
    pub fn timezone(mut self, timezone: TimeZone) -> Self {
        self.event_clock = self.event_clock.map(|_| timezone);
        self
    }

    /// Whether a record's log time is the time that it carries.
    pub fn has_event_clock(&self) -> bool {
        self.event_clock.is_some()
    }

    fn topic_dir(&self, topic: Topic) -> PathBuf {
        self.dir.join(&self.topics[topic])
    }

    fn path(&self, partition: Partition) -> PathBuf {
        file_of(&self.topic_dir(partition.topic), partition.index)
    }
}

/// The file of a partition in the directory of its topic.
fn file_of(topic_dir: &Path, index: i32) -> PathBuf {
    topic_dir.join(format!("{index}.jsonl"))
}
