//! Delta checkpoints: every [`EVERY`] versions one Parquet file that stands for a table's whole log up to there, so that
//! a reader of a long log reads one file and the few versions after it.
//!
//! A checkpoint is a function of the commits: it is folded from the last sound one before it and the commits since. It is no
//! truth of its own: without it readers read more versions; one that is wrong is [repaired](repair) at a start. Removed files are left out at once: nobody but citystream deletes
//! files.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::lake::delta::{self, Table, checkpoint_file as file};
use crate::lake::history::commit::Commit;
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{Violation, layout};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// A checkpoint is written after every version whose number is a multiple of this.
pub const EVERY: u64 = 100;

/// A table on the way to a checkpoint: its live files, as `add` actions, before version `next`.
pub(in crate::lake) struct Fold<'a> {
    table: &'a Table,
    next: u64,
    live: Vec<Value>,
}

impl<'a> Fold<'a> {
    /// Before the first version.
    pub(in crate::lake) fn new(table: &'a Table) -> Self {
        Fold { table, next: 0, live: Vec::new() }
    }

    /// After the last sound checkpoint before a version where one is due; before the first version, if there is none.
    async fn before(lake: &Lake, table: &'a Table, version: u64) -> Result<Self, ReadError> {
        for version in (1..version / EVERY).rev().map(|n| n * EVERY) {
            let found = lake.get(&layout::delta_checkpoint(&table.name, version)).await?;
            if let Some(live) = found.and_then(|bytes| file::live(&trusted(table, bytes)?).ok()) {
                return Ok(Fold { table, next: version + 1, live });
            }
        }
        Ok(Fold::new(table))
    }

    /// Takes the commit of version `next`; `row_bytes` as in [`row_bytes`].
    pub(in crate::lake) fn take(&mut self, commit: &Commit, row_bytes: u64) {
        let (removed, added) = delta::changes(self.table, commit, row_bytes);
        self.live.retain(|add| !removed.iter().any(|gone| gone["path"] == add["path"]));
        self.live.extend(added);
        self.next += 1;
    }

    /// The checkpoint of the versions taken. `made` is commit 0.
    pub(in crate::lake) fn checkpoint(&self, lake_id: &str, made: &Commit) -> Result<RecordBatch, ReadError> {
        let metadata = delta::metadata(lake_id, self.table, made);
        Ok(file::batch(self.table, &metadata, &self.live).map_err(wrong)?)
    }
}

/// Writes the checkpoints of tables that have version `seq`, where one is due and missing.
pub async fn write(lake: &Lake, lake_id: &str, tables: &[&Table], seq: u64) -> Result<(), ReadError> {
    if seq == 0 || !seq.is_multiple_of(EVERY) {
        return Ok(());
    }
    let mut folds = Vec::new();
    for table in tables {
        if !lake.exists(&layout::delta_checkpoint(&table.name, seq)).await? {
            folds.push((Fold::before(lake, table, seq).await?, BTreeSet::from([seq])));
        }
    }
    put_due(lake, lake_id, folds).await
}

/// Writes all checkpoints of a table anew from the commits up to `head`, if one that readers or the next fold would
/// begin with is wrong: earlier releases left out the partition values of change logs. Costs a sound table the read of
/// `_last_checkpoint` and of one checkpoint.
pub async fn repair(lake: &Lake, lake_id: &str, tables: &[Table], head: u64) -> Result<(), ReadError> {
    let judged =
        tables.iter().map(|table| async move { Ok::<_, StoreError>((table, is_sound(lake, table, head).await?)) });
    let judged: Vec<_> = futures::stream::iter(judged).buffered(4).try_collect().await?;
    let mut folds = Vec::new();
    for (table, _) in judged.into_iter().filter(|(_, sound)| !sound) {
        let listed = lake.list(&layout::delta_log(&table.name), None).await?;
        let versions = listed.iter().filter_map(|object| layout::checkpoint_version(&object.path));
        folds.push((Fold::new(table), versions.filter(|version| *version <= head).collect()));
    }
    if !folds.is_empty() {
        let names: Vec<_> = folds.iter().map(|(fold, _)| fold.table.name.as_str()).collect();
        tracing::warn!("wrong Delta checkpoints, written anew from all commits: {}", names.join(", "));
    }
    put_due(lake, lake_id, folds).await
}

/// Whether the checkpoints that readers and the next fold begin with can be trusted; those that are missing can.
async fn is_sound(lake: &Lake, table: &Table, head: u64) -> Result<bool, StoreError> {
    let latest = head - head % EVERY;
    if latest == 0 {
        return Ok(true);
    }
    let last = lake.get(&layout::delta_last_checkpoint(&table.name)).await?;
    let last: Option<Value> = last.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let named = last.and_then(|last| last["version"].as_u64()).filter(|version| *version != latest);
    for version in named.into_iter().chain([latest]) {
        let found = lake.get(&layout::delta_checkpoint(&table.name, version)).await?;
        if found.is_some_and(|bytes| trusted(table, bytes).is_none()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A checkpoint that can be read and whose files have their partition values.
fn trusted(table: &Table, bytes: Bytes) -> Option<RecordBatch> {
    let batch = file::decode(bytes).ok()?;
    file::is_partitioned(table, &batch).is_ok_and(|sound| sound).then_some(batch)
}

/// Folds the commits, and puts each table's checkpoints that are due, in order: where this breaks off, the last one is
/// as it was.
async fn put_due(lake: &Lake, lake_id: &str, mut folds: Vec<(Fold<'_>, BTreeSet<u64>)>) -> Result<(), ReadError> {
    let first = folds.iter().map(|(fold, _)| fold.next).min();
    let last = folds.iter().filter_map(|(_, due)| due.last().copied()).max();
    let Some((first, last)) = first.zip(last) else { return Ok(()) };
    let (_, made) = read::commit(lake, 0).await?;
    let mut commits = std::pin::pin!(read::read(lake, first..=last).await?);
    while let Some((_, commit)) = commits.try_next().await? {
        let seq = commit.seq;
        for (fold, due) in folds.iter_mut().filter(|(fold, due)| fold.next == seq && due.last() >= Some(&seq)) {
            let table = fold.table;
            fold.take(&commit, row_bytes(lake, table, seq).await?);
            if due.contains(&seq) {
                let bytes = file::encode(&fold.checkpoint(lake_id, &made)?).map_err(wrong)?;
                lake.put(&layout::delta_checkpoint(&table.name, seq), bytes).await?;
            }
            if due.last() == Some(&seq) {
                let last = json!({"version": seq, "size": fold.live.len() + file::HEADER}).to_string();
                lake.put(&layout::delta_last_checkpoint(&table.name), last.into()).await?;
            }
        }
    }
    Ok(())
}

/// The length of a commit's file in the table of commits; 0 for any other table.
pub(in crate::lake) async fn row_bytes(lake: &Lake, table: &Table, seq: u64) -> Result<u64, StoreError> {
    if !table.is_commits() {
        return Ok(0);
    }
    Ok(lake.size(&layout::commits_file(seq)).await?.unwrap_or(0))
}

fn wrong(error: ArrowError) -> Violation {
    Violation(format!("a Delta checkpoint: {error}"))
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
