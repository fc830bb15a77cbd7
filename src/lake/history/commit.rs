//! What a commit says. `<lake>/commits/<seq>.json` holds one [`Commit`]; nothing else in a lake is the truth.

use std::collections::{BTreeMap, HashSet};

use citystream_dataflows::tables::{Counted, Total};
use citystream_dataflows::time::bindings::{Binding, Partition, Position, Topic};
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
    /// Why files are removed: their rows go on in others, are kept no longer, or are erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tidy: Vec<Tidy>,
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
    /// The lake that its run reads, in the run's first commit of data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The version of every Delta table that it ends, if it ends one: with all commits since the version before. As long as no
    /// commit has one, each ends the version of its own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The last root before it, where that was not named yet.
    pub pin: Option<Pin>,
    /// The last pack, where a commit before it does not name it.
    pub packed: Option<Packed>,
    /// Up to which commit all files that commits removed are deleted, where no commit before it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected: Option<u64>,
    /// Where the history begins from now on: commits before that may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
}

/// A lake that is a source, as it stood when the run began to read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its address, which holds no secret.
    pub location: String,
    /// Its identity.
    pub lake: String,
    /// Its last commit.
    pub seq: u64,
    /// SHA-256 of that commit's bytes in hex.
    pub sha256: String,
    /// The next offsets there: where its topics are gone on with once all of it is read.
    pub positions: Vec<Position>,
}

/// Files that took the place of others, so that no row has come or gone, or without rows that are erased; or files that are
/// kept no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tidy {
    /// What was done.
    pub what: TidyKind,
    /// The table.
    pub table: String,
    /// The paths of those of the commit's removed files that it took.
    pub removed: Vec<String>,
    /// The paths of those of the commit's added files that it made.
    pub added: Vec<String>,
    /// The rows of the former.
    pub rows_removed: u64,
    /// The rows of the latter.
    pub rows_added: u64,
    /// The request that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Of what is kept no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<Expired>,
    /// Of what is erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<Erased>,
}

/// Which files of a table are kept no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// Those of dates before this one, `YYYY-MM-DD`.
    pub before: String,
    /// The commit that last dropped some of the table.
    pub last: Option<u64>,
}

/// What a commit erased of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// SHA-256 of a salt and a name, in hex: who has both can tell that it is this one, and nobody else anything.
    pub whose: String,
    /// Rows of this commit and those before it are meant, and what was derived of them.
    pub through: u64,
    /// The commit that last erased some of the table.
    pub last: Option<u64>,
    /// What went.
    pub counts: Vec<Count>,
}

/// Rows of one kind that went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The date of their partition, `YYYY-MM-DD`.
    pub date: String,
    /// Of records: where they stood in the log, and what they were; dead letters have no disposition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Partition>,
    /// See `place`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
    /// How many.
    pub rows: u64,
    /// What they add up to: changes by their `diff`, any other row as one.
    pub net: i64,
    /// And the columns of a derived table that add up to what the ledgers have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sums: BTreeMap<String, i64>,
}

impl Commit {
    /// The files that one of its tidies removes.
    pub fn removed_by(&self, tidy: &Tidy) -> Vec<&File> {
        named(&self.removed, &tidy.table, &tidy.removed)
    }

    /// The files that one of its tidies made.
    pub fn added_by(&self, tidy: &Tidy) -> Vec<&File> {
        named(&self.added, &tidy.table, &tidy.added)
    }
}

/// Those of a table's files that have these paths.
fn named<'a>(files: &'a BTreeMap<String, Vec<File>>, table: &str, paths: &[String]) -> Vec<&'a File> {
    let paths: HashSet<&str> = paths.iter().map(String::as_str).collect();
    files.get(table).into_iter().flatten().filter(|file| paths.contains(file.path.as_str())).collect()
}

/// What a tidy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TidyKind {
    /// Several files have become one.
    Pack,
    /// Files are kept no longer.
    Keep,
    /// Rows are erased.
    Erase,
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

/// Where a history begins whose first commits are kept no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The root that stands for its commit and all before it.
    #[serde(flatten)]
    pub root: Pin,
    /// What tables say of their making.
    pub made: Made,
}

/// What the metadata of tables take from commit 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// When it was proposed, in milliseconds.
    pub time_ms: i64,
    /// Which version it says that it ends, if it says it.
    pub version: Option<u64>,
}

impl From<&Commit> for Made {
    fn from(first: &Commit) -> Made {
        Made { time_ms: first.time_ms, version: first.version }
    }
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
    /// When the commit that added it was proposed, in milliseconds; `None` where commits did not say it yet.
    #[serde(default)]
    pub added_ms: Option<i64>,
    /// Least and greatest event time (of a derived row: its window's start, its first status), in microseconds; `None` where it has none (dead letters).
    pub event_time: Option<(Micros, Micros)>,
    /// Least and greatest log time, in microseconds; `None` where it has none (derived tables).
    pub log_time: Option<(Micros, Micros)>,
    /// Least and greatest window of data quality, in microseconds; `None` where no row has one.
    pub quality_window: Option<(Micros, Micros)>,
}

impl File {
    /// What files, at least one, are together: sums, and ranges that hold theirs; without path, digest and date.
    pub fn sum<'a>(files: impl IntoIterator<Item = &'a File>) -> File {
        let none = File { seqs: (u64::MAX, 0), ..File::default() };
        files.into_iter().fold(none, |sum, file| File {
            rows: sum.rows.saturating_add(file.rows),
            bytes: sum.bytes.saturating_add(file.bytes),
            seqs: (sum.seqs.0.min(file.seqs.0), sum.seqs.1.max(file.seqs.1)),
            level: sum.level.max(file.level),
            net: sum.net.saturating_add(file.net),
            event_time: widest(sum.event_time, file.event_time),
            log_time: widest(sum.log_time, file.log_time),
            quality_window: widest(sum.quality_window, file.quality_window),
            ..File::default()
        })
    }
}

/// The least range that holds two.
fn widest(one: Option<(Micros, Micros)>, other: Option<(Micros, Micros)>) -> Option<(Micros, Micros)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
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

/// What the live rows of a table are to add up to, by the ledgers.
pub fn counted<'a>(total: &Total, ledgers: impl IntoIterator<Item = (&'a Topic, &'a Ledger)>) -> u64 {
    let its = ledgers.into_iter().filter(|(topic, _)| total.topic.is_none_or(|wanted| wanted == **topic));
    saturating_sum(its.map(|(_, ledger)| match total.but_missed {
        true => ledger.count_in_windows(total.counted),
        false => ledger.count(total.counted),
    }))
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

    /// Whether no count is greater than another's.
    pub fn is_within(&self, other: &Ledger) -> bool {
        let counts = |l: &Ledger| [l.read, l.on_time, l.late, l.expired, l.duplicate, l.dead];
        let missed =
            |l: &Ledger| [l.missed.on_time, l.missed.late, l.missed.expired, l.missed.duplicate, l.missed.dead];
        let within = |counts: &[u64], most: &[u64]| counts.iter().zip(most).all(|(count, most)| count <= most);
        within(&counts(self), &counts(other)) && within(&missed(self), &missed(other))
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
