//! The explanation of a record or of a row.

use std::fmt;

use arrow::array::RecordBatch;
use citystream_dataflows::tables::{Derived, Fields, record_key};
use citystream_dataflows::time::bindings::{Partition, Position};
use citystream_dataflows::time::disposition::Disposition;
use citystream_wire::Topic;
use serde::Serialize;
use serde_json::Value;

use super::rederive::rederive;
use super::sources::{Source, Sources};
use super::target::{Target, form, row_name};
use crate::columns::row::Row;
use crate::columns::show::{Shown, show};
use crate::columns::tables::{EVENT_TIME, ROW_KEY, Reason, Table};
use crate::error::RunError;
use crate::escape::{beginning, escaped, shell_word};
use crate::lake::history::commit::{Count, File};
use crate::lake::history::read;
use crate::lake::inspect::beyond::{Beyond, dropped, erased};
use crate::lake::inspect::scan::{overlaps, rows, scan};
use crate::lake::{Lake, State};

/// What is known of a record or a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What was asked for.
    pub target: String,
    /// What it is, where that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// The row as it stands; `None` if there is none.
    pub row: Option<Shown>,
    /// How the row came to stand so, oldest first.
    pub revisions: Vec<Revision>,
    /// How many records of each raw table its definition looks at.
    pub behind: Vec<(String, usize)>,
    /// The first of them.
    pub records: Vec<Record>,
    /// Whether the row derived once more from these records is the same; `None` if there is no row, or not all records are there.
    pub rederived: Option<bool>,
    /// What is kept no longer, and would have been looked at.
    pub gone: Vec<Beyond>,
    /// What else to ask for.
    pub see: Vec<String>,
    /// The command that asks, without a target.
    #[serde(skip)]
    pub command: String,
}

/// One commit's change of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Revision {
    /// The commit.
    pub seq: i64,
    /// What the row has since then; `None` if it went.
    pub row: Option<Shown>,
    /// The columns that differ from the revision before.
    pub changed: Vec<String>,
    /// The records that this commit brought, at most ten.
    pub because_of: Vec<String>,
}

/// A record behind a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// `topic/partition/offset`.
    pub at: String,
    /// The commit that brought it.
    pub seq: i64,
    /// Its columns.
    pub row: Shown,
}

/// A lake that is asked, as a commit left it.
pub struct Question<'a> {
    /// The lake.
    pub lake: &'a Lake,
    /// After the commit.
    pub state: &'a State,
    /// How many records of each table are shown.
    pub limit: usize,
    /// The command that asks this lake, for a shell, without a target.
    pub command: String,
}

/// Suggestions of a kind, at most.
pub(super) const MANY: usize = 10;

