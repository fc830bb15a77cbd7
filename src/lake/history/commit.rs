//! What a commit says. `<lake>/commits/<seq>.json` holds one [`Commit`]; nothing else in a lake is the truth.

use std::collections::BTreeMap;

use citystream_dataflows::tables::Counted;
use citystream_dataflows::time::bindings::{Binding, Position, Topic};
use citystream_dataflows::time::disposition::Disposition;
use citystream_dataflows::time::{Epoch, Micros};
use serde::{Deserialize, Serialize};

use crate::lake::history::alerts::Event;
use crate::lake::history::views::ViewChanges;

/// One object of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Its place in the dense history, from 0.
    pub seq: u64,
    /// What it is.
    pub kind: Kind,
    /// The run that wrote it: 128 random bits in hex.
    pub run: String,
    /// SHA-256 of the previous commit's bytes in hex; empty at 0.
    pub previous: String,
    /// When it was proposed: wall clock, milliseconds. It decides no row.
    pub time_ms: i64,
    /// The last epoch of this commit, and of the history so far.
    pub epoch: Epoch,
    /// The horizon after `epoch`.
    pub horizon: Option<Micros>,
    /// Every partition known, with its position after `epoch`.
    pub positions: Vec<Position>,
    /// The name and identity of each topic known.
    pub topics: BTreeMap<Topic, TopicName>,
    /// The epochs of this commit with the bindings that changed in each, in order.
    pub epochs: Vec<EpochBindings>,
    /// Files added, by table.
    pub added: BTreeMap<String, Vec<File>>,
    /// Files removed, by table.
    pub removed: BTreeMap<String, Vec<File>>,
    /// The counts of this commit, by topic.
    pub ledger: BTreeMap<Topic, Ledger>,
    /// The standing views that have come, with their definitions, and those that have gone, as `null`.
    #[serde(default, skip_serializing_if = "ViewChanges::is_empty")]
    pub views: ViewChanges,
    /// What was decided of alerts at its seal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Event>,
    /// Up to which commit all that was decided had been told when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<u64>,
    /// The last root before it, where that was not named yet.
    pub pin: Option<Pin>,
    /// The last pack, where a commit before it does not name it.
    pub packed: Option<Packed>,
}

/// Up to where commits are packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// The last commit in a pack: at or below it only packs count.
    pub through: u64,
    /// SHA-256 of the last pack in hex.
    pub sha256: String,
}

/// A root as it was written and read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The commit that it stands for.
    pub seq: u64,
    /// SHA-256 of its bytes in hex.
    pub sha256: String,
}

/// What a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A run takes over; no data.
    Claim,
    /// Rows and offsets.
    Data,
}

/// A topic as the source knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicName {
    /// Its name on the broker.
    pub name: String,
    /// Its identity.
    pub id: String,
}

/// The bindings of one epoch that differ from the epoch before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochBindings {
    /// The epoch.
    pub epoch: Epoch,
    /// Its bindings, by partition.
    pub bindings: Vec<Binding>,
}

/// One Parquet file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct File {
    /// Its path below the lake.
    pub path: String,
    /// Its date partition, `YYYY-MM-DD`: log date of a table of records, event date of a change log.
    pub date: String,
    /// Its rows.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes in hex.
    pub sha256: String,
    /// The first and the last commit whose rows it has.
    pub seqs: (u64, u64),
    /// How often its rows have been packed.
    pub level: u8,
    /// What its rows add up to: changes by their `diff`, any other row as one.
    pub net: i64,
    /// Least and greatest event time (of a derived row: its window's start, its first status), in microseconds; `None` where it has none (dead letters).
    pub event_time: Option<(Micros, Micros)>,
    /// Least and greatest log time, in microseconds; `None` where it has none (derived tables).
    pub log_time: Option<(Micros, Micros)>,
    /// Least and greatest window of data quality, in microseconds; `None` where no row has one.
    pub quality_window: Option<(Micros, Micros)>,
}

/// P4: `read = on_time + late + expired + duplicate + dead`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Records counted at the source.
    pub read: u64,
    /// Rows in time.
    pub on_time: u64,
    /// Rows that reached the log more than L after their event time.
    pub late: u64,
    /// Rows behind the horizon.
    pub expired: u64,
    /// Rows repeated in their partition.
    pub duplicate: u64,
    /// Dead letters.
    pub dead: u64,
    /// Of these, those that count in no window of data quality.
    pub missed: Outcomes,
}

/// Records by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Rows in time.
    pub on_time: u64,
    /// Late rows.
    pub late: u64,
    /// Expired rows.
    pub expired: u64,
    /// Repeated rows.
    pub duplicate: u64,
    /// Dead letters.
    pub dead: u64,
}

/// The sum of what commits say. However absurd that is, an overflow makes no small number of it.
pub fn saturating_sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

impl Outcomes {
    /// All of them.
    pub fn total(&self) -> u64 {
        saturating_sum([self.on_time, self.late, self.expired, self.duplicate, self.dead])
    }

    /// Both together.
    pub fn plus(&self, other: &Outcomes) -> Outcomes {
        Outcomes {
            on_time: self.on_time.saturating_add(other.on_time),
            late: self.late.saturating_add(other.late),
            expired: self.expired.saturating_add(other.expired),
            duplicate: self.duplicate.saturating_add(other.duplicate),
            dead: self.dead.saturating_add(other.dead),
        }
    }

    /// Counts a row, or a dead letter.
    pub fn add(&mut self, disposition: Option<Disposition>) {
        let Outcomes { on_time, late, expired, duplicate, dead } = self;
        *counter(disposition, [on_time, late, expired, duplicate, dead]) += 1;
    }

    fn count(&self, counted: Counted) -> u64 {
        match counted {
            Counted::Read => self.total(),
            Counted::OnTime => self.on_time,
            Counted::Late => self.late,
            Counted::Expired => self.expired,
            Counted::Duplicate => self.duplicate,
            Counted::Dead => self.dead,
        }
    }
}

impl Ledger {
    /// How many records became that and count in a window of data quality.
    pub fn count_in_windows(&self, counted: Counted) -> u64 {
        self.count(counted).saturating_sub(self.missed.count(counted))
    }

    /// How many records became that.
    pub fn count(&self, counted: Counted) -> u64 {
        match counted {
            Counted::Read => self.read,
            outcome => self.outcomes().count(outcome),
        }
    }

    fn outcomes(&self) -> Outcomes {
        let Ledger { on_time, late, expired, duplicate, dead, .. } = *self;
        Outcomes { on_time, late, expired, duplicate, dead }
    }

    /// Counts a row by its disposition, or a dead letter, and whether it has a window of data quality.
    pub fn add(&mut self, disposition: Option<Disposition>, is_missed: bool) {
        let Ledger { on_time, late, expired, duplicate, dead, missed, .. } = self;
        *counter(disposition, [on_time, late, expired, duplicate, dead]) += 1;
        if is_missed {
            missed.add(disposition);
        }
    }
}

/// The counter of a row by its disposition, or of a dead letter.
fn counter(disposition: Option<Disposition>, [on_time, late, expired, duplicate, dead]: [&mut u64; 5]) -> &mut u64 {
    match disposition {
        Some(Disposition::OnTime) => on_time,
        Some(Disposition::Late) => late,
        Some(Disposition::Expired) => expired,
        Some(Disposition::Duplicate) => duplicate,
        None => dead,
    }
}
