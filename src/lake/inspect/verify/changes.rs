//! The change logs against themselves (P2) and against the ledgers (P4), and the sealed rows against them (F1), a table and a date
//! at a time: each row says of which commit it is, so it does not matter which file has it. What the live rows of a table add up to stands in its
//! declaration. Where the log of a date is kept no longer, its sealed rows stand for what it came to. Erased rows lack in all files of their
//! keys; what they added to the sums is known as of the last commit, and at those before it is the most that may lack.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::row::{RowConverter, SortField};
use citystream_dataflows::records::TextId;
use citystream_dataflows::tables::{Derived, Total};
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::Topic;

use super::chain::{Chain, Dates};
use super::files::read_files;
use super::report::Report;
use super::roots::LiveFiles;
use crate::columns::row::column;
use crate::columns::tables::{DIFF, SEALED_DIFF, Table};
use crate::columns::text_hash::{TextHasher, draw_key};
use crate::lake::history::commit::{Count, File, Ledger, counted};
use crate::lake::history::read::ReadError;
use crate::lake::history::{Violation, erasure, layout};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// Checks all derived tables; a lake that has none is not asked for them.
pub(super) async fn check(lake: &Lake, chain: &Chain, live: &LiveFiles, report: &mut Report) -> Result<(), ReadError> {
    if !live.keys().any(|table| layout::is_derived(table)) {
        return Ok(());
    }
    let hasher = TextHasher::new(draw_key().map_err(StoreError::from)?);
    for table in Derived::all() {
        let mut history = History::new(table, chain, hasher);
        let mut dates: BTreeMap<&str, [Vec<&File>; 2]> = BTreeMap::new();
        for (part, place) in Table::of(table).into_iter().zip(0..) {
            for file in live.get(part.name()).into_iter().flat_map(BTreeMap::values) {
                dates.entry(&file.date).or_default()[place].push(file);
            }
        }
        for (date, parts) in &dates {
            history.begin_date(date);
            for (part, files) in Table::of(table).into_iter().zip(parts) {
                read_files(lake, files, None, report, |batch| history.take(part, batch)).await?;
            }
            if let Some(Wrong { seq, key, promise, what }) = history.close_date() {
                let key = key_of(lake, &parts.concat(), hasher, key).await?;
                history.note(seq, format!("{promise}: commit {seq}: {} {key}: {what}", table.changes()));
            }
        }
        report.note(history.check());
    }
    Ok(())
}

/// One row of a change log, or one that is sealed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    key: TextId,
    seq: i64,
    diff: i32,
    /// All columns but diff, epoch and seq.
    content: TextId,
    time: Micros,
}

/// A row that is there.
#[derive(Clone, Copy)]
struct Live {
    content: TextId,
    time: Micros,
    is_sealed: bool,
}

/// What is wrong with a row at a commit.
struct Wrong {
    seq: i64,
    key: TextId,
    promise: &'static str,
    what: &'static str,
}

/// A table as its changes make it, a date at a time: all changes of a row are of one.
struct History<'a> {
    table: Derived,
    chain: &'a Chain,
    hasher: TextHasher,
    totals: &'static [Total],
    /// What the changes of a commit add to the totals.
    sums: BTreeMap<i64, Vec<i64>>,
    /// The dates that are kept no longer: of the log, and of the sealed rows.
    beyond: [Dates<'a>; 2],
    /// What erased rows added to the totals.
    erased: Vec<i64>,
    /// From which commit on the sums are known; `None`: never.
    summed_from: Option<i64>,
    /// Of the date at hand: whether log and sealed rows are gone, and the changes.
    gone: [bool; 2],
    changes: Vec<Change>,
    /// What is wrong at the first commit where something is.
    first: Option<(i64, String)>,
}

impl<'a> History<'a> {
    fn new(table: Derived, chain: &'a Chain, hasher: TextHasher) -> Self {
        let (totals, sums) = (table.declaration().totals, BTreeMap::new());
        let [log, sealed] = Table::of(table).map(Table::name);
        let last = chain.gone(log).map(|file| file.seqs.1 as i64).max().unwrap_or(0);
        let beyond = [log, sealed].map(|part| chain.gone_dates(part));
        let is_known = !chain.gone(sealed).any(|file| beyond[0].contains(&file.date));
        let is_told = ![log, sealed].into_iter().any(|part| chain.was_erased(part));
        let summed_from = (is_known && is_told).then_some(last);
        let (erased, gone, changes) = (erased(table, chain, &beyond[0]), [false; 2], Vec::new());
        History { table, chain, hasher, totals, sums, beyond, erased, summed_from, gone, changes, first: None }
    }

