//! A row of Arrow columns, by the names of its columns.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use citystream_dataflows::tables::Fields;

/// One row of a batch.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The batch.
    pub batch: &'a RecordBatch,
    /// The row's number.
    pub row: usize,
}

impl Row<'_> {
    /// A column, if the row's value is not null.
    fn valid(&self, column: &str) -> Option<&dyn Array> {
        let column = self.batch.column_by_name(column)?;
        column.is_valid(self.row).then_some(column.as_ref())
    }
}

impl Fields for Row<'_> {
    fn text(&self, column: &str) -> Option<&str> {
        Some(self.valid(column)?.as_string_opt::<i32>()?.value(self.row))
    }

    fn int(&self, column: &str) -> Option<i32> {
        Some(self.valid(column)?.as_primitive_opt::<Int32Type>()?.value(self.row))
    }

    fn long(&self, column: &str) -> Option<i64> {
        let column = self.valid(column)?;
        let times = column.as_primitive_opt::<TimestampMicrosecondType>().map(|times| times.value(self.row));
        times.or_else(|| Some(column.as_primitive_opt::<Int64Type>()?.value(self.row)))
    }

    fn double(&self, column: &str) -> Option<f64> {
        Some(self.valid(column)?.as_primitive_opt::<Float64Type>()?.value(self.row))
    }

    fn flag(&self, column: &str) -> Option<bool> {
        Some(self.valid(column)?.as_boolean_opt()?.value(self.row))
    }
}
