//! What is known of a lake's files: which have rows of a vehicle, and which windows these count in. A file never changes, so each is
//! looked at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow::array::RecordBatch;
use citystream_dataflows::tables::{Derived, Fields, Subject};
use citystream_dataflows::time::Micros;
use citystream_wire::{Becomes, Topic};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::columns::row::Row;
use crate::columns::tables::{DIFF, EVENT_TIME, ROW_KEY, SEALED_DIFF, Table};
use crate::columns::whose::{Bound, Whose, named_by};
use crate::lake::Lake;
use crate::lake::history::commit::File;
use crate::lake::history::{State, roots};
use crate::sink::tidy::{Pace, TidyError, sound};

/// Rows that are decoded at a time.
const ROWS: usize = 8192;

/// A derived table and a date.
pub(super) type Group = (Derived, String);

/// See the module.
pub(super) struct Known {
    pub(super) whose: Whose,
    /// What was found in each file, by path.
    found: HashMap<String, Found>,
    /// The keys whose rows are meant.
    pub(super) keys: BTreeMap<Group, HashSet<String>>,
    /// The windows in which it counts, each with its last state so far.
    pub(super) windows: BTreeMap<Group, HashMap<String, Option<Counted>>>,
    /// The last time that a record has.
    latest: Option<Micros>,
    /// Files that are not what their commits say, and why: what they have is not known.
    pub(super) damaged: BTreeMap<String, String>,
    /// What is live of what may have such rows.
    pub(super) live: Vec<(Table, File)>,
}

/// How many vehicles a window counts, in the order of what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counted {
    seq: i64,
    diff: i32,
    pub(super) vehicles: i64,
}

#[cfg(test)]
impl Counted {
    /// What is final.
    pub(super) fn sealed(vehicles: i64) -> Option<Counted> {
        Some(Counted { seq: 1, diff: SEALED_DIFF, vehicles })
    }
}

/// What a file has.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Records that are meant.
    pub(super) records: u64,
    /// Of a derived table the keys of its rows, or of windows that it counts in, each with how many rows.
    pub(super) keys: HashMap<String, u64>,
    /// The windows that are known by these rows.
    pub(super) windows: BTreeSet<Group>,
}

impl Found {
    /// How many rows have one of these keys.
    pub(super) fn rows_of(&self, keys: &HashSet<String>) -> u64 {
        self.keys.iter().filter(|(key, _)| keys.contains(*key)).map(|(_, rows)| rows).sum()
    }
}

impl Known {
    pub(super) fn new(whose: Whose) -> Known {
        let (keys, windows) = (BTreeMap::new(), BTreeMap::new());
        let (found, damaged, live) = (HashMap::new(), BTreeMap::new(), Vec::new());
        Known { whose, found, keys, windows, latest: None, damaged, live }
    }

    /// Finds its records.
    pub(super) async fn look_at_records(
        &mut self,
        lake: &Lake,
        state: &State,
        pace: &mut Pace<'_>,
    ) -> Result<(), TidyError> {
        let seq = self.whose.bound.seq;
        for table in Table::records() {
            let files = roots::files(lake, &state.files, table.name(), |file| file.seqs.0 <= seq).await?;
            self.look_at(lake, table, files, pace).await?;
        }
        Ok(())
    }

    /// Takes the last time that its records have for the bound.
    pub(super) fn bind(&mut self) -> Bound {
        self.whose.bound.time = self.whose.bound.time.max(self.latest);
        self.whose.bound
    }

