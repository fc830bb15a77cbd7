//! Changes of the derived tables, and their sealed rows, as Arrow columns: where ids become texts, and a row gets its key. What the columns are
//! and how rows give their values stands in each table's [declaration](citystream_dataflows::tables).

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, PrimitiveArray, RecordBatch, StringBuilder};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use citystream_dataflows::records::TextId;
use citystream_dataflows::tables::{Block, Column, Derived, Kind, Validity, Values};

use crate::columns::names::{Names, Reader};
use crate::columns::tables::{Batch, Table, decoded_schema};

/// A change that cannot be shown: always a fault of this program.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// An id that nobody has told.
    #[error("P5: a row of {0} names a text that nobody has told")]
    Unknown(&'static str),
    /// A double that is always there, and is not a number: a place that is none.
    #[error("P5: a row of {0} has no number for its {1}")]
    NotANumber(&'static str, String),
    /// Columns that do not fit.
    #[error("columns that do not fit their table: {0}")]
    Arrow(#[from] ArrowError),
}

/// Rows in the schema of their table without `epoch` and `seq`.
///
/// # Errors
/// Where a text or a place is not one.
pub fn render(block: Block, names: &Names) -> Result<Batch, RenderError> {
    let (names, rows) = (names.read(), block.rows());
    let Block { table, diffs, columns } = block;
    let whole = if diffs.is_some() { Table::Changes(table) } else { Table::Sealed(table) };
    let mut arrays = vec![keys(table, &columns, rows, &names)?];
    if let Some(diffs) = diffs {
        arrays.push(Arc::new(Int32Array::from_iter_values(diffs.into_iter().map(i32::from))));
    }
    for (column, values) in table.columns().iter().zip(columns) {
        arrays.push(array(table, column, values, &names)?);
    }
    Ok(Batch::derived(whole, RecordBatch::try_new(decoded_schema(whole), arrays)?))
}

/// The keys of all rows: the values of the key's columns, joined by `/`.
fn keys(table: Derived, columns: &[Values], rows: usize, names: &Reader<'_>) -> Result<ArrayRef, RenderError> {
    let place = |name: &&str| table.columns().iter().position(|column| column.name == *name);
    let parts: Vec<&Values> = table.key.iter().filter_map(place).map(|index| &columns[index]).collect();
    let mut keys = StringBuilder::with_capacity(rows, 40 * rows);
    for row in 0..rows {
        for (index, part) in parts.iter().enumerate() {
            let separator = if index == 0 { "" } else { "/" };
            // Writing into a builder does not fail.
            let _ = match part {
                Values::Text(ids) => write!(keys, "{separator}{}", text(table, ids[row], names)?),
                Values::Word(words) => write!(keys, "{separator}{}", words[row].unwrap_or_default()),
                Values::Int(values, _) => write!(keys, "{separator}{}", values[row]),
                Values::Long(values, _) => write!(keys, "{separator}{}", values[row]),
                Values::Double(values, _) => write!(keys, "{separator}{}", values[row]),
                Values::Flag(values, _) => write!(keys, "{separator}{}", values[row]),
            };
        }
        keys.append_value("");
    }
    Ok(Arc::new(keys.finish()))
}

fn array(table: Derived, column: &Column, values: Values, names: &Reader<'_>) -> Result<ArrayRef, RenderError> {
    Ok(match values {
        Values::Text(ids) => texts(table, &ids, names)?,
        Values::Word(words) => {
            let mut texts = StringBuilder::with_capacity(words.len(), 8 * words.len());
            words.into_iter().for_each(|word| texts.append_option(word));
            Arc::new(texts.finish())
        }
        Values::Int(values, valid) => Arc::new(numbers::<Int32Type>(values, valid)),
        Values::Long(values, valid) if column.kind == Kind::Time => {
            Arc::new(numbers::<TimestampMicrosecondType>(values, valid).with_timezone("UTC"))
        }
        Values::Long(values, valid) => Arc::new(numbers::<Int64Type>(values, valid)),
        Values::Double(values, None) if values.iter().any(|value| value.is_nan()) => {
            return Err(RenderError::NotANumber(table.name(), column.name.to_string()));
        }
        Values::Double(values, valid) => Arc::new(numbers::<Float64Type>(values, valid)),
        Values::Flag(values, valid) => Arc::new(BooleanArray::new(values.into(), valid.map(NullBuffer::from))),
    })
}

/// Values that move into their array.
fn numbers<T: ArrowPrimitiveType>(values: Vec<T::Native>, valid: Validity) -> PrimitiveArray<T> {
    PrimitiveArray::new(ScalarBuffer::from(values), valid.map(NullBuffer::from))
}

fn texts(table: Derived, ids: &[TextId], names: &Reader<'_>) -> Result<ArrayRef, RenderError> {
    let mut texts = StringBuilder::with_capacity(ids.len(), 16 * ids.len());
    for id in ids {
        match *id {
            TextId::NONE => texts.append_null(),
            id => texts.append_value(text(table, id, names)?),
        }
    }
    Ok(Arc::new(texts.finish()))
}

fn text<'a>(table: Derived, id: TextId, names: &'a Reader<'_>) -> Result<&'a str, RenderError> {
    names.get(id).ok_or(RenderError::Unknown(table.name()))
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
