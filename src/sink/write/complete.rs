//! Decoded rows get what is known only when their epoch is classified: epoch, seq, disposition, quality_window. Rendered rows get
//! epoch and seq when their commit is sealed.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray};
use arrow::error::ArrowError;
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::disposition::Disposition;

use super::EncodeError;
use crate::columns::tables::{Batch, schema};

/// The batch in the complete schema of its table.
///
/// # Errors
/// Columns that are not those of the table.
pub fn complete(batch: &Batch, epoch: Epoch, seq: u64) -> Result<RecordBatch, EncodeError> {
    let mut columns = committed(&batch.columns, epoch, seq)?;
    if batch.table.topic().is_some() {
        columns.push(Arc::new(names(&batch.dispositions)));
    }
    if batch.table.derived().is_none() {
        let windows = TimestampMicrosecondArray::from_iter(batch.quality_windows.iter().copied());
        columns.push(Arc::new(windows.with_timezone("UTC")));
    }
    Ok(RecordBatch::try_new(schema(batch.table), columns)?)
}

fn committed(batch: &RecordBatch, epoch: Epoch, seq: u64) -> Result<Vec<ArrayRef>, ArrowError> {
    let rows = batch.num_rows();
    let mut columns = batch.columns().to_vec();
    columns.extend([constant(epoch, rows)?, constant(seq, rows)?]);
    Ok(columns)
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
