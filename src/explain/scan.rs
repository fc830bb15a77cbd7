//! Rows of a lake's tables by what they hold: files by their times, then rows one by one.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use citystream_dataflows::records::{Point, Stamp};
use citystream_dataflows::time::Micros;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::RunError;
use crate::lake::commit::File;
use crate::lake::{Lake, State};
use crate::tables::{EVENT_TIME, Table};

/// One row of a batch.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The batch.
    pub batch: &'a RecordBatch,
    /// The row's number.
    pub row: usize,
}

impl<'a> Row<'a> {
    /// A text.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        let texts = self.batch.column_by_name(column)?.as_string_opt::<i32>()?;
        texts.is_valid(self.row).then(|| texts.value(self.row))
    }

    /// A 64-bit integer or a time.
    pub fn long(&self, column: &str) -> Option<i64> {
        let column = self.batch.column_by_name(column)?;
        if !column.is_valid(self.row) {
            return None;
        }
        let times = column.as_primitive_opt::<TimestampMicrosecondType>().map(|times| times.value(self.row));
        times.or_else(|| column.as_primitive_opt::<Int64Type>().map(|longs| longs.value(self.row)))
    }

    /// A 32-bit integer.
    pub fn int(&self, column: &str) -> Option<i32> {
        let ints = self.batch.column_by_name(column)?.as_primitive_opt::<Int32Type>()?;
        ints.is_valid(self.row).then(|| ints.value(self.row))
    }

    /// A flag.
    pub fn flag(&self, column: &str) -> Option<bool> {
        let flags = self.batch.column_by_name(column)?.as_boolean_opt()?;
        flags.is_valid(self.row).then(|| flags.value(self.row))
    }

    /// A place.
    pub fn place(&self) -> Option<Point> {
        let degrees = |column| {
            let column = self.batch.column_by_name(column)?.as_primitive_opt::<Float64Type>()?;
            Some(column.value(self.row))
        };
        Some(Point { lat: degrees("lat")?, lon: degrees("lon")? })
    }

    /// When and where in the log it stood.
    pub fn stamp(&self) -> Option<Stamp> {
        Some(Stamp { time: self.long(EVENT_TIME)?, partition: self.int("partition")?, offset: self.long("offset")? })
    }

    /// Whether its event time is in `from..until`.
    pub fn within(&self, from: Micros, until: Micros) -> bool {
        self.long(EVENT_TIME).is_some_and(|time| (from..until).contains(&time))
    }
}

/// The rows of a table that are wanted, from files that may hold them.
///
/// # Errors
/// A file that is missing or cannot be read.
pub async fn scan(
    lake: &Lake,
    state: &State,
    table: Table,
    may_hold: impl Fn(&File) -> bool,
    wanted: impl Fn(Row<'_>) -> bool,
) -> Result<Vec<RecordBatch>, RunError> {
    let mut found = Vec::new();
    for file in state.files.get(table.name()).into_iter().flatten().filter(|file| may_hold(file)) {
        let broken = |why: String| RunError::Integrity(format!("P2: {}: {why}", file.path));
        let bytes = lake.get(&file.path).await?.ok_or_else(|| broken("in the commits, but not in the lake".into()))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
        for batch in reader.map_err(|error| broken(error.to_string()))? {
            let batch = batch.map_err(|error| broken(error.to_string()))?;
            let mask: BooleanArray =
                (0..batch.num_rows()).map(|row| Some(wanted(Row { batch: &batch, row }))).collect();
            if mask.true_count() > 0 {
                found.push(filter_record_batch(&batch, &mask).map_err(|error| broken(error.to_string()))?);
            }
        }
    }
    Ok(found)
}

/// Whether a file may hold event times in `from..until`.
pub fn overlaps(file: &File, from: Micros, until: Micros) -> bool {
    file.event_time.is_none_or(|(first, last)| first < until && last >= from)
}

/// The rows of batches.
pub fn rows(batches: &[RecordBatch]) -> impl Iterator<Item = Row<'_>> {
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| Row { batch, row }))
}
