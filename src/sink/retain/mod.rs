//! Retention: what is kept no longer goes in the commits of the run (T3), whole dates of a table at a time.
//!
//! A date is due once all of it is older than its table's age, counted from the horizon or the time of the last commit, whichever is
//! earlier: a lake that has stood still loses nothing by it. What a start would read stays. Files that go are graves.

mod alone;

use std::collections::BTreeMap;

use citystream_dataflows::time::Micros;

pub use alone::{Outcome, cutoffs, retain, would_go};

use crate::columns::tables::Table;
use crate::config::Keep;
use crate::lake::Lake;
use crate::lake::history::commit::{Commit, Expired, File};
use crate::lake::history::read::ReadError;
use crate::lake::history::{State, retention, roots, tidy};

/// So many files are dropped by one commit, but for the rest of a date.
const MOST_FILES: usize = 2_000;

/// From which date on tables are kept, `YYYY-MM-DD`.
pub type Cutoffs = BTreeMap<Table, String>;

/// What somebody has asked a run to drop.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The request.
    pub id: String,
    /// From which date on tables are to be kept.
    pub cutoffs: Cutoffs,
}

/// Drops what is kept no longer in the commits of a run.
pub struct Retention {
    lake: Lake,
    keep: Keep,
    /// What was looked for when all that was due had been dropped.
    looked: Cutoffs,
}

impl Retention {
    /// Of a run that keeps rows so long.
    pub fn new(lake: Lake, keep: Keep) -> Retention {
        Retention { lake, keep, looked: Cutoffs::new() }
    }

    /// Puts what is due, and what was asked for, into a commit that follows a state; whether that is all of it. It is looked for
    /// once a date has passed, as that takes reading what is live.
    ///
    /// # Errors
    /// The store's; a history that is not sound.
    pub async fn record(
        &mut self,
        state: &State,
        commit: &mut Commit,
        asked: Option<&Asked>,
    ) -> Result<bool, ReadError> {
        let mut cutoffs = as_of(state).map(|as_of| from(&self.keep, as_of)).unwrap_or_default();
        for (table, before) in asked.into_iter().flat_map(|asked| &asked.cutoffs) {
            let cutoff = cutoffs.entry(*table).or_default();
            *cutoff = before.clone().max(std::mem::take(cutoff));
        }
        if cutoffs == self.looked && asked.is_none() {
            return Ok(true);
        }
        let (drops, is_all) = due(&self.lake, state, &cutoffs, MOST_FILES).await?;
        for drop in drops {
            let rows: u64 = drop.files.iter().map(|file| file.rows).sum();
            let (table, files) = (drop.table.name(), drop.files.len());
            tracing::info!("{table}: {rows} rows in {files} files of dates before {} are kept no longer", drop.before);
            let request = asked.filter(|asked| asked.cutoffs.contains_key(&drop.table)).map(|asked| asked.id.clone());
            drop.record(state, commit, request);
        }
        if is_all {
            self.looked = cutoffs;
        }
        Ok(is_all)
    }
}

/// From when ages are counted, by what a lake says itself; `None`: there is no horizon yet.
fn as_of(state: &State) -> Option<Micros> {
    Some(state.horizon?.min(state.time_ms.saturating_mul(1000)))
}

/// From which date on tables are kept at a time.
fn from(keep: &Keep, as_of: Micros) -> Cutoffs {
    let cutoff = |table: Table| {
        let age = Micros::try_from(keep.age(table)?.as_micros()).ok()?;
        let from = jiff::Timestamp::from_microsecond(as_of.checked_sub(age)?).ok()?;
        Some((table, from.strftime("%Y-%m-%d").to_string()))
    };
    Table::all().filter_map(cutoff).collect()
}

/// Files of whole dates of a table that are kept no longer.
struct Due {
    table: Table,
    before: String,
    files: Vec<File>,
}

impl Due {
    fn record(self, state: &State, commit: &mut Commit, request: Option<String>) {
        let table = self.table.name();
        let last = state.gone.get(table).map(|gone| gone.last);
        tidy::record_expired(commit, table, self.files, Expired { before: self.before, last }, request);
    }
}

/// What is due, the oldest dates of a table first, until it is so many files; and whether that is all.
async fn due(lake: &Lake, state: &State, cutoffs: &Cutoffs, most: usize) -> Result<(Vec<Due>, bool), ReadError> {
    let Some(horizon) = state.horizon else { return Ok((Vec::new(), true)) };
    let (mut drops, mut count) = (Vec::new(), 0);
    for (table, before) in cutoffs {
        // Of parts it is asked with their span, which may be a month: less than its dates.
        let old = roots::files(lake, &state.files, table.name(), |file| file.date < *before).await?;
        let mut dates: BTreeMap<String, Vec<File>> = BTreeMap::new();
        old.into_iter().for_each(|file| dates.entry(file.date.clone()).or_default().push(file));
        dates.retain(|_, files| files.iter().all(|file| retention::may_go(*table, file, horizon)));
        let (mut files, mut is_all) = (Vec::new(), true);
        for of_date in dates.into_values() {
            is_all = count < most;
            if !is_all {
                break;
            }
            count += of_date.len();
            files.extend(of_date);
        }
        drops.extend((!files.is_empty()).then(|| Due { table: *table, before: before.clone(), files }));
        if !is_all {
            return Ok((drops, false));
        }
    }
    Ok((drops, true))
}

#[cfg(test)]
mod tests;
