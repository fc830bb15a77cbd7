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

    /// The worker that reads this partition: a function of its id alone, so that a new partition moves no other. Topics
    /// begin at different workers, so that each worker has some of all.
    pub fn owner(self, peers: usize) -> usize {
        (self.index as usize + self.topic.index() * peers.div_ceil(Topic::count())) % peers
    }
}

/// The offset of the next record to read: one past the last one read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NextOffset(pub i64);

/// How a partition stands to the end of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// There are records to read, or nobody has said where the log ends.
    Behind,
    /// It has reached an end that its leader told within the last 2 s; more may have come since.
    CaughtUp,
    /// Its leader has confirmed within the last 2 s that nothing is left to read.
    Drained,
    /// Drained, confirmed without a break and without a record, for `--idle`.
    Quiet,
}

impl Standing {
    /// Whether nothing is left to read.
    pub fn is_drained(self) -> bool {
        self >= Standing::Drained
    }
}

/// Where a partition stands between two epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The next offset to read.
    pub next: NextOffset,
    /// The greatest Kafka timestamp read so far, in microseconds; `None` before the first record.
    pub log_clock: Option<Micros>,
    /// How it stands to the end of its log.
    pub standing: Standing,
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
    /// How the partition stood to the end of its log when the epoch closed.
    pub standing: Standing,
}

impl Binding {
    /// The position after the epoch.
    pub fn position(&self) -> Position {
        Position { partition: self.partition, next: self.next, log_clock: self.log_clock, standing: self.standing }
    }
}
