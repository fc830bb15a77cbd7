//! Data files against what their commits say of them.

use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::report::Report;
use crate::columns::row::column;
use crate::lake::history::commit::File;
use crate::lake::history::read::ReadError;
use crate::lake::history::{Violation, layout};
use crate::lake::store::Lake;

/// Reads files that a commit added, and hands over their rows.
pub(super) async fn read_files(
    lake: &Lake,
    seq: u64,
    files: &[&File],
    columns: Option<&[&str]>,
    report: &mut Report,
    mut take: impl FnMut(&RecordBatch) -> Result<(), String>,
) -> Result<(), ReadError> {
    let read = files.iter().map(|file| async move { Ok::<_, ReadError>((*file, lake.get(&file.path).await?)) });
    let mut read = futures::stream::iter(read.collect::<Vec<_>>()).buffered(4);
    while let Some((file, bytes)) = read.try_next().await? {
        report.files += 1;
        match bytes {
            None => report.violations.push(format!("commit {seq}: {} is missing", file.path)),
            Some(bytes) => {
                report.bytes += bytes.len() as u64;
                let counted = read_file(file, bytes, columns, &mut take);
                report.rows += *counted.as_ref().unwrap_or(&0);
                report.note(counted.map(|_| ()));
            }
        }
    }
    Ok(())
}

/// Reads a file, and checks its length, its rows and its event times. Returns its rows.
fn read_file(
    file: &File,
    bytes: Bytes,
    columns: Option<&[&str]>,
    take: &mut impl FnMut(&RecordBatch) -> Result<(), String>,
) -> Result<u64, Violation> {
    let path = &file.path;
    let wrong = |e: &dyn std::fmt::Display| Violation(format!("{path} cannot be read: {e}"));
    if bytes.len() as u64 != file.bytes {
        return Err(Violation(format!("{path} has {} bytes, {} in its commit", bytes.len(), file.bytes)));
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| wrong(&e))?;
    let mask = match columns {
        Some(columns) => ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied()),
        None => ProjectionMask::all(),
    };
    let time_column = layout::time_column(builder.schema());
    let footer = builder.metadata().file_metadata().num_rows();
    let reader = builder.with_projection(mask).build().map_err(|e| wrong(&e))?;
    let mut count = 0;
    let mut times: Option<(i64, i64)> = None;
    for batch in reader {
        let batch = batch.map_err(|e| wrong(&e))?;
        count += batch.num_rows() as u64;
        take(&batch).map_err(|what| wrong(&what))?;
        if let Some(found) = time_column.and_then(|name| column::<TimestampMicrosecondArray>(&batch, name)) {
            for time in found.iter().flatten() {
                times = Some(times.map_or((time, time), |(a, b)| (a.min(time), b.max(time))));
            }
        }
    }
    if count != file.rows || footer != count as i64 {
        return Err(Violation(format!("{path} has {count} rows, {footer} in its footer, {} in its commit", file.rows)));
    }
    if time_column.is_some() && times != file.event_time {
        return Err(Violation(format!("{path} has event times {times:?}, {:?} in its commit", file.event_time)));
    }
    Ok(count)
}
