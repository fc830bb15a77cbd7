//! Where records come from: Kafka or a directory of JSON lines, behind one contract. (A lake is a source, too: `src/lake/origin/`.)
//!
//! A [`Catalog`] says what partitions there are; each worker has one [`Reader`] for the partitions it owns.
//! Neither decides anything about time: that is the clock's, in `run/`.

pub mod assignment;
#[cfg(test)]
pub mod contract;
pub mod ends;
pub mod jsonl;
pub mod kafka;

use std::ops::ControlFlow;

use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::{NextOffset, Partition};

/// One record as the log holds it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// The next offset after it.
    pub next: NextOffset,
    /// Its log timestamp.
    pub log_time: Micros,
    /// Its key, if any.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a null payload.
    pub payload: Option<&'a [u8]>,
    /// How long its value was, where that is not the payload: only the beginning of it was kept, or it is rebuilt (0: nobody
    /// knows).
    pub length: Option<usize>,
}

/// One worker's reader.
///
/// Contract: `poll` never blocks; it yields each record of a partition once, in offset order, from the offset
/// given to `add`; after `take` breaks, the next `poll` goes on with the following record.
pub trait Reader {
    /// Starts reading a partition at `next`.
    fn add(&mut self, partition: Partition, next: NextOffset) -> Result<(), SourceError>;

    /// Hands what is there of one partition to `take`, until it breaks or nothing is left at hand.
    fn poll(
        &mut self,
        partition: Partition,
        take: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), SourceError>;

    /// Whether the log's owner confirmed within the last 2 s that all of the partition has been handed out.
    fn drained(&mut self, partition: Partition) -> bool;

    /// Whether the position has reached an end that the log's owner told within the last 2 s: what comes is handed out as it
    /// comes.
    fn caught_up(&mut self, partition: Partition) -> bool;

    /// The offset up to which all has been handed out, markers and aborted records passed; `None` where only records tell.
    fn passed(&self, _partition: Partition) -> Option<NextOffset> {
        None
    }

    /// The end of the partition as its owner last said it, without asking; `None` where nobody has said it.
    fn end(&self, _partition: Partition) -> Option<NextOffset> {
        None
    }
}

/// A partition that exists, as its owner describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    /// The partition.
    pub partition: Partition,
    /// The identity of its topic: another id under the same name is another log.
    pub topic_id: String,
    /// The first offset that can still be read.
    pub low: NextOffset,
    /// The end, as seen by this reader.
    pub high: NextOffset,
}

/// What there is to read. Blocking calls, made off the workers' threads.
pub trait Catalog: Send + Sync {
    /// All partitions of all topics, in order.
    fn discover(&self) -> Result<Vec<Available>, SourceError>;

    /// The next offsets of the consumer group where it has any (`--from group`).
    fn group_offsets(&self, partitions: &[Partition]) -> Result<Vec<(Partition, NextOffset)>, SourceError>;

    /// Reports committed offsets to the consumer group, for lag tools only; errors are ignored by the caller.
    fn report(&self, offsets: &[(Partition, NextOffset)]) -> Result<(), SourceError>;
}

/// Why a source cannot go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// The log no longer holds what is to be read, or is another log: exit code 6.
    #[error("{0}")]
    Lost(String),
    /// What no restart mends: no such topic, wrong credentials, settings that cannot be. Exit code 2.
    #[error("{0}")]
    Mistaken(String),
    /// What may mend itself, such as a broker that cannot be reached. Exit code 1.
    #[error("{0}")]
    Unusable(String),
}