impl Question<'_> {
    /// Explains a target.
    ///
    /// # Errors
    /// A target that the lake does not have, or a lake that cannot be read.
    pub async fn explain(&self, target: &Target) -> Result<Explanation, RunError> {
        match target {
            Target::Row { table, key } => self.row(*table, key).await,
            Target::Record { topic, partition, offset } => self.record(*topic, &format!("{partition}/{offset}")).await,
            Target::Name(name) => self.about(name).await,
            Target::At(vehicle, time) => self.at(vehicle, *time).await,
        }
    }

    /// What to type for a target.
    pub(super) fn proposal(&self, target: &str) -> String {
        format!("{} {}", self.command, shell_word(target))
    }

    /// A record, or what there is of one that could not be read.
    pub(super) async fn record(&self, topic: Topic, place: &str) -> Result<Explanation, RunError> {
        let is_it = |row: Row<'_>| record_key(&row).as_deref() == Some(place);
        let table = Table::Raw(topic);
        let found = scan(self.lake, self.state, table, |_| true, is_it).await?;
        let target = format!("{}/{place}", topic.name());
        if let Some(row) = rows(&found).next() {
            let says = row.text("disposition").and_then(fate).map(str::to_owned);
            let see = self.there(counts_in(topic, row), row.long(EVENT_TIME)).await?;
            return Ok(Explanation { row: Some(show(row)), says, see, ..self.empty(target) });
        }
        let its = |row: Row<'_>| is_it(row) && row.text("topic") == Some(topic.name());
        let found = scan(self.lake, self.state, Table::DeadLetters, |_| true, its).await?;
        let Some(row) = rows(&found).next() else {
            let gone = self.record_gone(topic, place).await?;
            if gone.is_empty() {
                return Err(RunError::Usage(format!("the lake has no record {target}, and no dead letter of it")));
            }
            let says = match gone.iter().find(|gone| gone.is_erased) {
                Some(Beyond { commit: Some(commit), .. }) => {
                    format!("if this was a record, it was erased by commit {commit}")
                }
                Some(_) => "if this was a record, it was erased by a commit that is kept no longer".to_owned(),
                None => "if this was a record, it was read, and is kept no longer".to_owned(),
            };
            let says = Some(says);
            return Ok(Explanation { says, gone, ..self.empty(target) });
        };
        let meaning = row.text("reason").and_then(Reason::from_name).map_or("could not be read", Reason::meaning);
        let says = Some(format!("a dead letter: the record {meaning}"));
        Ok(Explanation { row: Some(show(row)), says, ..self.empty(target) })
    }

    fn empty(&self, target: String) -> Explanation {
        Explanation {
            target,
            says: None,
            row: None,
            revisions: Vec::new(),
            behind: Vec::new(),
            records: Vec::new(),
            rederived: None,
            gone: Vec::new(),
            see: Vec::new(),
            command: self.command.clone(),
        }
    }

    /// A row of a derived table.
    pub(super) async fn row(&self, table: Derived, key: &str) -> Result<Explanation, RunError> {
        let is_it = |row: Row<'_>| row.text(ROW_KEY) == Some(key);
        let changes = scan(self.lake, self.state, Table::Changes(table), |_| true, is_it).await?;
        let source = Source::new(self.lake, self.state);
        let Some(sources) = source.behind(table, key).await? else { return Err(self.no_row(table, key).await?) };
        let revisions = revisions(table, &changes, &sources);
        let (standing, mut gone) = match revisions.last() {
            Some(last) => (last.row.clone(), Vec::new()),
            None => match self.sealed(table, key).await? {
                Some((row, gone)) => (Some(row), gone),
                None => return Err(self.no_row(table, key).await?),
            },
        };
        let again = rederive(table, &sources)?;
        let again = rows(&again).find(|row| is_it(*row)).map(|row| own(show(row)));
        let mut rederived = standing.as_ref().map(|row| Some(row) == again.as_ref());
        if rederived == Some(false) {
            let sources_gone = source.gone().await?;
            rederived = rederived.filter(|_| sources_gone.is_empty());
            gone.extend(sources_gone);
        }
        Ok(Explanation {
            rederived,
            row: standing,
            gone,
            revisions,
            behind: sources.iter().map(|(table, batches)| (table.name().to_owned(), count(batches))).collect(),
            records: records(&sources, self.limit),
            ..self.empty(row_name(table, key))
        })
    }

    /// A row whose changes are kept no longer, as it was sealed.
    async fn sealed(&self, table: Derived, key: &str) -> Result<Option<(Shown, Vec<Beyond>)>, RunError> {
        let is_it = |row: Row<'_>| row.text(ROW_KEY) == Some(key);
        let found = scan(self.lake, self.state, Table::Sealed(table), |_| true, is_it).await?;
        let Some(row) = rows(&found).next() else { return Ok(None) };
        let time = row.long(table.time).unwrap_or_default();
        let may = |file: &File| overlaps(file, time, time.saturating_add(1));
        let gone = dropped(self.lake, self.state, Table::Changes(table), may).await?;
        Ok(Some((own(show(row)), gone.into_iter().collect())))
    }

    /// What is kept no longer, or erased, of tables that had a record, if it is one that was read.
    async fn record_gone(&self, topic: Topic, place: &str) -> Result<Vec<Beyond>, RunError> {
        let number = |text: &str| text.parse::<i64>().ok();
        let (index, offset) = place.split_once('/').map_or((None, None), |(p, o)| (number(p), number(o)));
        let was_read = self.state.positions.iter().any(|position| {
            position.partition.topic == topic
                && Some(i64::from(position.partition.index)) == index
                && offset < Some(position.next.0)
        });
        let mut gone = Vec::new();
        for table in [Table::Raw(topic), Table::DeadLetters].into_iter().filter(|_| was_read) {
            gone.extend(dropped(self.lake, self.state, table, |_| true).await?);
        }
        let place = index.and_then(|index| i32::try_from(index).ok()).map(|index| Partition { topic, index });
        if let (true, Some((place, offset))) = (was_read && !self.state.erased.is_empty(), place.zip(offset)) {
            let seq = self.commit_of(place, offset).await?;
            let may = |file: &File| (file.seqs.0..=file.seqs.1).contains(&seq);
            let counts = |count: &Count| count.place == Some(place);
            for table in [Table::Raw(topic), Table::DeadLetters] {
                gone.extend(erased(self.lake, self.state, table, (may, counts)).await?);
            }
        }
        Ok(gone)
    }

    /// The commit that read an offset.
    async fn commit_of(&self, place: Partition, offset: i64) -> Result<u64, RunError> {
        let (mut first, mut last) = (0, self.state.seq);
        while first < last {
            let middle = first.midpoint(last);
            let (_, commit) = read::commit(self.lake, middle).await?;
            let has_read = |position: &Position| position.partition == place && position.next.0 > offset;
            if commit.positions.iter().any(has_read) {
                last = middle;
            } else {
                first = middle + 1;
            }
        }
        Ok(first)
    }

    /// A row that is not there and never was: what a key looks like, and the nearest.
    async fn no_row(&self, table: Derived, key: &str) -> Result<RunError, RunError> {
        let nearest = self.nearest_key(table, key).await?.map(|target| self.proposal(&target));
        let nearest = nearest.map(|command| format!("; the nearest: {command}")).unwrap_or_default();
        let (name, form) = (table.name(), form(table));
        let gone = [Table::Changes(table), Table::Sealed(table)].map(|part| self.state.gone.get(part.name()));
        let never = gone.into_iter().flatten().max_by_key(|gone| gone.last).map_or_else(
            || "and never had one".to_owned(),
            |gone| format!("or keeps it no longer (of dates through {}, commit {})", gone.sum.date, gone.last),
        );
        let erased = [Table::Changes(table), Table::Sealed(table)].map(|part| self.state.erased.get(part.name()));
        let erased = erased.into_iter().flatten().map(|sum| sum.last).max();
        let never = erased.map_or(never, |commit| format!("or it is erased (rows of it are, last by commit {commit})"));
        Ok(RunError::Usage(format!(
            "{name} has no row {key:?} {never}; its keys are {form}, a time in microseconds or as \
             2026-01-05T08:00:00Z{nearest}"
        )))
    }
}

