//! What a start depends on: read back from the files when a run begins.
//!
//! A record is in reach while a row that is not final depends on it. By the definitions that is, of each table of
//! records, what lies at or after a fixed time before the horizon; of data quality, what the log received in the
//! window that is open at the horizon.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use bytes::Bytes;
use citystream_dataflows::bindings::Partition;
use citystream_dataflows::disposition::Disposition;
use citystream_dataflows::enrich::{TRAFFIC_REACH, WEATHER_REACH};
use citystream_dataflows::incidents::{BEFORE, EXPOSURE};
use citystream_dataflows::ticks::{Seen, Start};
use citystream_dataflows::time::Micros;
use citystream_dataflows::windows::vehicle::STEP;
use citystream_wire::{PerTopic, Topic};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use super::history::{State, Violation, open_window};
use super::seeds::known_from;
use super::store::Lake;
use crate::decode::identity;
use crate::extract;
use crate::lake::commit::File;
use crate::lake::layout;
use crate::lake::recover::ReadError;
use crate::tables::Batch;
use crate::tables::{EVENT_TIME, LOG_TIME, Table};

/// From where on each table is in reach; `None` is from the beginning.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    horizon: Option<Micros>,
    /// The event time before which no row can be on time any more.
    closed_before: Option<Micros>,
    /// Pings that may be near an incident.
    exposed_from: Option<Micros>,
    /// The commit after which all records count in windows of data quality that are open.
    sealed_by: u64,
}

/// Rows of one file that are in reach.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// With their dispositions.
    pub rows: Batch,
    /// Those that a record to come may repeat.
    pub seen: Vec<Seen>,
    /// The log time that they count from in data quality: windows before it were sealed when they came.
    pub counts_from: Micros,
}

impl Reach {
    /// The reach of a run's start.
    pub fn of(start: &Start) -> Reach {
        let Start { horizon, closed_before, .. } = *start;
        // A life whose exposure is not known yet may have begun to count an hour before the horizon.
        let open = start.seeds.iter().any(|seed| seed.exposure.is_none());
        let exposed_from = horizon.map(|h| if open { h - EXPOSURE - BEFORE } else { h - BEFORE });
        Reach { horizon, closed_before, exposed_from, sealed_by: start.sealed_by }
    }

    /// The event time from which rows of a table are in reach.
    fn event_time(&self, table: Table) -> Option<Micros> {
        let horizon = self.horizon?;
        let window = open_window(horizon);
        let from = match table {
            Table::Raw(Topic::VEHICLE) => window - STEP,
            Table::Raw(Topic::GPS) => (window - STEP).min(self.exposed_from?),
            Table::Raw(Topic::TRAFFIC) => window - TRAFFIC_REACH,
            Table::Raw(Topic::WEATHER) => window - WEATHER_REACH,
            _ => known_from(horizon),
        };
        Some(from.min(self.closed_before.unwrap_or(from)))
    }

    /// The log time from which records count in a window that is open.
    fn log_time(&self) -> Option<Micros> {
        self.horizon.map(open_window)
    }

    /// Whether rows that a commit brought are in reach.
    fn holds(&self, table: Table, seq: u64, event_time: Option<Micros>, log_time: Option<Micros>) -> bool {
        let event = event_time.is_some_and(|time| Some(time) >= self.event_time(table));
        event || seq > self.sealed_by || log_time.is_none_or(|time| Some(time) >= self.log_time())
    }
}

/// The files of records that may hold a row in reach.
pub fn files(state: &State, reach: Reach) -> Vec<String> {
    let files_of = |table: Table| state.files.get(table.name()).into_iter().flatten().map(move |file| (table, file));
    let last = |range: Option<(Micros, Micros)>| range.map(|(_, last)| last);
    let in_reach = |(table, file): &(Table, &File)| {
        reach.holds(*table, layout::written_for(&file.path), last(file.event_time), last(file.log_time))
    };
    Table::raw().flat_map(files_of).filter(in_reach).map(|(_, file)| file.path.clone()).collect()
}

