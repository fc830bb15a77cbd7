//! The newest rows of a table: those of its last commits, in the order in which they came.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use citystream_dataflows::tables::{Derived, Fields};

use super::scan::{read, rows, scan};
use crate::columns::row::Row;
use crate::columns::show::{Shown, show};
use crate::columns::tables::{Table, schema};
use crate::lake::delta::commits_table;
use crate::lake::history::commit::{Commit, File};
use crate::lake::history::read::{self as history, ReadError};
use crate::lake::history::{base, layout, roots, tidy};
use crate::lake::store::Lake;

/// A table whose rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tailed {
    /// One row a commit.
    Commits,
    /// A table of records, all changes of a derived one, or what of it is sealed.
    All(Table),
    /// A derived table as it is now: rows as they come, and as they are corrected.
    Now(Derived),
}

impl Tailed {
    /// The table of that name.
    pub fn from_name(name: &str) -> Option<Tailed> {
        let table = || Some(Tailed::All(Table::from_name(name)?));
        let now = || Some(Tailed::Now(Derived::from_name(name.strip_suffix("_now")?)?));
        (name == layout::COMMITS_TABLE).then_some(Tailed::Commits).or_else(now).or_else(table)
    }

    /// The names of all of them.
    pub fn names() -> impl Iterator<Item = String> {
        let now = Derived::all().map(|table| format!("{}_now", table.name()));
        Table::all().map(|table| table.name().to_owned()).chain(now).chain([layout::COMMITS_TABLE.to_owned()])
    }

    /// The columns of its files.
    pub fn schema(self) -> SchemaRef {
        match self {
            Tailed::Commits => commits_table::schema(),
            Tailed::All(table) => schema(table),
            Tailed::Now(table) => schema(Table::Changes(table)),
        }
    }

    /// The columns that people look at first.
    pub fn first_columns(self) -> Vec<&'static str> {
        match self {
            Tailed::Commits => vec!["seq", "time", "horizon"],
            Tailed::All(Table::Changes(table)) => vec!["seq", "diff", table.time, "row_key"],
            Tailed::All(Table::Sealed(table)) => vec!["seq", table.time, "row_key"],
            Tailed::All(table) => vec!["seq", table.sort_column(), "topic", "partition", "offset"],
            Tailed::Now(table) => vec!["seq", table.time, "row_key"],
        }
    }

    /// The last `count` rows of the commits up to `last`.
    pub async fn last(self, lake: &Lake, last: u64, count: usize) -> Result<Vec<Shown>, ReadError> {
        let mut newest: Vec<Shown> = Vec::new();
        for seq in (self.first(lake).await?..=last).rev() {
            if newest.len() >= count {
                break;
            }
            let mut rows = self.of_commit(lake, seq).await?;
            rows.append(&mut newest);
            newest = rows.split_off(rows.len().saturating_sub(count));
        }
        Ok(newest)
    }

    /// The first commit whose rows there are: those of earlier ones may be kept no longer.
    async fn first(self, lake: &Lake) -> Result<u64, ReadError> {
        let Some(state) = roots::state(lake).await? else { return Ok(0) };
        let first = base::first(&state);
        let table = match self {
            Tailed::Commits => return Ok(first),
            Tailed::All(table) => table,
            Tailed::Now(table) => Table::Changes(table),
        };
        if !state.gone.contains_key(table.name()) {
            return Ok(first);
        }
        let live = roots::files(lake, &state.files, table.name(), |_| true).await?;
        Ok(live.iter().map(|file| file.seqs.0).min().unwrap_or(state.seq).max(first))
    }

    /// The rows that a commit brought, by epoch and by their own time.
    pub async fn of_commit(self, lake: &Lake, seq: u64) -> Result<Vec<Shown>, ReadError> {
        let (_, commit) = history::commit(lake, seq).await?;
        let (table, is_now) = match self {
            Tailed::Commits => return Ok(rows(&[commits_table::rows(&[commit])?]).map(show).collect()),
            Tailed::All(table) => (table, false),
            Tailed::Now(table) => (Table::Changes(table), true),
        };
        let batches = batches(lake, &commit, table).await?;
        let mut found: Vec<Row<'_>> = rows(&batches).filter(|row| !is_now || row.int("diff") == Some(1)).collect();
        found.sort_by_key(|row| (row.long("epoch"), row.long(table.sort_column())));
        let shown = found.into_iter().map(show);
        Ok(shown.map(|row| if is_now { row.without("diff") } else { row }).collect())
    }
}

/// The rows that a commit brought to a table: from the files that it added, or, where those are gone, from whichever files have
/// them now.
async fn batches(lake: &Lake, commit: &Commit, table: Table) -> Result<Vec<RecordBatch>, ReadError> {
    let mut batches = Vec::new();
    for file in tidy::new_files(commit, table.name()) {
        if !lake.exists(&file.path).await? {
            let seq = commit.seq;
            let Some(state) = roots::state(lake).await? else { return Ok(Vec::new()) };
            let may = |file: &File| file.seqs.0 <= seq && seq <= file.seqs.1;
            return scan(lake, &state, table, may, |row| row.long("seq") == Some(seq as i64)).await;
        }
        batches.extend(read(lake, &file.path).await?);
    }
    Ok(batches)
}
