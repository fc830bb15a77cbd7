//! The records behind a row of a derived table: what the table's declaration says to select, from the lake.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use citystream_dataflows::tables::data_quality_15m::LENGTH;
use citystream_dataflows::tables::{Derived, Fields, From, Select, When, window};
use citystream_dataflows::time::Micros;
use futures::TryStreamExt;

use super::scan::{overlaps, rows, scan};
use crate::columns::row::Row;
use crate::columns::tables::{EVENT_TIME, LOG_TIME, Table};
use crate::error::RunError;
use crate::lake::history::commit::File;
use crate::lake::history::read;
use crate::lake::{Lake, State};

/// What stands behind a row.
#[derive(Default)]
pub struct Sources {
    /// Rows of the tables of records.
    pub tables: Vec<(Table, Vec<RecordBatch>)>,
    /// The log time that they count from: windows before it were sealed when they came.
    pub counts_from: Option<Micros>,
}

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
        let mut sources = Sources::default();
        let mut left: Vec<Select> = selects.into_iter().rev().collect();
        while let Some(select) = left.pop() {
            let found = self.select(&select).await?;
            if let Some(then) = select.then {
                let rows: Vec<Row<'_>> = rows(&found).collect();
                let rows: Vec<&dyn Fields> = rows.iter().map(|row| row as &dyn Fields).collect();
                left.extend(then(&rows).into_iter().rev());
            }
            if let When::Counted(from, _) = select.when {
                sources.counts_from = Some(from);
            }
            if select.shown {
                sources.tables.push((table_of(select.from), found));
            }
        }
        Ok(Some(sources))
    }

    async fn select(&self, select: &Select) -> Result<Vec<RecordBatch>, RunError> {
        let name = match select.from {
            From::Topic(_) => None,
            From::DeadLetters(topic) => self.state.topics.get(&topic).map(|topic| topic.name.as_str()),
        };
        let its = |row: &Row<'_>| name.is_none() || row.text("topic") == name;
        let table = table_of(select.from);
        match select.when {
            When::Happened(from, until) => {
                let wanted = |row: Row<'_>| {
                    let time = row.long(EVENT_TIME).filter(|time| (from..until).contains(time));
                    time.is_some() && row.text("disposition") == Some("on_time") && its(&row) && (select.wanted)(&row)
                };
                scan(self.lake, self.state, table, |file| overlaps(file, from, until), wanted).await
            }
            When::Counted(from, until) => {
                let horizons = self.horizons().await?;
                let counted = |row: &Row<'_>| {
                    let open = row.long("seq").and_then(|seq| horizons.get(&(seq as u64)).copied());
                    Some(window(row.long(LOG_TIME)?.max(open.unwrap_or(Micros::MIN)), LENGTH))
                };
                let may = |file: &File| file.log_time.is_none_or(|(first, _)| first < until);
                let is_in = |row: &Row<'_>| counted(row).is_some_and(|time| (from..until).contains(&time));
                let wanted = |row: Row<'_>| is_in(&row) && its(&row) && (select.wanted)(&row);
                scan(self.lake, self.state, table, may, wanted).await
            }
        }
    }

    /// The horizon that each commit was made at: that of the commit before.
    async fn horizons(&self) -> Result<BTreeMap<u64, Micros>, RunError> {
        let mut commits = std::pin::pin!(read::read(self.lake, 0..=self.state.seq));
        let mut horizons = BTreeMap::new();
        while let Some((_, commit)) = commits.try_next().await? {
            horizons.extend(commit.horizon.map(|horizon| (commit.seq + 1, horizon)));
        }
        Ok(horizons)
    }
}

fn table_of(from: From) -> Table {
    match from {
        From::Topic(topic) => Table::Raw(topic),
        From::DeadLetters(_) => Table::DeadLetters,
    }
}
