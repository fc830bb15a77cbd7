//! Verifies a lake from itself alone: the chain of commits, adjacent bindings, P4 against the files, the files, the roots, and
//! the Delta logs with their checkpoints; and the derived tables against themselves and the ledgers. Reads every live
//! file once; memory is bounded by all commits, the rows of the largest one, for a derived table by 32 bytes a live row,
//! for checkpoints by the live files of one table, for roots by those of all.

mod changes;
mod files;
mod logs;
mod report;
mod roots;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use citystream_dataflows::time::bindings::{Partition, Topic};
use citystream_dataflows::time::disposition::Disposition;
use futures::StreamExt;

use self::files::read_files;
pub use self::report::Report;
use self::roots::Roots;
use crate::columns::row::column;
use crate::columns::tables::{LOG_TIME, QUALITY_WINDOW};
use crate::lake::delta::Table;
use crate::lake::digest;
use crate::lake::history::commit::{Commit, File, Ledger};
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{self, Violation, bindings, layout, name};
use crate::lake::store::Lake;

/// Reads all of a lake. `tables` are those with Delta logs. An error is a store that cannot be read.
pub async fn verify(lake: &Lake, lake_id: &str, tables: &[Table]) -> Result<Report, ReadError> {
    let (commits, mut report) = history(lake).await?;
    let removed_later: BTreeSet<String> =
        commits.iter().flat_map(|commit| commit.removed.values().flatten()).map(|file| file.path.clone()).collect();
    for commit in &commits {
        check_files(lake, commit, &removed_later, &mut report).await?;
    }
    changes::check(lake, &commits, &removed_later, &mut report).await?;
    logs::check_all(lake, lake_id, tables, &commits, &mut report).await?;
    Ok(report)
}

/// The same without the data files: the chain, bindings, ledgers, roots, packs and Delta logs.
pub async fn quick(lake: &Lake, lake_id: &str, tables: &[Table]) -> Result<Report, ReadError> {
    let (commits, mut report) = history(lake).await?;
    logs::check_all(lake, lake_id, tables, &commits, &mut report).await?;
    Ok(report)
}

/// The commits up to the first that is broken, checked one after the other, and against the roots and packs.
async fn history(lake: &Lake) -> Result<(Vec<Commit>, Report), ReadError> {
    let mut report = Report::default();
    let mut commits = Vec::new();
    let Some(head) = read::head(lake, None).await? else { return Ok((commits, report)) };
    let mut state = None;
    let mut roots = Roots::read(lake).await?;
    let mut read = std::pin::pin!(read::read(lake, 0..=head).await?);
    while let Some(read) = read.next().await {
        let (bytes, commit) = match read {
            Ok(read) => read,
            Err(ReadError::Integrity(Violation(text))) => {
                // What follows cannot be judged without it.
                report.violations.push(text);
                break;
            }
            Err(error) => return Err(error),
        };
        report.note(history::check(state.as_ref(), &commit));
        // The sum of the files is the roots' to judge.
        let state_of = Commit { added: BTreeMap::new(), removed: BTreeMap::new(), ..commit.clone() };
        let after = history::apply(state, &state_of, digest(&bytes));
        roots.take(lake, &commit, &after, &mut report).await?;
        state = Some(after);
        commits.push(commit);
        report.commits += 1;
    }
    Ok((commits, report))
}

/// The rows of one commit: offsets by topic name and partition, dispositions by topic name.
#[derive(Default)]
struct Rows {
    offsets: BTreeMap<Partition, Vec<i64>>,
    counts: BTreeMap<Topic, Ledger>,
}

async fn check_files(
    lake: &Lake,
    commit: &Commit,
    removed: &BTreeSet<String>,
    report: &mut Report,
) -> Result<(), ReadError> {
    let mut rows = Rows::default();
    let mut complete = true;
    for (table, files) in commit.added.iter().filter(|(table, _)| layout::plain_table(table).is_none()) {
        let dead = table == layout::DEAD_LETTERS;
        let live: Vec<&File> = files.iter().filter(|file| !removed.contains(&file.path)).collect();
        complete &= live.len() == files.len();
        let columns = ["topic", "partition", "offset", "disposition", "event_time", LOG_TIME, QUALITY_WINDOW];
        read_files(lake, commit, &live, Some(&columns), report, |batch| take(batch, dead, &mut rows)).await?;
    }
    if complete {
        let checked = check_rows(commit, rows, &mut report.bindings);
        report.note(checked);
    }
    Ok(())
}

