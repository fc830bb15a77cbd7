//! The newest rows of a table: those of its last commits, in the order in which they came.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use citystream_dataflows::tables::{Derived, Fields};

use super::scan::{read, rows};
use crate::columns::row::Row;
use crate::columns::show::{Shown, show};
use crate::columns::tables::{Table, schema};
use crate::lake::delta::commits_table;
use crate::lake::history::commit::Commit;
use crate::lake::history::layout;
use crate::lake::history::read::{self as history, ReadError};
use crate::lake::store::Lake;

/// A table whose rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tailed {
    /// One row a commit.
    Commits,
    /// A table of records, or all changes of a derived one.
    All(Table),
    /// A derived table: rows as they come, and as they are corrected.
    Rows(Derived),
}

impl Tailed {
    /// The table of that name.
    pub fn from_name(name: &str) -> Option<Tailed> {
        let table = || Some(Tailed::All(Table::from_name(name)?));
        let rows = || Some(Tailed::Rows(Derived::from_name(name)?));
        (name == layout::COMMITS_TABLE).then_some(Tailed::Commits).or_else(rows).or_else(table)
    }

    /// The names of all of them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let records = Table::records().map(Table::name);
        records.chain(Derived::all().flat_map(|table| [table.name(), table.changes()])).chain([layout::COMMITS_TABLE])
    }

    /// The columns of its files.
    pub fn schema(self) -> SchemaRef {
        match self {
            Tailed::Commits => commits_table::schema(),
            Tailed::All(table) => schema(table),
            Tailed::Rows(table) => schema(Table::Derived(table)),
        }
    }

    /// The columns that people look at first.
    pub fn first_columns(self) -> Vec<&'static str> {
        match self {
            Tailed::Commits => vec!["seq", "time", "horizon"],
            Tailed::All(Table::Derived(table)) => vec!["seq", "diff", table.time, "row_key"],
            Tailed::All(table) => vec!["seq", table.sort_column(), "topic", "partition", "offset"],
            Tailed::Rows(table) => vec!["seq", table.time, "row_key"],
        }
    }

    /// The last `count` rows of the commits up to `last`.
    pub async fn last(self, lake: &Lake, last: u64, count: usize) -> Result<Vec<Shown>, ReadError> {
        let mut newest: Vec<Shown> = Vec::new();
        for seq in (0..=last).rev() {
            if newest.len() >= count {
                break;
            }
            let mut rows = self.of_commit(lake, seq).await?;
            rows.append(&mut newest);
            newest = rows.split_off(rows.len().saturating_sub(count));
        }
        Ok(newest)
    }

    /// The rows that a commit brought, by epoch and by their own time.
    pub async fn of_commit(self, lake: &Lake, seq: u64) -> Result<Vec<Shown>, ReadError> {
        let (_, commit) = history::commit(lake, seq).await?;
        let (table, is_plain) = match self {
            Tailed::Commits => return Ok(rows(&[commits_table::row(&commit)?]).map(show).collect()),
            Tailed::All(table) => (table, false),
            Tailed::Rows(table) => (Table::Derived(table), true),
        };
        let batches = batches(lake, &commit, table).await?;
        let mut found: Vec<Row<'_>> = rows(&batches).filter(|row| !is_plain || row.int("diff") == Some(1)).collect();
        found.sort_by_key(|row| (row.long("epoch"), row.long(table.sort_column())));
        let shown = found.into_iter().map(show);
        Ok(shown.map(|row| if is_plain { row.without("diff") } else { row }).collect())
    }
}

async fn batches(lake: &Lake, commit: &Commit, table: Table) -> Result<Vec<RecordBatch>, ReadError> {
    let mut batches = Vec::new();
    for file in commit.added.get(table.name()).into_iter().flatten() {
        batches.extend(read(lake, &file.path).await?);
    }
    Ok(batches)
}