/// Why a record that is in its table counts in no derived one.
fn fate(disposition: &str) -> Option<&'static str> {
    match Disposition::from_name(disposition)? {
        Disposition::OnTime => None,
        Disposition::Late => {
            Some("late: the log received it more than --lateness after the time it carries; it changes no row")
        }
        Disposition::Expired => {
            Some("expired: its partition was silent, and the horizon had passed it; it changes no row")
        }
        Disposition::Duplicate => Some("a duplicate of an earlier record of its partition; it changes no row"),
    }
}

/// The rows that an on-time record is behind, as far as its columns say.
pub(super) fn counts_in(topic: Topic, row: Row<'_>) -> Vec<(Derived, String)> {
    if row.text("disposition") != Some("on_time") {
        return Vec::new();
    }
    Derived::all().filter_map(|table| Some((table, (table.key_of)(topic, &row)?))).collect()
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// A row without what only its change has.
fn own(mut row: Shown) -> Shown {
    row.0.retain(|(column, _)| !["row_key", "diff", "seq", "epoch"].contains(&column.as_str()));
    row
}

fn revisions(table: Derived, changes: &[RecordBatch], sources: &Sources) -> Vec<Revision> {
    let mut changes: Vec<_> = rows(changes)
        .map(|row| (row.long("seq").unwrap_or_default(), row.int("diff").unwrap_or_default(), row))
        .collect();
    changes.sort_by_key(|(seq, diff, _)| (*seq, *diff));
    let mut revisions: Vec<Revision> = Vec::new();
    for of_commit in changes.chunk_by(|a, b| a.0 == b.0) {
        let (seq, diff, row) = of_commit[of_commit.len() - 1];
        let row = (diff > 0).then(|| own(show(row)));
        let before = revisions.last().and_then(|revision| revision.row.as_ref());
        let changed = changed(before, row.as_ref());
        let because_of = brought_by(table, sources, seq, row.as_ref());
        revisions.push(Revision { seq, row, changed, because_of });
    }
    revisions
}

fn changed(before: Option<&Shown>, after: Option<&Shown>) -> Vec<String> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let names = |row: &Shown| row.0.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let gone = names(before).into_iter().filter(|name| after.get(name).is_none());
    let columns = names(after).into_iter().chain(gone);
    columns.filter(|column| before.get(column) != after.get(column)).collect()
}

