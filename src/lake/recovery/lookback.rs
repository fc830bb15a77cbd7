//! What a start depends on: read back from the files when a run begins.
//!
//! A record is in reach while a row that is not final depends on it. From where on that is, each derived table says of
//! each topic (its *look-back*); what a record to come may repeat is in reach as well.

use arrow::array::{Array, BooleanArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use citystream_dataflows::tables::{Derived, Needs, Resume};
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::Partition;
use citystream_dataflows::time::disposition::Disposition;
use citystream_dataflows::time::ticks::{Seen, Start};
use citystream_wire::Topic;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::columns::extract;
use crate::columns::row::column;
use crate::columns::tables::{Batch, EVENT_TIME, QUALITY_WINDOW, Table};
use crate::columns::text_hash::TextHasher;
use crate::lake::history::commit::File;
use crate::lake::history::needs::Bounds;
use crate::lake::history::read::ReadError;
use crate::lake::history::{State, Violation, layout, roots};
use crate::lake::store::Lake;

/// From where on each topic's records are in lookback.
#[derive(Clone, Debug)]
pub struct Lookback {
    /// `None`: everything is, as no horizon has been reached.
    bounds: Option<Bounds>,
    /// The event time before which no row can be on time any more.
    closed_before: Option<Micros>,
    hasher: TextHasher,
}

/// Rows of one file that are in lookback.
#[derive(Clone, Debug)]
pub struct RecoveredRows {
    /// With their dispositions and windows.
    pub rows: Batch,
    /// Those that a record to come may repeat.
    pub seen: Vec<Seen>,
}

impl Lookback {
    /// The reach of a run's start that makes these tables.
    pub fn of(start: &Start, tables: &[Derived]) -> Lookback {
        let Start { horizon, closed_before, .. } = *start;
        let is_exposure_open = start.seeds.iter().any(|seed| seed.exposure.is_none());
        let resume = horizon.map(|horizon| Resume { horizon, is_exposure_open });
        let bounds = resume.map(|resume| Bounds::of(resume, tables.iter().copied()));
        Lookback { bounds, closed_before, hasher: TextHasher::new(start.key) }
    }

    /// Whether a row of a topic may be needed: by a table, or to tell what repeats it.
    fn has_happened(&self, topic: Topic, time: Micros) -> bool {
        let Some(bounds) = &self.bounds else { return true };
        bounds.has_happened(topic, time) || self.is_repeatable(time)
    }

    fn is_repeatable(&self, time: Micros) -> bool {
        Some(time) >= self.closed_before
    }

    /// Whether a record counts in a window of data quality that is open.
    fn is_counted(&self, window: Option<Micros>) -> bool {
        let Some(bounds) = &self.bounds else { return true };
        bounds.is_counted(window)
    }

    /// Whether rows up to these times are in lookback.
    fn holds(&self, table: Table, event_time: Option<Micros>, quality_window: Option<Micros>) -> bool {
        let happened = table.topic().zip(event_time).is_some_and(|(topic, time)| self.has_happened(topic, time));
        happened || self.is_counted(quality_window)
    }
}

/// How long before the horizon a record may be in reach, of a run that makes these tables.
pub fn reach(tables: &[Derived]) -> Micros {
    // Just before windows of all lengths end.
    let resume = Resume { horizon: -1, is_exposure_open: true };
    let before = |needs: Needs| match needs {
        Needs::Happened(_, from) | Needs::Counted(from) => resume.horizon - from,
    };
    tables.iter().flat_map(|table| (table.lookback)(resume)).map(before).max().unwrap_or(0)
}

/// The files of records that may hold a row in lookback.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn files(lake: &Lake, state: &State, lookback: &Lookback) -> Result<Vec<String>, ReadError> {
    let last = |range: Option<(Micros, Micros)>| range.map(|(_, last)| last);
    let mut paths = Vec::new();
    for table in Table::records() {
        let in_reach = |file: &File| lookback.holds(table, last(file.event_time), last(file.quality_window));
        let files = roots::files(lake, &state.files, table.name(), in_reach).await?;
        paths.extend(files.into_iter().map(|file| file.path));
    }
    Ok(paths)
}

