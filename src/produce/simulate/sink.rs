//! Where simulated records go.

use std::path::Path;

use citystream_dataflows::time::bindings::Partition;
use citystream_simulator::Message;

use citystream_wire::PerTopic;

use crate::source::SourceError;
use crate::source::jsonl::{JsonlWriter, WriteError};

/// Why a sink takes no more.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The directory.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Standard output.
    #[error("standard output takes no more: {0}")]
    Stdout(std::io::Error),
    /// Kafka, before anything was sent.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Kafka; the text is one line for the user.
    #[error("{0}")]
    Kafka(String),
}

/// Takes records. Whether a record has arrived is known when `finish` returns.
pub trait Sink {
    /// Takes a message; may wait while the other side is slower.
    fn send(&mut self, message: &Message<'_>) -> Result<(), SinkError>;

    /// Makes what was sent visible soon: called in every pause, at least ten times a second.
    fn pause(&mut self) -> Result<(), SinkError>;

    /// Waits until everything has arrived.
    fn finish(&mut self) -> Result<(), SinkError>;
}

/// Takes everything and keeps nothing: for measuring the simulator.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullSink;

impl Sink for NullSink {
    fn send(&mut self, _: &Message<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A directory of JSON lines.
pub struct JsonlSink {
    writer: JsonlWriter,
}

impl JsonlSink {
    /// Opens the log in `dir`, or creates it, with at least `partitions` partitions a topic.
    pub fn open(dir: &Path, topics: &PerTopic<String>, partitions: u32) -> Result<Self, SinkError> {
        Ok(JsonlSink { writer: JsonlWriter::open(dir, topics, partitions.max(1))? })
    }

    /// The greatest log time in the log, in milliseconds since 1970: simulated time goes on after it.
    pub fn last_log_time_ms(&self) -> Option<i64> {
        self.writer.last_log_time_ms()
    }
}

impl Sink for JsonlSink {
    fn send(&mut self, message: &Message<'_>) -> Result<(), SinkError> {
        let partitions = u64::from(self.writer.partitions(message.topic));
        let partition = Partition { topic: message.topic, index: (message.partition_hash % partitions) as i32 };
        self.writer.append(partition, message.log_time_ms, Some(message.key), message.value)?;
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        Ok(self.writer.flush()?)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(self.writer.sync()?)
    }
}
