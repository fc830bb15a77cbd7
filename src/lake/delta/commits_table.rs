//! The table `commits`: one row a commit, in a small Parquet file of its own, so that readers of tables see what
//! each version holds and up to where it is complete.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

pub use crate::columns::tables::commits::schema;
use crate::lake::history::Violation;
use crate::lake::history::commit::{Commit, Kind, Ledger};

/// The row of a commit.
pub fn row(commit: &Commit) -> Result<RecordBatch, Violation> {
    let sum = commit.ledger.values().fold(Ledger::default(), |sum, ledger| sum.plus(ledger));
    let long = |n: u64| -> ArrayRef { Arc::new(Int64Array::from(vec![n as i64])) };
    let text = |s: &str| -> ArrayRef { Arc::new(StringArray::from(vec![s])) };
    let time = |t: Option<i64>| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![t]).with_timezone("UTC")) };
    let kind = match commit.kind {
        Kind::Claim => "claim",
        Kind::Data => "data",
    };
    let mut columns = vec![long(commit.seq), text(kind), text(&commit.run), time(Some(commit.time_ms * 1000))];
    columns.extend([long(commit.epoch), time(commit.horizon)]);
    columns
        .extend([sum.read, sum.on_time, sum.late, sum.expired, sum.duplicate, sum.dead, sum.missed.total()].map(long));
    RecordBatch::try_new(schema(), columns).map_err(|e| Violation(format!("row of commit {}: {e}", commit.seq)))
}

/// The Parquet file of a commit: a function of the commit.
pub fn encode(commit: &Commit) -> Result<Bytes, Violation> {
    let wrong = |e: parquet::errors::ParquetError| Violation(format!("row of commit {}: {e}", commit.seq));
    let properties = WriterProperties::builder()
        .set_created_by("citystream".into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema(), Some(properties)).map_err(wrong)?;
    writer.write(&row(commit)?).map_err(wrong)?;
    Ok(writer.into_inner().map_err(wrong)?.into())
}

/// Whether a Parquet file holds just the row of a commit. (Its bytes may be another version's of the writer.)
pub fn holds(bytes: Bytes, commit: &Commit) -> Result<bool, Violation> {
    let read = || -> Result<Vec<RecordBatch>, Box<dyn std::error::Error>> {
        Ok(ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?.collect::<Result<_, _>>()?)
    };
    Ok(read().is_ok_and(|batches| batches.len() == 1 && row(commit).is_ok_and(|row| row == batches[0])))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::history;
    use crate::lake::testing::{claim, data};

    #[test]
    fn a_row_is_a_function_of_the_commit() {
        let first = claim("a");
        let commit = data(&history::apply(None, &first, "d".into()), "a", 5, 2);
        let bytes = encode(&commit).unwrap();
        assert_eq!(bytes, encode(&commit).unwrap());
        assert!(holds(bytes.clone(), &commit).unwrap());
        assert!(!holds(bytes, &first).unwrap());
        assert!(!holds("else".into(), &commit).unwrap());
    }
}
