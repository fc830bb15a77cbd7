//! The records behind a row of a derived table: what the table's declaration says to select, from the lake.

use std::cell::RefCell;

use arrow::array::RecordBatch;
use citystream_dataflows::tables::{Derived, Fields, From, Select, When};
use citystream_dataflows::time::Micros;
use citystream_wire::Becomes;

use crate::columns::row::Row;
use crate::columns::tables::{EVENT_TIME, QUALITY_WINDOW, Table};
use crate::error::RunError;
use crate::lake::history::commit::File;
use crate::lake::inspect::beyond::{Beyond, dropped, erased};
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
    /// What was looked for, and when that was.
    looked: RefCell<Vec<(Table, When)>>,
}

impl<'a> Source<'a> {
    /// A lake as a commit left it.
    pub fn new(lake: &'a Lake, state: &'a State) -> Source<'a> {
        Source { lake, state, looked: RefCell::default() }
    }

    /// What of it is kept no longer, or erased: of each table the last.
    ///
    /// # Errors
    /// A commit that cannot be read.
    pub async fn gone(&self) -> Result<Vec<Beyond>, RunError> {
        let mut gone: Vec<Beyond> = Vec::new();
        for (table, when) in self.looked.take() {
            if gone.iter().all(|beyond| beyond.table != table.name()) {
                let may = |file: &File| may_hold(file, when);
                gone.extend(dropped(self.lake, self.state, table, may).await?);
                gone.extend(erased(self.lake, self.state, table, (may, |_: &_| true)).await?);
            }
        }
        Ok(gone)
    }

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
        let when = select.when;
        let may = move |file: &File| may_hold(file, when);
        let found = match when {
            When::Happened(from, until) => {
                let wanted = |row: Row<'_>| {
                    let time = row.long(EVENT_TIME).filter(|time| (from..until).contains(time));
                    time.is_some() && row.text("disposition") == Some("on_time") && its(&row) && (select.wanted)(&row)
                };
                scan(self.lake, self.state, table, may, wanted).await?
            }
            When::Counted(from, until) => {
                let is_in = |row: &Row<'_>| row.long(QUALITY_WINDOW).is_some_and(|time| (from..until).contains(&time));
                let wanted = |row: Row<'_>| is_in(&row) && its(&row) && (select.wanted)(&row);
                scan(self.lake, self.state, table, may, wanted).await?
            }
        };
        // A ping that is looked for at any time is one, by its place: where it is found nothing is missing.
        let is_ping = table.topic().is_some_and(|topic| topic.declaration().becomes == Becomes::Pings);
        let is_it = is_ping && when == When::Happened(Micros::MIN, Micros::MAX) && !found.is_empty();
        self.looked.borrow_mut().extend((!is_it).then_some((table, when)));
        Ok(found)
    }
}

/// Whether a file may have rows of then.
fn may_hold(file: &File, when: When) -> bool {
    match when {
        When::Happened(from, until) => overlaps(file, from, until),
        When::Counted(from, until) => file.quality_window.is_some_and(|(first, last)| first < until && last >= from),
    }
}

fn table_of(from: From) -> Table {
    match from {
        From::Topic(topic) => Table::Raw(topic),
        From::DeadLetters(_) => Table::DeadLetters,
    }
}
