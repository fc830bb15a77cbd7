//! Data files against what their commits say of them.

use arrow::array::{Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{max, min};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::report::Report;
use crate::columns::row::column;
use crate::columns::tables::{DIFF, LOG_TIME, QUALITY_WINDOW};
use crate::lake::digest;
use crate::lake::history::commit::File;
use crate::lake::history::read::ReadError;
use crate::lake::history::{Violation, layout};
use crate::lake::store::Lake;

/// Reads live files, and hands over their rows.
pub(super) async fn read_files(
    lake: &Lake,
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
            None => report.violations.push(format!("P2: {} is missing", file.path)),
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

/// Reads a file, and checks its length, its rows and the ranges of its times. Returns its rows.
fn read_file(
    file: &File,
    bytes: Bytes,
    columns: Option<&[&str]>,
    take: &mut impl FnMut(&RecordBatch) -> Result<(), String>,
) -> Result<u64, Violation> {
    let path = &file.path;
    let wrong = |e: &dyn std::fmt::Display| Violation(format!("{path} cannot be read: {e}"));
    if bytes.len() as u64 != file.bytes {
        return Err(Violation(format!("P2: {path} has {} bytes, {} in its commit", bytes.len(), file.bytes)));
    }
    if digest(&bytes) != file.sha256 {
        return Err(Violation(format!(
            "P2: {path} does not have the digest that its commit tells: its bytes were changed"
        )));
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| wrong(&e))?;
    let mask = match columns {
        Some(columns) => ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied()),
        None => ProjectionMask::all(),
    };
    let mut ranges = Ranges::told(file, layout::time_column(builder.schema()));
    let footer = builder.metadata().file_metadata().num_rows();
    let reader = builder.with_projection(mask).build().map_err(|e| wrong(&e))?;
    let (mut count, mut net) = (0, 0);
    for batch in reader {
        let batch = batch.map_err(|e| wrong(&e))?;
        count += batch.num_rows() as u64;
        net += column::<Int32Array>(&batch, DIFF).map_or(batch.num_rows() as i64, sum);
        take(&batch).map_err(|what| wrong(&what))?;
        ranges.take(&batch);
    }
    if count != file.rows || footer != count as i64 {
        return Err(Violation(format!("{path} has {count} rows, {footer} in its footer, {} in its commit", file.rows)));
    }
    if net != file.net {
        return Err(Violation(format!("{path} adds up to {net} rows, {} in its commit", file.net)));
    }
    ranges.check(path).map(|()| count)
}

fn sum(diffs: &Int32Array) -> i64 {
    diffs.values().iter().map(|diff| i64::from(*diff)).sum()
}

/// The least and the greatest value of a column: times in microseconds, or numbers of commits.
type Range = Option<(i64, i64)>;

/// The ranges that a commit tells of a file: the column, what the commit says, what is found.
struct Ranges(Vec<(&'static str, Range, Range)>);

impl Ranges {
    fn told(file: &File, time_column: Option<&'static str>) -> Ranges {
        let times = time_column.map(|name| (name, file.event_time, None));
        let seqs = Some((file.seqs.0 as i64, file.seqs.1 as i64));
        let others = [(LOG_TIME, file.log_time), (QUALITY_WINDOW, file.quality_window), ("seq", seqs)];
        Ranges(times.into_iter().chain(others.map(|(name, told)| (name, told, None))).collect())
    }

    fn take(&mut self, batch: &RecordBatch) {
        for (name, _, found) in &mut self.0 {
            let ends = match (column::<TimestampMicrosecondArray>(batch, name), column::<Int64Array>(batch, name)) {
                (Some(times), _) => min(times).zip(max(times)),
                (None, Some(numbers)) => min(numbers).zip(max(numbers)),
                (None, None) => None,
            };
            if let Some((least, greatest)) = ends {
                *found = Some(found.map_or((least, greatest), |(a, b)| (least.min(a), greatest.max(b))));
            }
        }
    }

    fn check(&self, path: &str) -> Result<(), Violation> {
        match self.0.iter().find(|(_, told, found)| told != found) {
            None => Ok(()),
            Some((name, told, found)) => {
                Err(Violation(format!("{path} has {name} from and to {found:?}, {told:?} in its commit")))
            }
        }
    }
}
