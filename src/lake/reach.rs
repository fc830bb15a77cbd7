//! What is in reach of the next record: read back from the raw files when a run starts.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use bytes::Bytes;
use citystream_dataflows::bindings::{Partition, Topic};
use citystream_dataflows::disposition::Disposition;
use citystream_dataflows::ticks::Seen;
use citystream_dataflows::time::Micros;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::history::{State, Violation};
use super::store::Lake;
use crate::decode::identity;
use crate::lake::layout;
use crate::lake::recover::ReadError;

/// The raw files that may hold a row at or after `time`.
pub fn files(state: &State, time: Option<Micros>) -> Vec<String> {
    let raw = Topic::ALL.into_iter().filter_map(|topic| state.files.get(layout::raw_table(topic))).flatten();
    let in_reach = raw.filter(|file| file.event_time.is_some_and(|(_, last)| Some(last) >= time));
    in_reach.map(|file| file.path.clone()).collect()
}

/// The on-time rows of one raw file that lie at or after `time`.
///
/// # Errors
/// The store's, or an integrity violation where the file is missing or is not a raw table's.
pub async fn seen(lake: &Lake, path: &str, time: Option<Micros>) -> Result<Vec<Seen>, ReadError> {
    let missing = || Violation(format!("P2: {path} is in the lake's commits, but not in the lake"));
    let bytes = lake.get(path).await?.ok_or_else(missing)?;
    let topic = Topic::ALL.into_iter().find(|t| path.starts_with(&format!("tables/{}/", layout::raw_table(*t))));
    let read = topic.and_then(|topic| decode(topic, bytes, time).ok());
    Ok(read.ok_or_else(|| Violation(format!("P2: {path} cannot be read as a raw table")))?)
}

fn decode(topic: Topic, bytes: Bytes, time: Option<Micros>) -> Result<Vec<Seen>, parquet::errors::ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let columns = ["id", "event_time", "partition", "disposition"];
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    let mut seen = Vec::new();
    for batch in builder.with_projection(mask).build()? {
        collect(topic, &batch?, time, &mut seen)
            .ok_or_else(|| parquet::errors::ParquetError::General("a raw table has other columns".to_owned()))?;
    }
    Ok(seen)
}

fn collect(topic: Topic, rows: &RecordBatch, time: Option<Micros>, seen: &mut Vec<Seen>) -> Option<()> {
    let ids = rows.column_by_name("id")?.as_string_opt::<i32>()?;
    let times = rows.column_by_name("event_time")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let partitions = rows.column_by_name("partition")?.as_primitive_opt::<Int32Type>()?;
    let dispositions = rows.column_by_name("disposition")?.as_string_opt::<i32>()?;
    for row in 0..rows.num_rows() {
        let event_time = times.value(row);
        if Some(event_time) >= time && dispositions.value(row) == Disposition::OnTime.name() {
            let partition = Partition { topic, index: partitions.value(row) };
            seen.push(Seen { partition, event_time, identity: identity(ids.value(row).as_bytes(), event_time) });
        }
    }
    Some(())
}
