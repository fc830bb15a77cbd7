//! Rows that can be told apart: dead letters, each with the offset of its record, and with one of a few vehicles as its key.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use citystream::parts::{
    Commit, Committer, EncodedFile, Encoder, EncoderOptions, File, Kind, Ledger, Table, with_schemas,
};
use citystream_dataflows::time::bindings::{Binding, NextOffset, Partition, Position, Standing, Topic};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

pub(crate) const TABLE: Table = Table::DeadLetters;
const PARTITION: Partition = Partition { topic: Topic::GPS, index: 0 };

/// The n-th vehicle.
pub(crate) fn vehicle(n: u64) -> String {
    format!("vehicle-{}", n % 3)
}

fn schema() -> SchemaRef {
    with_schemas(&[]).find(|(name, _)| *name == TABLE.name()).expect("the table").1
}

/// The rows of the records from an offset on.
fn batch(first: i64, count: usize, seq: u64, now_ms: i64) -> RecordBatch {
    let schema = schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match (field.name().as_str(), field.data_type()) {
            ("offset", _) => Arc::new(Int64Array::from_iter_values(first..first + count as i64)),
            ("key", _) => Arc::new(StringArray::from_iter_values(
                (first..first + count as i64).map(|offset| vehicle(offset as u64)),
            )),
            (_, _) if field.is_nullable() => new_null_array(field.data_type(), count),
            (_, DataType::Int64) => Arc::new(Int64Array::from(vec![seq as i64; count])),
            (_, DataType::Int32) => Arc::new(Int32Array::from(vec![0; count])),
            (_, DataType::Timestamp(..)) => {
                Arc::new(TimestampMicrosecondArray::from(vec![now_ms * 1000; count]).with_timezone("UTC"))
            }
            _ => Arc::new(StringArray::from(vec![Topic::GPS.name(); count])),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("rows")
}

/// A commit of data that reads so many records, and the bytes of its file, if it has one; whether it ends a version.
pub(crate) fn commit(
    committer: &Committer,
    (count, is_version): (usize, bool),
    now_ms: i64,
) -> (Commit, Option<(String, Bytes)>) {
    let state = committer.state().expect("a claim");
    let (seq, epoch) = (state.seq + 1, state.epoch + 1);
    let first = state.positions.first().map_or(NextOffset(0), |position| position.next);
    let next = NextOffset(first.0 + count as i64);
    let (log_clock, standing) = (Some(now_ms * 1000), Standing::Drained);
    let read = count as u64;
    let binding = Binding { partition: PARTITION, first, next, read, log_clock, standing };
    let mut commit = Commit {
        kind: Kind::Data,
        epoch,
        horizon: Some(now_ms * 1000),
        positions: vec![Position { partition: PARTITION, next, log_clock, standing }],
        epochs: vec![citystream::parts::EpochBindings { epoch, bindings: vec![binding] }],
        version: is_version.then_some(0),
        ..committer.carry_on()
    };
    if count == 0 {
        return (commit, None);
    }
    let mut encoder = Encoder::new(EncoderOptions::default()).expect("an encoder");
    encoder.append(TABLE, batch(first.0, count, seq, now_ms)).expect("rows");
    let file = encoder.seal_all().expect("a file").pop().expect("a file");
    let (file, data) = described(file, committer.run(), seq);
    let path = file.path.clone();
    commit.added.insert(TABLE.name().to_owned(), vec![file]);
    let mut ledger = Ledger { read, dead: read, ..Ledger::default() };
    // They are in no window: so there need be no table of windows.
    ledger.missed.dead = read;
    commit.ledger.insert(Topic::GPS, ledger);
    (commit, Some((path, data)))
}

fn described(encoded: EncodedFile, run: &str, seq: u64) -> (File, Bytes) {
    let path = format!("tables/{}/log_date={}/{run}-{seq:020}-0-0.parquet", TABLE.name(), encoded.date);
    (encoded.describe(path, (seq, seq), 0), encoded.data)
}

/// The offsets of the rows of a file.
pub(crate) fn offsets(data: Bytes) -> Vec<i64> {
    rows(data).into_iter().map(|(offset, _)| offset).collect()
}

/// The vehicles of the rows of a file, each with its commit.
pub(crate) fn vehicles(data: Bytes) -> Vec<(String, u64)> {
    let keyed = |(offset, seq): (i64, u64)| (vehicle(offset as u64), seq);
    rows(data).into_iter().map(keyed).collect()
}

/// The offsets of the rows of a file, each with its commit.
fn rows(data: Bytes) -> Vec<(i64, u64)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(data).expect("a file").build().expect("a reader");
    let of = |rows: RecordBatch| {
        let numbers = |name: &str| {
            let column = rows.column_by_name(name).expect("a column");
            column.as_any().downcast_ref::<Int64Array>().expect("numbers").values().to_vec()
        };
        numbers("offset").into_iter().zip(numbers("seq").into_iter().map(|seq| seq as u64)).collect::<Vec<_>>()
    };
    reader.flat_map(|rows| of(rows.expect("rows"))).collect()
}