    fn begin_date(&mut self, date: &str) {
        self.gone = [0, 1].map(|part| self.beyond[part].contains(date));
    }

    /// Takes rows of the date at hand.
    fn take(&mut self, part: Table, batch: &RecordBatch) -> Result<(), String> {
        let long = |name: &str| column::<Int64Array>(batch, name).ok_or_else(|| lacks(name));
        let keys: &StringArray = column(batch, "row_key").ok_or_else(|| lacks("row_key"))?;
        let diffs: Option<&Int32Array> = column(batch, DIFF);
        if diffs.is_none() && matches!(part, Table::Changes(_)) {
            return Err(lacks(DIFF));
        }
        let times: &TimestampMicrosecondArray =
            column(batch, part.sort_column()).ok_or_else(|| lacks(part.sort_column()))?;
        let (seqs, epochs) = (long("seq")?, long("epoch")?);
        let summed = self.totals.iter().map(|total| total.column.map(long).transpose());
        let summed: Vec<Option<&Int64Array>> = summed.collect::<Result<_, _>>()?;
        let contents = contents(batch, self.hasher).map_err(|error| error.to_string())?;
        for (row, content) in contents.into_iter().enumerate() {
            let (seq, diff) = (seqs.value(row), diffs.map_or(SEALED_DIFF, |diffs| diffs.value(row)));
            let of_commit = || Some(self.chain.get(u64::try_from(seq).ok()?)?.epoch as i64);
            if seq >= self.chain.first() as i64 && of_commit() != Some(epochs.value(row)) {
                return Err(format!("P2: a row of commit {seq} has epoch {}", epochs.value(row)));
            }
            // Of a log that is gone the sealed rows are all that it came to, by the commit that sealed the last of them.
            let counts = if self.gone[0] { i64::from(diffs.is_none()) } else { diffs.map_or(0, |_| i64::from(diff)) };
            if self.gone[0] {
                self.summed_from = self.summed_from.map(|from| from.max(seq));
            }
            let sums = self.sums.entry(self.chain.place(seq)).or_insert_with(|| vec![0; summed.len()]);
            for (sum, column) in sums.iter_mut().zip(&summed) {
                let value = column.map_or(1, |values| if values.is_null(row) { 0 } else { values.value(row) });
                *sum += value * counts;
            }
            let (key, time) = (self.hasher.id(keys.value(row).as_bytes()), times.value(row));
            self.changes.push(Change { key, seq, diff, content, time });
        }
        Ok(())
    }

    /// The changes of a row, commit by commit: it is there once or not at all, and is sealed once it is final. What is wrong
    /// at the first commit where something is.
    fn close_date(&mut self) -> Option<Wrong> {
        let mut changes = std::mem::take(&mut self.changes);
        changes.sort_unstable();
        let [log_is_gone, sealed_is_gone] = self.gone;
        let last = self.chain.commits.last();
        let end = last.and_then(|last| Some(self.table.sealing.all_before(last.horizon?)));
        let wrong = |row: &[Change]| {
            if log_is_gone {
                let again = row.get(1).filter(|_| row.iter().all(|change| change.diff == SEALED_DIFF))?;
                return Some(Wrong { seq: again.seq, key: again.key, promise: "F1", what: "is sealed twice" });
            }
            let mut live = None;
            for group in row.chunk_by(|one, other| one.seq == other.seq) {
                let (changed, sealed) = group.split_at(group.partition_point(|change| change.diff < SEALED_DIFF));
                let applied = apply(&mut live, changed).map_err(|what| ("P2", what));
                if let Err((promise, what)) =
                    applied.and_then(|()| seal(&mut live, sealed).map_err(|what| ("F1", what)))
                {
                    return Some(Wrong { seq: group[0].seq, key: group[0].key, promise, what });
                }
            }
            let is_open = live.is_some_and(|live| !live.is_sealed && Some(live.time) < end);
            let seq = last.map_or(0, |last| last.seq as i64);
            (is_open && !sealed_is_gone).then_some(Wrong {
                seq,
                key: row[0].key,
                promise: "F1",
                what: "is final, and not sealed",
            })
        };
        changes.chunk_by(|one, other| one.key == other.key).filter_map(wrong).min_by_key(|wrong| wrong.seq)
    }

    fn note(&mut self, seq: i64, text: String) {
        if self.first.as_ref().is_none_or(|(first, _)| seq < *first) {
            self.first = Some((seq, text));
        }
    }