    /// Finds all that is live of it.
    pub(super) async fn look(&mut self, lake: &Lake, state: &State, pace: &mut Pace<'_>) -> Result<(), TidyError> {
        self.live.clear();
        self.damaged.clear();
        self.look_at_records(lake, state, pace).await?;
        let Bound { seq, time } = self.whose.bound;
        for table in Derived::all().filter(|table| named_by(*table).is_some()).flat_map(Table::of) {
            let may = |file: &File| file.seqs.0 <= seq || file.event_time.map(|(first, _)| first) <= time;
            let files = roots::files(lake, &state.files, table.name(), may).await?;
            self.look_at(lake, table, files, pace).await?;
        }
        // Windows come last: by then all of them are known.
        for table in Derived::all().filter(|table| counted_by(*table).is_some()) {
            let groups = self.windows.keys().filter(|(of, _)| *of == table);
            let dates: BTreeSet<String> = groups.map(|(_, date)| date.clone()).collect();
            for part in Table::of(table) {
                let dates = dates.iter().map(String::as_str).collect();
                let mut files = roots::files_of(lake, &state.files, part.name(), &dates).await?;
                files.retain(|file| dates.contains(file.date.as_str()));
                self.look_at(lake, part, files, pace).await?;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn add(&mut self, table: Table, file: File, found: Found) {
        self.found.insert(file.path.clone(), found);
        self.live.push((table, file));
    }

    /// What a file has.
    pub(super) fn of(&self, file: &File) -> Option<&Found> {
        self.found.get(&file.path)
    }

    async fn look_at(
        &mut self,
        lake: &Lake,
        table: Table,
        files: Vec<File>,
        pace: &mut Pace<'_>,
    ) -> Result<(), TidyError> {
        for file in files {
            match self.read(lake, table, &file, pace).await {
                Ok(()) => self.live.push((table, file)),
                Err(TidyError::Damaged { path, why }) => drop(self.damaged.insert(path, why)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Finds what a file has, unless that is known.
    async fn read(&mut self, lake: &Lake, table: Table, file: &File, pace: &mut Pace<'_>) -> Result<(), TidyError> {
        if self.found.contains_key(&file.path) {
            return Ok(());
        }
        let bytes = sound(file, lake.get(&file.path).await?)?;
        pace.begin();
        let damaged = |why: String| TidyError::Damaged { path: file.path.clone(), why };
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|why| damaged(why.to_string()))?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns(table));
        let rows = builder.with_projection(mask).with_batch_size(ROWS).build();
        let mut found = Found::default();
        for rows in rows.map_err(|why| damaged(why.to_string()))? {
            self.take(table, &file.date, &rows.map_err(|why| damaged(why.to_string()))?, &mut found);
            pace.step()?;
        }
        self.found.insert(file.path.clone(), found);
        Ok(())
    }

    fn take(&mut self, table: Table, date: &str, rows: &RecordBatch, found: &mut Found) {
        match table.derived() {
            Some(derived) if counted_by(derived).is_some() => self.take_windows((derived, date), rows, found),
            _ => self.take_named(table, date, rows, found),
        }
    }

    /// Takes rows that name it.
    fn take_named(&mut self, table: Table, date: &str, rows: &RecordBatch, found: &mut Found) {
        let meant = self.whose.meant(table, rows);
        let named = self.whose.named(table, rows);
        for row in (0..rows.num_rows()).filter(|row| named[*row]) {
            let (is_meant, row) = (meant[row], Row { batch: rows, row });
            if let Some((derived, key)) = table.derived().zip(row.text(ROW_KEY)) {
                *found.keys.entry(key.to_owned()).or_default() += 1;
                if is_meant {
                    self.keys.entry((derived, date.to_owned())).or_default().insert(key.to_owned());
                }
            } else if is_meant {
                found.records += 1;
                self.latest = self.latest.max(row.long(EVENT_TIME));
            }
            if is_meant {
                self.take_window(table, row, found);
            }
        }
    }

    /// The windows that a row counts in, where it is a ping on time, or was one.
    fn take_window(&mut self, table: Table, row: Row<'_>, found: &mut Found) {
        let is_ping = |topic: &Topic| topic.declaration().becomes == Becomes::Pings;
        let (Some(topic), Some(time)) = (Topic::all().find(is_ping), row.long(EVENT_TIME)) else { return };
        let is_other = table.topic().is_some_and(|of| of != topic);
        if is_other || row.text("disposition").is_some_and(|disposition| disposition != "on_time") {
            return;
        }
        let Ok(time) = jiff::Timestamp::from_microsecond(time) else { return };
        let date = time.strftime("%Y-%m-%d").to_string();
        for derived in Derived::all().filter(|table| counted_by(*table).is_some()) {
            let Some(key) = (derived.key_of)(topic, &row) else { continue };
            let group = (derived, date.clone());
            self.windows.entry(group.clone()).or_default().entry(key).or_default();
            found.windows.insert(group);
        }
    }

    /// Takes windows that it counts in.
    fn take_windows(&mut self, (derived, date): (Derived, &str), rows: &RecordBatch, found: &mut Found) {
        let (Some(windows), Some(column)) = (self.windows.get_mut(&(derived, date.to_owned())), counted_by(derived))
        else {
            return;
        };
        for row in (0..rows.num_rows()).map(|row| Row { batch: rows, row }) {
            let Some((key, last)) = row.text(ROW_KEY).and_then(|key| Some((key, windows.get_mut(key)?))) else {
                continue;
            };
            let diff = row.int(DIFF).unwrap_or(SEALED_DIFF);
            let counted = row.long("seq").zip(row.long(column)).map(|(seq, vehicles)| Counted { seq, diff, vehicles });
            *last = (*last).max(counted);
            *found.keys.entry(key.to_owned()).or_default() += 1;
        }
    }
}

/// The column by which a table of windows counts vehicles.
pub(super) fn counted_by(table: Derived) -> Option<&'static str> {
    match table.subject {
        Subject::Counted(column) => Some(column),
        Subject::Named(_) | Subject::Nobody => None,
    }
}

/// What is read of a table.
fn columns(table: Table) -> Vec<&'static str> {
    let windows = Derived::all().filter(|table| counted_by(*table).is_some());
    let own = Whose::columns(table).into_iter().chain(["disposition", EVENT_TIME, DIFF]);
    own.chain(table.derived().and_then(counted_by)).chain(windows.flat_map(|table| table.key).copied()).collect()
}
