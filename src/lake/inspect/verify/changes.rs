//! The change logs against themselves (P2) and against the ledgers (P4), commit by commit, one table at a time. What the
//! live rows of a table add up to stands in its declaration.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::row::{RowConverter, SortField};
use citystream_dataflows::records::TextId;
use citystream_dataflows::records::hash::IdMap;
use citystream_dataflows::tables::{Derived, Total};
use citystream_dataflows::time::bindings::Topic;

use super::files::read_files;
use super::report::Report;
use crate::columns::row::column;
use crate::columns::text_hash::{TextHasher, draw_key};
use crate::lake::history::commit::{Commit, File, Ledger, saturating_sum};
use crate::lake::history::read::ReadError;
use crate::lake::history::{Violation, layout};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// Checks all derived tables; a lake that has none is not asked for them.
pub(super) async fn check(
    lake: &Lake,
    commits: &[Commit],
    removed: &BTreeSet<String>,
    report: &mut Report,
) -> Result<(), ReadError> {
    if !commits.iter().any(|commit| commit.added.keys().any(|table| layout::plain_table(table).is_some())) {
        return Ok(());
    }
    let hasher = TextHasher::new(draw_key().map_err(StoreError::from)?);
    for table in Derived::all() {
        let mut history = History::new(table, hasher);
        for commit in commits {
            let files = commit.added.get(table.changes()).into_iter().flatten();
            let files: Vec<&File> = files.filter(|file| !removed.contains(&file.path)).collect();
            read_files(lake, commit, &files, None, report, |batch| history.take(batch, commit)).await?;
            if let Err(violation) = history.advance(commit) {
                // What follows in this table cannot be judged without it.
                report.note(Err(violation));
                break;
            }
        }
    }
    Ok(())
}

/// One row of a change log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    key: TextId,
    diff: i32,
    /// All columns but diff, epoch and seq.
    content: TextId,
    /// Where its text is.
    place: (u32, u32),
}

/// A table as its changes make it.
struct History {
    table: Derived,
    hasher: TextHasher,
    /// The live rows by key, with what they say.
    live: IdMap<TextId, TextId>,
    sums: Vec<(&'static Total, i64)>,
    ledgers: HashMap<Topic, Ledger>,
    /// Of the commit at hand.
    changes: Vec<Change>,
    keys: Vec<StringArray>,
}

impl History {
    fn new(table: Derived, hasher: TextHasher) -> History {
        let sums = table.declaration().totals.iter().map(|total| (total, 0)).collect();
        let (live, ledgers) = (IdMap::default(), HashMap::new());
        History { table, hasher, live, sums, ledgers, changes: Vec::new(), keys: Vec::new() }
    }

    /// Takes rows of a commit.
    fn take(&mut self, batch: &RecordBatch, commit: &Commit) -> Result<(), String> {
        let lacks = |name: &str| format!("no column {name} of its type");
        let keys: &StringArray = column(batch, "row_key").ok_or_else(|| lacks("row_key"))?;
        let diffs: &Int32Array = column(batch, "diff").ok_or_else(|| lacks("diff"))?;
        for (name, expected) in [("seq", commit.seq), ("epoch", commit.epoch)] {
            let found: &Int64Array = column(batch, name).ok_or_else(|| lacks(name))?;
            if let Some(other) = found.iter().flatten().find(|value| *value != expected as i64) {
                return Err(format!("P2: a row of commit {} has {name} {other}", commit.seq));
            }
        }
        for (sum, total) in &mut self.sums {
            let Some(name) = sum.column else { continue };
            let values: &Int64Array = column(batch, name).ok_or_else(|| lacks(name))?;
            *total +=
                values.iter().zip(diffs).map(|(x, diff)| x.unwrap_or(0) * i64::from(diff.unwrap_or(0))).sum::<i64>();
        }
        let contents = contents(batch, self.hasher).map_err(|error| error.to_string())?;
        for (row, content) in contents.into_iter().enumerate() {
            let key = self.hasher.id(keys.value(row).as_bytes());
            let place = (self.keys.len() as u32, row as u32);
            self.changes.push(Change { key, diff: diffs.value(row), content, place });
        }
        self.keys.push(keys.clone());
        Ok(())
    }

    /// Applies the changes of a commit: each row is there once or not at all, and the sums are the ledgers'.
    fn advance(&mut self, commit: &Commit) -> Result<(), Violation> {
        let mut changes = std::mem::take(&mut self.changes);
        let keys = std::mem::take(&mut self.keys);
        changes.sort_unstable();
        for group in changes.chunk_by(|a, b| a.key == b.key) {
            self.apply(group).map_err(|what| {
                let (batch, row) = group[0].place;
                let key = keys[batch as usize].value(row as usize);
                Violation(format!("P2: commit {}: {} {key}: {what}", commit.seq, self.table.changes()))
            })?;
        }
        for (topic, ledger) in &commit.ledger {
            let total = self.ledgers.entry(*topic).or_default();
            *total = total.plus(ledger);
        }
        self.check_sums(commit.seq)
    }

    /// The changes of one key in one commit, -1 before +1.
    fn apply(&mut self, group: &[Change]) -> Result<(), &'static str> {
        let (gone, come) = match group {
            [one] if one.diff == -1 => (Some(one), None),
            [one] if one.diff == 1 => (None, Some(one)),
            [gone, come] if (gone.diff, come.diff) == (-1, 1) => (Some(gone), Some(come)),
            _ => return Err("more than one row that goes or comes"),
        };
        if let (Some(gone), Some(come)) = (gone, come)
            && gone.content == come.content
        {
            return Err("retracted and inserted again unchanged");
        }
        if let Some(gone) = gone {
            match self.live.remove(&gone.key) {
                None => return Err("goes, but is not there"),
                Some(content) if content != gone.content => return Err("goes, but was another"),
                Some(_) => {}
            }
        }
        if let Some(come) = come
            && self.live.insert(come.key, come.content).is_some()
        {
            return Err("comes, but is there");
        }
        Ok(())
    }

    fn check_sums(&self, seq: u64) -> Result<(), Violation> {
        for (sum, total) in &self.sums {
            let counted = self.ledgers.iter().filter(|(topic, _)| sum.topic.is_none_or(|t| t == **topic));
            let count = |ledger: &Ledger| match sum.but_missed {
                true => ledger.count_in_windows(sum.counted),
                false => ledger.count(sum.counted),
            };
            let expected = saturating_sum(counted.map(|(_, ledger)| count(ledger)));
            let found = if sum.column.is_some() { *total } else { self.live.len() as i64 };
            if found != expected as i64 {
                let (table, column) = (self.table.changes(), sum.column.unwrap_or("rows"));
                return Err(Violation(format!(
                    "P4: commit {seq}: {table}: {column}: {found}, {expected} in the ledgers"
                )));
            }
        }
        Ok(())
    }
}

/// A hash of each row, but for what a change adds to it.
fn contents(batch: &RecordBatch, hasher: TextHasher) -> Result<Vec<TextId>, arrow::error::ArrowError> {
    let schema = batch.schema();
    let own = |name: &str| !matches!(name, "diff" | "epoch" | "seq");
    let columns = schema.fields().iter().zip(batch.columns()).filter(|(field, _)| own(field.name()));
    let columns: Vec<ArrayRef> = columns.map(|(_, column)| column.clone()).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| hasher.id(row.as_ref())).collect())
}
