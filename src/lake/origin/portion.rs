//! Which epochs of an old lake are read together: what they hold of some partitions, and in which files.

use std::collections::BTreeMap;

use citystream_dataflows::time::bindings::{Binding, NextOffset, Partition};

use super::commits::Commits;
use super::old::{OldCommit, OldFile, OldLake};
use crate::columns::tables::DEAD_LETTERS;
use crate::source::SourceError;

/// A portion has records of so many commits at most, as each has its files, and looks at so many for more.
const MOST_COMMITS: usize = 64;
const MOST_SEEN: usize = 256;
/// Bytes of a row in memory for each in its file, about.
const EXPANSION: u64 = 6;
/// Bytes of a row in memory at least.
const LEAST: u64 = 128;

/// What is to be loaded of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// From that offset on.
    pub(super) from: NextOffset,
    /// Up to that one.
    pub(super) until: NextOffset,
    /// How many records that is; `None` where an epoch is begun in its middle.
    pub(super) records: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Portion {
    pub(super) spans: BTreeMap<Partition, Span>,
    /// By table.
    pub(super) files: BTreeMap<&'static str, Vec<OldFile>>,
    /// Up to where it passes partitions of which it loads nothing, as what comes before is not loaded yet.
    pub(super) passed: BTreeMap<Partition, NextOffset>,
    /// Bytes of a record, about.
    pub(super) cost: u64,
    records: u64,
    /// The first and the last commit.
    pub(super) seqs: Option<(u64, u64)>,
    commits: usize,
    seen: usize,
}

impl Portion {
    /// The next epochs, of about so many bytes, and no more than one of more: what they hold of these partitions, of each from an
    /// offset on.
    ///
    /// # Errors
    /// The old lake's.
    pub(super) async fn next(
        old: &OldLake,
        commits: &mut Commits,
        wanted: &BTreeMap<Partition, NextOffset>,
        bytes: u64,
    ) -> Result<Portion, SourceError> {
        let mut portion = Portion { cost: LEAST, ..Portion::default() };
        while !portion.is_enough(bytes) {
            let Some(mut commit) = commits.next(old).await? else { break };
            portion.seen += 1;
            old.same_topics(&commit)?;
            let before = portion.records;
            portion.cost = portion.cost.max(cost(&commit));
            let mut epochs = std::mem::take(&mut commit.epochs).into_iter();
            for epoch in epochs.by_ref() {
                epoch.bindings.iter().for_each(|binding| portion.take(binding, wanted));
                if portion.records * portion.cost >= bytes {
                    break;
                }
            }
            if portion.records > before {
                portion.commits += 1;
                portion.seqs = portion.seqs.map(|(first, _)| (first, commit.seq)).or(Some((commit.seq, commit.seq)));
                portion.take_files(&commit, wanted);
            }
            commit.epochs = epochs.collect();
            if !commit.epochs.is_empty() {
                commits.put_back(commit);
            }
        }
        // Elsewhere commits name their files once and for all.
        if let Some(seqs) = portion.seqs.filter(|_| old.is_packed()) {
            for (table, files) in &mut portion.files {
                *files = old.live(table, seqs).await?;
            }
        }
        Ok(portion)
    }

    fn is_enough(&self, bytes: u64) -> bool {
        let is_full = self.commits >= MOST_COMMITS || self.records * self.cost >= bytes;
        is_full || (self.records > 0 && self.seen >= MOST_SEEN)
    }

    fn take(&mut self, binding: &Binding, wanted: &BTreeMap<Partition, NextOffset>) {
        let Binding { partition, first, next, read, .. } = *binding;
        let Some(loaded) = wanted.get(&partition).copied().filter(|loaded| next > *loaded) else { return };
        let held = self.spans.get(&partition);
        if held.map_or(loaded, |span| span.until) < first {
            self.passed.insert(partition, next);
            return;
        }
        let is_whole = first >= loaded;
        let span = self.spans.entry(partition).or_insert(Span { from: loaded, until: next, records: Some(0) });
        span.until = next;
        span.records = span.records.filter(|_| is_whole).map(|records| records + read);
        self.records += read;
    }

    /// The files of a commit that may hold a record of the partitions.
    fn take_files(&mut self, commit: &OldCommit, wanted: &BTreeMap<Partition, NextOffset>) {
        let mut tables: Vec<&'static str> = wanted.keys().map(|partition| partition.topic.raw_table()).collect();
        tables.dedup();
        for table in tables.into_iter().chain([DEAD_LETTERS]) {
            let files = commit.added.get(table).into_iter().flatten().cloned();
            self.files.entry(table).or_default().extend(files);
        }
    }
}

/// Bytes of a row of a commit's records in memory, about.
fn cost(commit: &OldCommit) -> u64 {
    let tables = commit.added.iter().filter(|(table, _)| table.starts_with("raw_") || *table == DEAD_LETTERS);
    let (bytes, rows) =
        tables.flat_map(|(_, files)| files).fold((0, 1), |(b, r), file| (b + file.bytes, r + file.rows));
    bytes.saturating_mul(EXPANSION) / rows
}
