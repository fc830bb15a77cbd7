//! Rows that were erased, as a vehicle is to be forgotten: a commit puts a file without them in the place of one that had some, or
//! none where nothing is left (T4). What is gone is counted, so that it and what is live still are what the ledgers say (P4), and
//! says of nobody whose it was.

use std::collections::{BTreeMap, BTreeSet};

use citystream_dataflows::time::bindings::{Partition, Topic};
use serde::{Deserialize, Serialize};

use crate::columns::tables::Table;
use crate::lake::history::commit::{Commit, Count, Erased, File, Tidy, TidyKind, saturating_sum};
use crate::lake::history::{State, retention};

/// What of a table is erased.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Rows.
    pub rows: u64,
    /// What they add up to.
    pub net: i64,
    /// Records by where they stood, `topic/partition`.
    pub places: BTreeMap<String, u64>,
    /// The commit that last erased some.
    pub last: u64,
}

/// By table.
pub type AllErased = BTreeMap<String, Sum>;

/// Takes up a commit.
pub(super) fn take(all: &mut AllErased, commit: &Commit) {
    for (tidy, erased) in of(commit) {
        let sum = all.entry(tidy.table.clone()).or_default();
        sum.last = commit.seq;
        for Count { place, rows, net, .. } in &erased.counts {
            (sum.rows, sum.net) = (sum.rows.saturating_add(*rows), sum.net.saturating_add(*net));
            if let Some(place) = place {
                let count = sum.places.entry(super::name(*place)).or_default();
                *count = count.saturating_add(*rows);
            }
        }
    }
}

/// What a commit erases.
pub fn of(commit: &Commit) -> impl Iterator<Item = (&Tidy, &Erased)> {
    commit.tidy.iter().filter_map(|tidy| Some((tidy, tidy.erased.as_ref().filter(|_| tidy.what == TidyKind::Erase)?)))
}

/// The files of a table that commits took rows from, and what these were.
pub fn of_table<'a>(
    commits: &'a [Commit],
    table: &'a str,
) -> impl Iterator<Item = (Vec<&'a File>, &'a Erased)> + use<'a> {
    let its = move |commit: &'a Commit| {
        let of_table = of(commit).filter(move |(tidy, _)| tidy.table == table);
        of_table.map(move |(tidy, erased)| (commit.removed_by(tidy), erased))
    };
    commits.iter().flat_map(its)
}

/// T4: what took the place of files is what they were but for the rows that are counted, of the same dates, and no start needs
/// what went.
pub(super) fn check(previous: Option<&State>, tidy: &Tidy, removed: &[&File], added: &[&File]) -> Result<(), String> {
    let Some(Erased { through, last, counts, .. }) = &tidy.erased else {
        return Err("it does not say what".to_owned());
    };
    let rows = |files: &[&File]| saturating_sum(files.iter().map(|file| file.rows));
    let said = (tidy.removed.len(), tidy.rows_removed, tidy.added.len(), tidy.rows_added);
    if removed.is_empty() || said != (removed.len(), rows(removed), added.len(), rows(added)) {
        return Err(format!("it says {said:?}, and does otherwise"));
    }
    if *last != previous.and_then(|state| state.erased.get(&tidy.table)).map(|sum| sum.last) {
        return Err(format!("{last:?} did not erase the last of it"));
    }
    let table = Table::from_name(&tidy.table).ok_or("no such table")?;
    let horizon = previous.and_then(|state| state.horizon).ok_or("there is no horizon yet")?;
    if let Some(file) = removed.iter().find(|file| !retention::may_go(table, file, horizon)) {
        return Err(format!("{} is still needed", file.path));
    }
    // Sealed rows may be of later commits than the records that they are derived from.
    if let Some(file) = removed.iter().find(|file| table.derived().is_none() && file.seqs.0 > *through) {
        return Err(format!("{} has only rows of commits after {through}", file.path));
    }
    let dates = |files: &[&File]| files.iter().map(|file| file.date.clone()).collect::<BTreeSet<_>>();
    let all = dates(removed);
    if let Some(date) =
        dates(added).iter().chain(counts.iter().map(|count| &count.date)).find(|date| !all.contains(*date))
    {
        return Err(format!("{date} is no date of what goes"));
    }
    all.iter().try_for_each(|date| check_date(date, removed, added, counts))
}

/// What is left of the files of a date, and what is counted, is what they had.
fn check_date(date: &str, removed: &[&File], added: &[&File], counts: &[Count]) -> Result<(), String> {
    let of = |files: &[&File]| File::sum(files.iter().copied().filter(|file| file.date == date));
    let (had, left) = (of(removed), of(added));
    let (rows, net) = counts
        .iter()
        .filter(|count| count.date == date)
        .fold((0u64, 0i64), |(rows, net), count| (rows.saturating_add(count.rows), net.saturating_add(count.net)));
    if rows == 0 || left.rows.saturating_add(rows) != had.rows || left.net.saturating_add(net) != had.net {
        return Err(format!(
            "of {date} {} rows ({}) are left of {} ({}), {rows} ({net}) are said to go",
            left.rows, left.net, had.rows, had.net
        ));
    }
    let is_within = |left: Option<(i64, i64)>, had: Option<(i64, i64)>| match (left, had) {
        (Some(left), Some(had)) => had.0 <= left.0 && left.1 <= had.1,
        (left, _) => left.is_none(),
    };
    let seqs = |file: &File| Some((file.seqs.0 as i64, file.seqs.1 as i64)).filter(|_| file.rows > 0);
    let ranges = [
        (left.event_time, had.event_time),
        (left.log_time, had.log_time),
        (left.quality_window, had.quality_window),
        (seqs(&left), seqs(&had)),
    ];
    if left.level > had.level || !ranges.into_iter().all(|(left, had)| is_within(left, had)) {
        return Err(format!("what is left of {date} has other ranges than what it is of"));
    }
    Ok(())
}

/// Records that are erased of the partitions of a topic, of a table.
pub fn count(state: &State, table: &str, topic: Topic, partition: i32) -> u64 {
    let name = super::name(Partition { topic, index: partition });
    state.erased.get(table).and_then(|sum| sum.places.get(&name)).copied().unwrap_or(0)
}

#[cfg(test)]
#[path = "erasure_tests.rs"]
mod tests;