    /// The first commit after which something is wrong: a row, or else a sum, which the ledgers decide.
    fn check(mut self) -> Result<(), Violation> {
        let mut totals = vec![0; self.totals.len()];
        let mut ledgers: HashMap<Topic, Ledger> = HashMap::new();
        let before = self.chain.base.iter().map(|base| (base.seq, &base.totals));
        for (seq, counted) in before.chain(self.chain.commits.iter().map(|commit| (commit.seq, &commit.ledger))) {
            for (topic, ledger) in counted {
                let total = ledgers.entry(*topic).or_default();
                *total = total.plus(ledger);
            }
            for (total, sum) in totals.iter_mut().zip(self.sums.get(&(seq as i64)).into_iter().flatten()) {
                *total += sum;
            }
            let is_summed = self.summed_from.is_some_and(|from| seq as i64 >= from);
            let sums = if is_summed { self.check_sums(seq, &totals, &ledgers) } else { Ok(()) };
            if let Err(text) = sums {
                self.note(seq as i64, text);
                break;
            }
        }
        self.first.map_or(Ok(()), |(_, text)| Err(Violation(text)))
    }

    fn check_sums(&self, seq: u64, totals: &[i64], ledgers: &HashMap<Topic, Ledger>) -> Result<(), String> {
        let is_last = self.chain.end() == seq + 1;
        for ((sum, found), erased) in self.totals.iter().zip(totals).zip(&self.erased) {
            let expected = counted(sum, ledgers);
            let lacks = expected as i64 - found;
            if lacks != *erased && (is_last || !(0..*erased).contains(&lacks)) {
                let (table, column) = (self.table.changes(), sum.column.unwrap_or("rows"));
                let and_erased = if *erased == 0 { String::new() } else { format!(", {erased} erased") };
                return Err(format!(
                    "P4: commit {seq}: {table}: {column}: {found}{and_erased}, {expected} in the ledgers"
                ));
            }
        }
        Ok(())
    }
}

/// What erased rows of a table added to its totals: by the log, and by the sealed rows of dates whose log is kept no longer.
fn erased(table: Derived, chain: &Chain, beyond: &Dates<'_>) -> Vec<i64> {
    let of = |total: &Total| {
        let of_part = |(part, is_sealed): (Table, bool)| {
            let all = erasure::of_table(&chain.commits, part.name()).flat_map(|(_, erased)| &erased.counts);
            let counts = all.filter(|count| beyond.contains(&count.date) == is_sealed);
            let sum = |count: &Count| match total.column {
                Some(column) => count.sums.get(column).copied().unwrap_or(0),
                None => count.net,
            };
            counts.map(sum).sum::<i64>()
        };
        Table::of(table).into_iter().zip([false, true]).map(of_part).sum()
    };
    table.declaration().totals.iter().map(of).collect()
}

/// The changes of one row in one commit, -1 before +1; `live` is what the row is before and after.
fn apply(live: &mut Option<Live>, group: &[Change]) -> Result<(), &'static str> {
    let (gone, come) = match group {
        [] => return Ok(()),
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
        match live.take() {
            None => return Err("goes, but is not there"),
            Some(live) if live.content != gone.content => return Err("goes, but was another"),
            Some(live) if live.is_sealed => return Err("goes, but is sealed"),
            Some(_) => {}
        }
    }
    let new = |come: &Change| Live { content: come.content, time: come.time, is_sealed: false };
    match come.map(|come| live.replace(new(come))) {
        Some(Some(_)) => Err("comes, but is there"),
        _ => Ok(()),
    }
}

/// What a commit seals of one row.
fn seal(live: &mut Option<Live>, sealed: &[Change]) -> Result<(), &'static str> {
    for sealed in sealed {
        match live {
            None => return Err("is sealed, but is not there"),
            Some(live) if live.is_sealed => return Err("is sealed twice"),
            Some(live) if live.content != sealed.content => return Err("is sealed, but is another"),
            Some(live) => live.is_sealed = true,
        }
    }
    Ok(())
}

/// The text of a key that stands in one of these files.
async fn key_of(lake: &Lake, files: &[&File], hasher: TextHasher, key: TextId) -> Result<String, ReadError> {
    let mut text = None;
    read_files(lake, files, Some(&["row_key"]), &mut Report::default(), |batch| {
        let keys = column::<StringArray>(batch, "row_key").into_iter().flatten().flatten();
        text =
            text.take().or_else(|| keys.into_iter().find(|text| hasher.id(text.as_bytes()) == key).map(str::to_owned));
        Ok(())
    })
    .await?;
    Ok(text.unwrap_or_default())
}

fn lacks(name: &str) -> String {
    format!("no column {name} of its type")
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
