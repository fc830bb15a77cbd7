//! Which records belong to which epoch: topics, partitions, offsets and the bindings between them and epochs.

pub use citystream_wire::Topic;
use serde::{Deserialize, Serialize};

use crate::time::Micros;

/// Whether two identities of topics under one name are of two topics: the first was deleted, the other made anew. A
/// log without identities (empty) is taken at its name.
pub fn is_another_topic(known: &str, found: &str) -> bool {
    !known.is_empty() && !found.is_empty() && known != found
}

/// One partition of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition {
    /// The topic.
    pub topic: Topic,
    /// The partition's number in its topic.
    pub index: i32,
}

impl Partition {
    /// The greatest number of a partition: state in reach holds it in 16 bits.
    pub const MAX_INDEX: i32 = u16::MAX as i32;

    /// The worker that reads this partition: a function of its id alone, so that a new partition moves no other.
    pub fn owner(self, peers: usize) -> usize {
        (self.topic.index() + self.index as usize * Topic::count()) % peers
    }
}

/// The offset of the next record to read: one past the last one read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NextOffset(pub i64);

/// Where a partition stands between two epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The next offset to read.
    pub next: NextOffset,
    /// The greatest Kafka timestamp read so far, in microseconds; `None` before the first record.
    pub log_clock: Option<Micros>,
    /// Whether the leader has confirmed that nothing is left to read.
    pub drained: bool,
}

/// What one epoch holds of one partition: the records with offsets in `first..next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The partition.
    pub partition: Partition,
    /// The next offset before the epoch.
    pub first: NextOffset,
    /// The next offset after the epoch.
    pub next: NextOffset,
    /// The records read, counted at the source (offsets may have gaps).
    pub read: u64,
    /// The partition's log clock after the epoch.
    pub log_clock: Option<Micros>,
    /// Whether the partition was drained when the epoch closed.
    pub drained: bool,
}

impl Binding {
    /// The position after the epoch.
    pub fn position(&self) -> Position {
        Position { partition: self.partition, next: self.next, log_clock: self.log_clock, drained: self.drained }
    }
}