/// The rows in reach of one file of records.
///
/// # Errors
/// The store's, or an integrity violation where the file is missing or is not one of its table.
pub async fn read(lake: &Lake, path: &str, reach: Reach) -> Result<Vec<Recalled>, ReadError> {
    let missing = || Violation(format!("P2: {path} is in the lake's commits, but not in the lake"));
    let bytes = lake.get(path).await?.ok_or_else(missing)?;
    let table = Table::raw().find(|table| path.starts_with(&format!("{}/", layout::table(table.name()))));
    let seq = layout::written_for(path);
    let read = table.ok_or_else(|| "no table has it".to_owned()).and_then(|table| decode(table, seq, bytes, reach));
    Ok(read.map_err(|why| Violation(format!("P2: {path} cannot be read: {why}")))?)
}

fn decode(table: Table, seq: u64, bytes: Bytes, reach: Reach) -> Result<Vec<Recalled>, String> {
    let text = |error: ParquetError| error.to_string();
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(text)?;
    let groups = builder.metadata().row_groups().iter().enumerate();
    let holds = |group| reach.holds(table, seq, greatest(group, EVENT_TIME), greatest(group, LOG_TIME));
    let groups = groups.filter(|(_, group)| holds(group));
    let groups = groups.map(|(index, _)| index).collect();
    let columns = extract::columns(table).into_iter().chain(id_column(table)).chain(["disposition"]);
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    let mut recalled = Vec::new();
    for rows in builder.with_projection(mask).with_row_groups(groups).build().map_err(text)? {
        let rows = rows.map_err(|error| error.to_string())?;
        recalled.extend(recall(table, seq, rows, reach)?);
    }
    Ok(recalled)
}

/// The greatest value of a column of times in a row group.
fn greatest(group: &RowGroupMetaData, column: &str) -> Option<Micros> {
    let chunk = group.columns().iter().find(|chunk| chunk.column_path().string() == column)?;
    match chunk.statistics()? {
        Statistics::Int64(statistics) => statistics.max_opt().copied(),
        _ => None,
    }
}

fn recall(table: Table, seq: u64, rows: RecordBatch, reach: Reach) -> Result<Option<Recalled>, String> {
    let times =
        |name| rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let (events, logs) = (times(EVENT_TIME), times(LOG_TIME).ok_or("it has no log time")?);
    let value = |row: usize| events.map(|events| events.value(row));
    let holds = |row: usize| reach.holds(table, seq, value(row), Some(logs.value(row)));
    let wanted: BooleanArray = (0..rows.num_rows()).map(|row| Some(holds(row))).collect();
    if wanted.true_count() == 0 {
        return Ok(None);
    }
    let columns = filter_record_batch(&rows, &wanted).map_err(|error| error.to_string())?;
    let dispositions = match table.topic() {
        Some(_) => extract::dispositions(table, &columns).map_err(|error| error.to_string())?,
        None => Vec::new(),
    };
    let seen = seen(table, &columns, &dispositions, reach.closed_before).ok_or("it has other columns")?;
    let counts_from = reach.log_time().filter(|_| seq > reach.sealed_by).unwrap_or(Micros::MIN);
    Ok(Some(Recalled { rows: Batch { table, columns, dispositions, dead: PerTopic::default() }, seen, counts_from }))
}

/// The column by which repetitions are known.
fn id_column(table: Table) -> Option<&'static str> {
    table.topic().map(|topic| topic.declaration().id_column())
}

/// The on-time rows at or after a time.
fn seen(table: Table, rows: &RecordBatch, dispositions: &[Disposition], from: Option<Micros>) -> Option<Vec<Seen>> {
    let Some(topic) = table.topic() else { return Some(Vec::new()) };
    let ids = rows.column_by_name(topic.declaration().id_column())?.as_string_opt::<i32>()?;
    let times = rows.column_by_name(EVENT_TIME)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let partitions = rows.column_by_name("partition")?.as_primitive_opt::<Int32Type>()?;
    let repeatable = |row: &usize| Some(times.value(*row)) >= from && dispositions[*row] == Disposition::OnTime;
    let seen = |row| {
        let (event_time, index) = (times.value(row), partitions.value(row));
        let identity = identity(ids.value(row).as_bytes(), event_time);
        Seen { partition: Partition { topic, index }, event_time, identity }
    };
    Some((0..rows.num_rows()).filter(repeatable).map(seen).collect())
}