/// The rows in reach of one file of records.
///
/// # Errors
/// The store's, or an integrity violation where the file is missing or is not one of its table.
pub async fn read(lake: &Lake, path: &str, lookback: &Lookback) -> Result<Vec<RecoveredRows>, ReadError> {
    let missing = || Violation(format!("P2: {path} is in the lake's commits, but not in the lake"));
    let bytes = lake.get(path).await?.ok_or_else(missing)?;
    let table = Table::records().find(|table| path.starts_with(&format!("{}/", layout::table(table.name()))));
    let read = table.ok_or_else(|| "no table has it".to_owned()).and_then(|table| decode(table, bytes, lookback));
    Ok(read.map_err(|why| Violation(format!("P2: {path} cannot be read: {why}")))?)
}

fn decode(table: Table, bytes: Bytes, lookback: &Lookback) -> Result<Vec<RecoveredRows>, String> {
    let text = |error: ParquetError| error.to_string();
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(text)?;
    let groups = builder.metadata().row_groups().iter().enumerate();
    let holds = |group| lookback.holds(table, greatest(group, EVENT_TIME), greatest(group, QUALITY_WINDOW));
    let groups = groups.filter(|(_, group)| holds(group));
    let groups = groups.map(|(index, _)| index).collect();
    let columns = extract::columns(table).into_iter().chain(id_column(table));
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    let mut recovered = Vec::new();
    for rows in builder.with_projection(mask).with_row_groups(groups).build().map_err(text)? {
        let rows = rows.map_err(|error| error.to_string())?;
        recovered.extend(recover(table, rows, lookback)?);
    }
    Ok(recovered)
}

/// The greatest value of a column of times in a row group.
pub(super) fn greatest(group: &RowGroupMetaData, column: &str) -> Option<Micros> {
    let chunk = group.columns().iter().find(|chunk| chunk.column_path().string() == column)?;
    match chunk.statistics()? {
        Statistics::Int64(statistics) => statistics.max_opt().copied(),
        _ => None,
    }
}

fn recover(table: Table, rows: RecordBatch, lookback: &Lookback) -> Result<Option<RecoveredRows>, String> {
    let events: Option<&TimestampMicrosecondArray> = column(&rows, EVENT_TIME);
    let windows: &TimestampMicrosecondArray = column(&rows, QUALITY_WINDOW).ok_or("it has no quality_window")?;
    let window = |row: usize| windows.is_valid(row).then(|| windows.value(row));
    let event_time = |row: usize| events.map(|events| events.value(row));
    let holds = |row: usize| lookback.holds(table, event_time(row), window(row));
    let wanted: BooleanArray = (0..rows.num_rows()).map(|row| Some(holds(row))).collect();
    if wanted.true_count() == 0 {
        return Ok(None);
    }
    let columns = filter_record_batch(&rows, &wanted).map_err(|error| error.to_string())?;
    let rows = extract::stored(table, columns).map_err(|error| error.to_string())?;
    let seen = seen(&rows, lookback).ok_or("it has other columns")?;
    Ok(Some(RecoveredRows { rows, seen }))
}

/// The column by which repetitions are known.
fn id_column(table: Table) -> Option<&'static str> {
    table.topic().map(|topic| topic.declaration().id_column())
}

/// The on-time rows that a record to come may repeat.
fn seen(Batch { table, columns: rows, dispositions, .. }: &Batch, lookback: &Lookback) -> Option<Vec<Seen>> {
    let Some(topic) = table.topic() else { return Some(Vec::new()) };
    let ids: &StringArray = column(rows, topic.declaration().id_column())?;
    let times: &TimestampMicrosecondArray = column(rows, EVENT_TIME)?;
    let partitions: &Int32Array = column(rows, "partition")?;
    let repeatable =
        |row: &usize| lookback.is_repeatable(times.value(*row)) && dispositions[*row] == Disposition::OnTime;
    let seen = |row| {
        let (event_time, index) = (times.value(row), partitions.value(row));
        let identity = lookback.hasher.identity(ids.value(row).as_bytes(), event_time);
        Seen { partition: Partition { topic, index }, event_time, identity }
    };
    Some((0..rows.num_rows()).filter(repeatable).map(seen).collect())
}
