//! The records behind a row of a derived table: what the table's declaration says to select, from the lake.

use arrow::array::RecordBatch;
use citystream_dataflows::tables::{Derived, Fields, From, Select, When};

use crate::columns::row::Row;
use crate::columns::tables::{EVENT_TIME, QUALITY_WINDOW, Table};
use crate::error::RunError;
use crate::lake::history::commit::File;
use crate::lake::inspect::scan::{overlaps, rows, scan};
use crate::lake::{Lake, State};

/// What stands behind a row: rows of the tables of records.
pub type Sources = Vec<(Table, Vec<RecordBatch>)>;

/// A lake as a commit left it.
pub struct Source<'a> {
    /// The lake.
    pub lake: &'a Lake,
    /// After the commit.
    pub state: &'a State,
}

impl Source<'_> {
    /// The records behind the row of a table with a key; `None` if the key is none of that table.
    ///
    /// # Errors
    /// A file that is missing or cannot be read.
    pub async fn behind(&self, table: Derived, key: &str) -> Result<Option<Sources>, RunError> {
        let parts: Vec<&str> = key.split('/').collect();
        let Some(selects) = (table.behind)(&parts) else { return Ok(None) };
        let mut sources = Sources::new();
        let mut left: Vec<Select> = selects.into_iter().rev().collect();
        while let Some(select) = left.pop() {
            let found = self.select(&select).await?;
            if let Some(then) = select.then {
                let rows: Vec<Row<'_>> = rows(&found).collect();
                let rows: Vec<&dyn Fields> = rows.iter().map(|row| row as &dyn Fields).collect();
                left.extend(then(&rows).into_iter().rev());
            }
            if select.shown {
                sources.push((table_of(select.from), found));
            }
        }
        Ok(Some(sources))
    }

    async fn select(&self, select: &Select) -> Result<Vec<RecordBatch>, RunError> {
        let its = |row: &Row<'_>| match select.from {
            From::Topic(_) => true,
            From::DeadLetters(topic) => row.text("topic") == Some(topic.name()),
        };
        let table = table_of(select.from);
        match select.when {
            When::Happened(from, until) => {
                let wanted = |row: Row<'_>| {
                    let time = row.long(EVENT_TIME).filter(|time| (from..until).contains(time));
                    time.is_some() && row.text("disposition") == Some("on_time") && its(&row) && (select.wanted)(&row)
                };
                Ok(scan(self.lake, self.state, table, |file| overlaps(file, from, until), wanted).await?)
            }
            When::Counted(from, until) => {
                let may = |file: &File| file.quality_window.is_some_and(|(first, last)| first < until && last >= from);
                let is_in = |row: &Row<'_>| row.long(QUALITY_WINDOW).is_some_and(|time| (from..until).contains(&time));
                let wanted = |row: Row<'_>| is_in(&row) && its(&row) && (select.wanted)(&row);
                Ok(scan(self.lake, self.state, table, may, wanted).await?)
            }
        }
    }
}

fn table_of(from: From) -> Table {
    match from {
        From::Topic(topic) => Table::Raw(topic),
        From::DeadLetters(_) => Table::DeadLetters,
    }
}
