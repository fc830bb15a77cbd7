//! Decoded rows get what is known only when their epoch is classified: epoch, seq, disposition.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder};
use arrow::error::ArrowError;
use citystream_dataflows::disposition::Disposition;
use citystream_dataflows::time::Epoch;

use super::EncodeError;
use crate::decode::RawBatch;
use crate::tables::schema;

/// The batch in the complete schema of its table.
///
/// `dispositions` has one for each row, and none for dead letters.
pub fn complete(
    raw: RawBatch,
    epoch: Epoch,
    seq: u64,
    dispositions: &[Disposition],
) -> Result<RecordBatch, EncodeError> {
    let rows = raw.columns.num_rows();
    let mut columns = raw.columns.columns().to_vec();
    columns.push(constant(epoch, rows)?);
    columns.push(constant(seq, rows)?);
    if raw.table.topic().is_some() {
        columns.push(Arc::new(names(dispositions)));
    }
    Ok(RecordBatch::try_new(schema(raw.table), columns)?)
}

fn constant(value: u64, rows: usize) -> Result<ArrayRef, ArrowError> {
    let value = i64::try_from(value).map_err(|error| ArrowError::CastError(error.to_string()))?;
    Ok(Arc::new(Int64Array::from(vec![value; rows])))
}

fn names(dispositions: &[Disposition]) -> StringArray {
    let mut names = StringBuilder::with_capacity(dispositions.len(), 7 * dispositions.len());
    for run in dispositions.chunk_by(|a, b| a == b) {
        names.append_value_n(run[0].name(), run.len());
    }
    names.finish()
}
