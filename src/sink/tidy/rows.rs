//! What rows are, all together, whatever their order: their number, and the sum of a hash of each.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_128;

use crate::columns::row::column;

/// The sum of some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    rows: u64,
    hashes: u128,
    /// The first and the last commit that one of them is of.
    seqs: Option<(i64, i64)>,
}

/// Adds up the rows of a table.
pub struct Adder {
    converter: RowConverter,
    /// So far.
    pub sum: Sum,
}

impl Adder {
    /// Of no rows.
    pub fn new(schema: &Arc<Schema>) -> Result<Adder, ArrowError> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        Ok(Adder { converter: RowConverter::new(fields)?, sum: Sum::default() })
    }

    /// Adds rows.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let Sum { rows: count, hashes, seqs } = &mut self.sum;
        *count += rows.num_rows() as u64;
        for row in self.converter.convert_columns(rows.columns())?.iter() {
            *hashes = hashes.wrapping_add(xxh3_128(row.as_ref()));
        }
        let of_batch = column::<Int64Array>(rows, "seq").and_then(|column| min(column).zip(max(column)));
        *seqs = match (*seqs, of_batch) {
            (Some((first, last)), Some((least, greatest))) => Some((first.min(least), last.max(greatest))),
            (one, other) => one.or(other),
        };
        Ok(())
    }
}

impl Sum {
    /// The first and the last commit that a row is of.
    pub fn seqs(&self) -> Option<(u64, u64)> {
        let (first, last) = self.seqs?;
        Some((first.try_into().ok()?, last.try_into().ok()?))
    }
}
