//! Rows as JSON: every column that is not null, under its name.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::row::Row;

/// A row's columns in the order of their table.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown(pub Vec<(String, Value)>);

impl Shown {
    /// Without a column.
    pub fn without(mut self, column: &str) -> Shown {
        self.0.retain(|(name, _)| name != column);
        self
    }

    /// A column, if it is not null.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == column).map(|(_, value)| value)
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// What a row shows.
pub fn show(row: Row<'_>) -> Shown {
    let schema = row.batch.schema();
    let columns = schema.fields().iter().zip(row.batch.columns());
    let shown = columns.filter(|(_, column)| column.is_valid(row.row));
    Shown(shown.map(|(field, column)| (field.name().clone(), value(column.as_ref(), row.row))).collect())
}

fn value(column: &dyn Array, row: usize) -> Value {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Timestamp(..) => time(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Binary => text_of(column.as_binary::<i32>().value(row)).into(),
        DataType::List(_) => {
            let members = column.as_list::<i32>().value(row);
            (0..members.len()).map(|member| value(members.as_ref(), member)).collect()
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(column.as_struct().columns()).filter(|(_, column)| column.is_valid(row));
            columns.map(|(field, column)| (field.name().clone(), value(column.as_ref(), row))).collect()
        }
        other => format!("({other})").into(),
    }
}

/// A time as ISO 8601.
pub fn time(micros: i64) -> Value {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| micros.into(), |time| time.to_string().into())
}

/// Bytes as text; those that are none as `\xff`.
pub fn text_of(bytes: &[u8]) -> String {
    let chunks = bytes.utf8_chunks();
    chunks.map(|chunk| format!("{}{}", chunk.valid(), chunk.invalid().escape_ascii())).collect()
}
