//! What the clock says to every worker, and what every worker answers.

use serde::{Deserialize, Serialize};

use crate::records::changes::Seed;
use crate::time::bindings::{Binding, NextOffset, Partition, Position};
use crate::time::{Epoch, Micros};

/// Closes an epoch. Minted on worker 0 alone, broadcast to all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// The epoch that closes. The first tick of a run closes an epoch without records.
    pub epoch: Epoch,
    /// The number of the commit that this epoch ends, if it ends one.
    pub seal: Option<u64>,
    /// Whether that commit ends a version of the tables as readers see them.
    pub publishes: bool,
    /// The greatest log clock at which a partition may still be read; `None` is no limit.
    pub limit: Option<Micros>,
    /// Partitions to read from the next epoch on.
    pub added: Vec<Added>,
    /// Standing views that come and go with the epoch, in order; on the first tick those that the run begins with.
    pub views: Vec<ViewCommand>,
    /// What the run starts from: on its first tick only.
    pub start: Option<Start>,
    /// Whether no epoch follows.
    pub last: bool,
    /// Whether the next epoch is long unless somebody has a record, and says so.
    pub is_idle: bool,
    /// Whether the log ends with this epoch: all is sealed by it, and what may come later expires.
    pub ends_log: bool,
}

/// What is to become of a standing view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewCommand {
    /// Its name.
    pub name: String,
    /// Its definition, in JSON, for who keeps views and who records them; `None` if it is to go.
    pub definition: Option<String>,
}

/// A partition that is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Where it stands.
    pub position: Position,
    /// Where to go on: beyond its position only where the user accepted that what lies between is lost.
    pub from: NextOffset,
}

/// What a run recovered from the lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The run's id.
    pub run: String,
    /// The key of this run's hashes of texts.
    pub key: u128,
    /// The number of its claim; its first commit of data is the next one.
    pub seq: u64,
    /// The horizon.
    pub horizon: Option<Micros>,
    /// The event time before which no row of any partition can be on time any more.
    pub closed_before: Option<Micros>,
    /// Paths of the files that hold rows in reach.
    pub reach: Vec<String>,
    /// The lives of incidents that may still change.
    pub seeds: Vec<Seed>,
}

/// One worker's answer to a tick, at the tick's epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The worker's process.
    pub process: usize,
    /// Bytes read in that process and not yet committed.
    pub uncommitted: u64,
    /// Whether that process was asked to stop.
    pub stop: bool,
    /// Whether what the worker has read since the last seal is of so many dates that it waits for the next.
    pub many_dates: bool,
    /// Whether state in that process has reached its bound.
    pub is_crowded: bool,
    /// What the worker read in the epoch: one binding for each of its partitions.
    pub bindings: Vec<Binding>,
}

/// One worker's word of the epoch that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// The worker.
    pub worker: usize,
    /// What it says.
    pub said: Said,
}

/// Why an epoch need not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// There is a record, where there was nothing to read; or all is to end.
    Record,
    /// The worker has taken its share of an epoch.
    Share,
    /// The worker has taken all that it may under the limit, and some of it in this epoch.
    Limit,
    /// The worker has taken nothing, as all that there is lies beyond this limit.
    Beyond(Micros),
}

/// An on-time row of an earlier run that a record still to come may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Where it was read.
    pub partition: Partition,
    /// The time it carries.
    pub event_time: Micros,
    /// The keyed hash of its id and event time.
    pub identity: u128,
}

/// A commit that landed, told to every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Its number.
    pub seq: u64,
}