/// Adds a batch's rows.
fn take(batch: &RecordBatch, dead: bool, rows: &mut Rows) -> Result<(), String> {
    let lacks = |name: &str| format!("no column {name} of its type");
    let topics: &StringArray = column(batch, "topic").ok_or_else(|| lacks("topic"))?;
    let partitions: &Int32Array = column(batch, "partition").ok_or_else(|| lacks("partition"))?;
    let offsets: &Int64Array = column(batch, "offset").ok_or_else(|| lacks("offset"))?;
    let dispositions: Option<&StringArray> = column(batch, "disposition").filter(|_| !dead);
    if dispositions.is_none() && !dead {
        return Err(lacks("disposition"));
    }
    let windows: &TimestampMicrosecondArray = column(batch, QUALITY_WINDOW).ok_or_else(|| lacks(QUALITY_WINDOW))?;
    for row in 0..batch.num_rows() {
        let topic = topics.value(row);
        let topic = Topic::named(topic).ok_or_else(|| format!("a topic {topic:?}"))?;
        let partition = Partition { topic, index: partitions.value(row) };
        rows.offsets.entry(partition).or_default().push(offsets.value(row));
        let ledger = rows.counts.entry(topic).or_default();
        ledger.read += 1;
        let disposition = |name| Disposition::from_name(name).ok_or_else(|| format!("a disposition {name}"));
        let disposition = dispositions.map(|names| disposition(names.value(row))).transpose()?;
        ledger.add(disposition, windows.is_null(row));
    }
    Ok(())
}

/// P4 and P2: each binding's count is its distinct offsets in the files, nothing else is in them, and the ledger is
/// what they add up to. As bindings are adjacent, no offset of one topic id can come twice in the whole history.
fn check_rows(commit: &Commit, mut rows: Rows, compared: &mut u64) -> Result<(), Violation> {
    let seq = commit.seq;
    let mut expected: BTreeMap<Partition, u64> = BTreeMap::new();
    for offsets in rows.offsets.values_mut() {
        offsets.sort_unstable();
    }
    for (partition, offsets) in &rows.offsets {
        if let Some(twice) = offsets.windows(2).find(|pair| pair[0] == pair[1]) {
            let name = name(*partition);
            return Err(Violation(format!("P2: commit {seq}: {name} offset {} is there twice", twice[0])));
        }
    }
    for (epoch, binding) in bindings(commit) {
        *compared += 1;
        let partition = binding.partition;
        let offsets = rows.offsets.get(&partition).map_or(&[][..], |o| o);
        let below = |end: i64| offsets.partition_point(|offset| *offset < end);
        let found = (below(binding.next.0) - below(binding.first.0)) as u64;
        if found != binding.read {
            let (name, read) = (name(partition), binding.read);
            return Err(Violation(format!(
                "P4: commit {seq}: {name} in epoch {epoch}: {read} read, {found} in the files"
            )));
        }
        *expected.entry(partition).or_default() += found;
    }
    let bound: u64 = expected.values().sum();
    let there: u64 = rows.offsets.values().map(|o| o.len() as u64).sum();
    if bound != there {
        return Err(Violation(format!("P4: commit {seq}: {there} rows in the files, {bound} of them in its bindings")));
    }
    for topic in Topic::all() {
        let files = rows.counts.get(&topic).copied().unwrap_or_default();
        let ledger = commit.ledger.get(&topic).copied().unwrap_or_default();
        if files != ledger {
            let name = topic.name();
            return Err(Violation(format!(
                "P4: commit {seq}: {name}: {ledger:?} in the ledger, {files:?} in the files"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
