//! Arrow columns by name and type, and one row of them: the one way to look a column up.

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{Array, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use citystream_dataflows::tables::Fields;

/// The column of that name, if it is there and an array of that type.
pub fn column<'a, A: Array + 'static>(batch: &'a RecordBatch, name: &str) -> Option<&'a A> {
    batch.column_by_name(name)?.as_any().downcast_ref()
}

/// One row of a batch.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The batch.
    pub batch: &'a RecordBatch,
    /// The row's number.
    pub row: usize,
}

impl Row<'_> {
    /// The column, if the row's value is not null.
    fn valid<A: Array + 'static>(&self, name: &str) -> Option<&A> {
        column::<A>(self.batch, name).filter(|column| column.is_valid(self.row))
    }
}

impl Fields for Row<'_> {
    fn text(&self, column: &str) -> Option<&str> {
        Some(self.valid::<StringArray>(column)?.value(self.row))
    }

    fn int(&self, column: &str) -> Option<i32> {
        Some(self.valid::<Int32Array>(column)?.value(self.row))
    }

    fn long(&self, column: &str) -> Option<i64> {
        let time = self.valid::<TimestampMicrosecondArray>(column).map(|times| times.value(self.row));
        time.or_else(|| Some(self.valid::<Int64Array>(column)?.value(self.row)))
    }

    fn double(&self, column: &str) -> Option<f64> {
        Some(self.valid::<Float64Array>(column)?.value(self.row))
    }

    fn flag(&self, column: &str) -> Option<bool> {
        Some(self.valid::<BooleanArray>(column)?.value(self.row))
    }
}
