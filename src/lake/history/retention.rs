//! What a lake keeps no longer: whole dates of a table, whose files a commit removes for good (T3). What is gone is
//! counted, so that it and what is live still are what the ledgers say (P4).

use std::collections::{BTreeMap, BTreeSet};

use citystream_dataflows::tables::{Derived, Resume};
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::Topic;
use serde::{Deserialize, Serialize};

use crate::columns::tables::Table;
use crate::lake::history::commit::{Commit, Expired, File, Ledger, Tidy, TidyKind, counted, saturating_sum};
use crate::lake::history::needs::Bounds;
use crate::lake::history::{State, Violation, layout};

/// What of a table is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gone {
    /// How many files.
    pub files: u64,
    /// What they were together; its date is the last that is gone. It has neither path nor digest.
    pub sum: File,
    /// The commit that last dropped some.
    pub last: u64,
}

/// By table.
pub type AllGone = BTreeMap<String, Gone>;

/// Takes up a commit.
pub(super) fn take(all: &mut AllGone, commit: &Commit) {
    for tidy in dropped(commit) {
        let files = commit.removed_by(tidy);
        let (before, held) = (all.get(&tidy.table), files.len() as u64);
        let together = || before.map(|gone| &gone.sum).into_iter().chain(files.iter().copied());
        let date = together().map(|file| file.date.clone()).max().unwrap_or_default();
        let sum = File { date, ..File::sum(together()) };
        let files = before.map_or(0, |gone| gone.files).saturating_add(held);
        let gone = Gone { files, sum, last: commit.seq };
        all.insert(tidy.table.clone(), gone);
    }
}

/// What a commit drops.
pub fn dropped(commit: &Commit) -> impl Iterator<Item = &Tidy> {
    commit.tidy.iter().filter(|tidy| tidy.what == TidyKind::Keep)
}

/// The files of a table that commits dropped.
pub fn gone<'a>(commits: &'a [Commit], table: &'a str) -> impl Iterator<Item = &'a File> {
    let its = move |commit: &'a Commit| {
        dropped(commit).filter(move |tidy| tidy.table == table).map(move |tidy| (commit, tidy))
    };
    commits.iter().flat_map(its).flat_map(|(commit, tidy)| commit.removed_by(tidy))
}

/// Whether a start from a horizon, or a later one, does without a file, whatever tables its run makes; and of a derived table,
/// whether all its rows are final.
pub fn may_go(table: Table, file: &File, horizon: Micros) -> bool {
    let last = file.event_time.map(|(_, last)| last);
    if let Some(derived) = table.derived() {
        return last.is_some_and(|last| last < done_before(derived, horizon));
    }
    let bounds = Bounds::of(Resume { horizon, is_exposure_open: true }, Derived::all());
    // From the horizon on records may be repeated.
    let has_happened =
        table.topic().zip(last).is_some_and(|(topic, last)| last >= horizon || bounds.has_happened(topic, last));
    !has_happened && !bounds.is_counted(file.quality_window.map(|(_, last)| last))
}

/// Before this time rows of a table are sealed, and no start reads their changes.
fn done_before(table: Derived, horizon: Micros) -> Micros {
    let sealed = table.sealing.all_before(horizon);
    table.recovery.map_or(sealed, |recovery| sealed.min((recovery.from)(horizon)))
}

/// T3: what is dropped is what the tidy says, of dates that it says, and no start needs it.
pub(super) fn check(previous: Option<&State>, tidy: &Tidy, removed: &[&File], added: &[&File]) -> Result<(), String> {
    let Some(Expired { before, last }) = &tidy.expired else { return Err("it does not say until when".to_owned()) };
    let rows = saturating_sum(removed.iter().map(|file| file.rows));
    if removed.is_empty() || (removed.len(), rows) != (tidy.removed.len(), tidy.rows_removed) {
        return Err(format!(
            "it says {} files of {} rows for {}",
            tidy.removed.len(),
            tidy.rows_removed,
            removed.len()
        ));
    }
    if !added.is_empty() || !tidy.added.is_empty() || tidy.rows_added > 0 {
        return Err("something takes its place".to_owned());
    }
    if *last != previous.and_then(|state| state.gone.get(&tidy.table)).map(|gone| gone.last) {
        return Err(format!("{last:?} did not drop the last of it"));
    }
    let table = Table::from_name(&tidy.table).ok_or("no such table")?;
    let horizon = previous.and_then(|state| state.horizon).ok_or("there is no horizon yet")?;
    match removed.iter().find(|file| file.date >= *before || !may_go(table, file, horizon)) {
        Some(file) => Err(format!("{} is not before {before}, or still needed", file.path)),
        None => Ok(()),
    }
}

/// T3: of a table's live files all of a date are dropped, or none.
pub fn check_whole<'a>(
    commit: &Commit,
    table: &str,
    live: impl IntoIterator<Item = &'a File>,
) -> Result<(), Violation> {
    let ours: Vec<&Tidy> = dropped(commit).filter(|tidy| tidy.table == table).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let files: Vec<&File> = ours.iter().flat_map(|tidy| commit.removed_by(tidy)).collect();
    let dates: BTreeSet<&str> = files.iter().map(|file| file.date.as_str()).collect();
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let is_left = |file: &&File| dates.contains(file.date.as_str()) && !paths.contains(file.path.as_str());
    match live.into_iter().find(is_left) {
        Some(left) => {
            let (seq, path) = (commit.seq, &left.path);
            Err(Violation(format!("T3: commit {seq}: dropping {table}: {path} of the same date is left")))
        }
        None => Ok(()),
    }
}

/// P4: what is live, what is gone and what is erased are what the ledgers count; `live` says the rows of a table that are, and
/// what they add up to.
pub fn check_sums(state: &State, live: impl Fn(&str) -> (u64, i64)) -> Result<(), Violation> {
    let gone = |table: &str| {
        let (rows, net) = state.gone.get(table).map_or((0, 0), |gone| (gone.sum.rows, gone.sum.net));
        let erased = state.erased.get(table).map_or((0, 0), |erased| (erased.rows, erased.net));
        (rows.saturating_add(erased.0), net.saturating_add(erased.1))
    };
    let rows = |table: &str| live(table).0.saturating_add(gone(table).0);
    let raw = Topic::all().map(|topic| (layout::raw_table(topic), state.totals.get(&topic).map_or(0, Ledger::rows)));
    let dead = (layout::DEAD_LETTERS, saturating_sum(state.totals.values().map(|ledger| ledger.dead)));
    let at = state.seq;
    for (table, expected) in raw.chain([dead]) {
        let found = rows(table);
        if found != expected {
            return Err(Violation(format!(
                "P4: commit {at}: {table}: {found} rows are live or gone, {expected} in the ledgers"
            )));
        }
    }
    // Where all changes are live, they say more than their sum does.
    let has_lost =
        |table: &Derived| state.gone.contains_key(table.changes()) || state.erased.contains_key(table.changes());
    for table in Derived::all().filter(has_lost) {
        let net = live(table.changes()).1.saturating_add(gone(table.changes()).1);
        for total in table.totals.iter().filter(|total| total.column.is_none()) {
            let expected = counted(total, &state.totals);
            if net != expected as i64 {
                let table = table.changes();
                return Err(Violation(format!(
                    "P4: commit {at}: {table}: {net} rows, live or gone, {expected} in the ledgers"
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