/// The records that a commit brought: those that the row names, or else all that its definition looks at.
fn brought_by(derived: Derived, sources: &Sources, seq: i64, row: Option<&Shown>) -> Vec<String> {
    let all = sources.iter().flat_map(|(table, batches)| rows(batches).map(|row| (*table, row)));
    let brought: Vec<(Table, Row<'_>)> = all.filter(|(_, row)| row.long("seq") == Some(seq)).collect();
    let is_named = |(table, record): &(Table, Row<'_>)| row.is_some_and(|row| names(derived, row, *table, *record));
    let named: Vec<(Table, Row<'_>)> = brought.iter().copied().filter(is_named).collect();
    let causes = if named.is_empty() { brought } else { named };
    causes.into_iter().filter_map(|(table, row)| at(table, row)).take(10).collect()
}

/// Whether a row names a record of a raw table as its source.
fn names(derived: Derived, row: &Shown, table: Table, record: Row<'_>) -> bool {
    let is = |column: String, value: Option<i64>| value.is_some() && row.get(&column).and_then(Value::as_i64) == value;
    derived.record_columns.iter().filter(|(topic, _)| table.topic() == Some(*topic)).any(|(_, prefix)| {
        is(format!("{prefix}partition"), record.int("partition").map(i64::from))
            && is(format!("{prefix}offset"), record.long("offset"))
    })
}

fn at(table: Table, row: Row<'_>) -> Option<String> {
    let topic = table.topic().map(Topic::name).or(row.text("topic"))?;
    Some(format!("{topic}/{}/{}", row.int("partition")?, row.long("offset")?))
}

fn records(sources: &[(Table, Vec<RecordBatch>)], limit: usize) -> Vec<Record> {
    let all = sources.iter().flat_map(|(table, batches)| rows(batches).take(limit).map(|row| (*table, row)));
    let record =
        |(table, row): (Table, Row<'_>)| Some(Record { at: at(table, row)?, seq: row.long("seq")?, row: show(row) });
    all.filter_map(record).collect()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", escaped(&self.target))?;
        if let Some(says) = &self.says {
            writeln!(f, "  {}", escaped(says))?;
        }
        match &self.row {
            None => writeln!(f, "  is no more")?,
            Some(row) => row.0.iter().try_for_each(|(column, value)| writeln!(f, "  {column:<22} {}", plain(value)))?,
        }
        for (number, revision) in self.revisions.iter().enumerate() {
            let because = match revision.because_of.as_slice() {
                [] => String::new(),
                records => format!(" because of {}", records.join(", ")),
            };
            let what = match (&revision.row, number) {
                (None, _) => "went".to_owned(),
                (_, 0) => "appeared".to_owned(),
                _ if revision.changed.is_empty() => "appeared again".to_owned(),
                _ => format!("changed {}", self.change(number)),
            };
            writeln!(f, "commit {}: {what}{because}", revision.seq)?;
        }
        for (table, count) in &self.behind {
            writeln!(f, "behind it: {count} rows of {table}")?;
        }
        for record in &self.records {
            let row: Vec<String> =
                record.row.0.iter().map(|(column, value)| format!("{column}={}", plain(value))).collect();
            writeln!(f, "  {} (commit {}): {}", record.at, record.seq, row.join(" "))?;
        }
        match self.rederived {
            Some(true) => writeln!(f, "derived once more from these records: the same row")?,
            Some(false) => writeln!(f, "derived once more from these records: ANOTHER ROW")?,
            None => {}
        }
        self.gone.iter().try_for_each(|gone| writeln!(f, "gone: {gone}"))?;
        self.see.iter().try_for_each(|see| writeln!(f, "see also: {} {}", self.command, shell_word(see)))
    }
}

impl Explanation {
    /// The columns that a revision changed, with their values before and after.
    fn change(&self, number: usize) -> String {
        let value = |revision: &Revision, column: &String| {
            revision.row.as_ref().and_then(|row| row.get(column)).map_or_else(|| "null".to_owned(), plain)
        };
        let (before, after) = (&self.revisions[number - 1], &self.revisions[number]);
        let changed = after.changed.iter();
        let shown: Vec<String> =
            changed.map(|column| format!("{column} {} -> {}", value(before, column), value(after, column))).collect();
        shown.join(", ")
    }
}

/// Letters of a value that are shown, at most.
const LONG: usize = 2000;

fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    beginning(&text, LONG, " (--json has them)")
}
