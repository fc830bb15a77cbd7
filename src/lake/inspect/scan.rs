//! Rows of a lake's tables by what they hold: files by their times, then rows one by one.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use citystream_dataflows::time::Micros;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::columns::row::Row;
use crate::columns::tables::Table;
use crate::lake::history::commit::File;
use crate::lake::history::read::ReadError;
use crate::lake::history::{State, Violation, roots};
use crate::lake::store::Lake;

/// The rows of a table that are wanted, from files that may hold them.
///
/// # Errors
/// A file that is missing or cannot be read.
pub async fn scan(
    lake: &Lake,
    state: &State,
    table: Table,
    may_hold: impl Fn(&File) -> bool + Send + Sync,
    wanted: impl Fn(Row<'_>) -> bool,
) -> Result<Vec<RecordBatch>, ReadError> {
    let mut found = Vec::new();
    for file in roots::files(lake, &state.files, table.name(), may_hold).await? {
        for batch in read(lake, &file.path).await? {
            let mask: BooleanArray =
                (0..batch.num_rows()).map(|row| Some(wanted(Row { batch: &batch, row }))).collect();
            if mask.true_count() > 0 {
                let rows = filter_record_batch(&batch, &mask);
                found.push(rows.map_err(|error| Violation(format!("P2: {}: {error}", file.path)))?);
            }
        }
    }
    Ok(found)
}

/// The rows of a file that the commits name.
///
/// # Errors
/// It is missing or cannot be read.
pub async fn read(lake: &Lake, path: &str) -> Result<Vec<RecordBatch>, ReadError> {
    let broken = |why: String| Violation(format!("P2: {path}: {why}"));
    let bytes = lake.get(path).await?.ok_or_else(|| broken("in the commits, but not in the lake".into()))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
    let batches = reader.map_err(|error| broken(error.to_string()))?.collect::<Result<_, _>>();
    Ok(batches.map_err(|error| broken(error.to_string()))?)
}

/// Whether a file may hold event times in `from..until`.
pub fn overlaps(file: &File, from: Micros, until: Micros) -> bool {
    file.event_time.is_none_or(|(first, last)| first < until && last >= from)
}

/// The rows of batches.
pub fn rows(batches: &[RecordBatch]) -> impl Iterator<Item = Row<'_>> {
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| Row { batch, row }))
}
