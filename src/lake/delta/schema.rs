//! What an Arrow schema is in Delta: the `schemaString` of a table's metadata.

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use serde_json::{Value, json};

use crate::lake::history::Violation;

/// The schema as Delta's JSON. `partition` is a column of dates that is in the paths, not in the files.
pub fn schema_string(schema: &Schema, partition: Option<&str>) -> Result<String, Violation> {
    let mut fields = all(schema.fields())?;
    if let Some(name) = partition.filter(|name| schema.field_with_name(name).is_err()) {
        fields.push(json!({"name": name, "type": "date", "nullable": true, "metadata": {}}));
    }
    Ok(json!({"type": "struct", "fields": fields}).to_string())
}

fn all(fields: &Fields) -> Result<Vec<Value>, Violation> {
    fields.iter().map(|each| field(each)).collect()
}

fn field(field: &Field) -> Result<Value, Violation> {
    let delta_type = data_type(field.data_type())?;
    Ok(json!({"name": field.name(), "type": delta_type, "nullable": field.is_nullable(), "metadata": {}}))
}

fn data_type(arrow: &DataType) -> Result<Value, Violation> {
    let name = match arrow {
        DataType::Utf8 => "string",
        DataType::Int64 => "long",
        DataType::Int32 => "integer",
        DataType::Int16 => "short",
        DataType::Int8 => "byte",
        DataType::Float64 => "double",
        DataType::Float32 => "float",
        DataType::Boolean => "boolean",
        DataType::Binary => "binary",
        DataType::Date32 => "date",
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => "timestamp",
        DataType::List(item) => {
            let element = data_type(item.data_type())?;
            return Ok(json!({"type": "array", "elementType": element, "containsNull": item.is_nullable()}));
        }
        DataType::Struct(fields) => return Ok(json!({"type": "struct", "fields": all(fields)?})),
        other => return Err(Violation(format!("a column of type {other} has no type in Delta"))),
    };
    Ok(name.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn every_type_of_a_table_has_one_in_delta() {
        let utc = |zone: &str| DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
        let list = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
        let schema = Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("at", utc("UTC"), true),
            Field::new("kinds", list, true),
        ]);
        let text = schema_string(&schema, Some("log_date")).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["fields"][0], json!({"name": "id", "type": "string", "nullable": false, "metadata": {}}));
        assert_eq!(value["fields"][1]["type"], "timestamp");
        assert_eq!(value["fields"][2]["type"]["elementType"], "string");
        assert_eq!((&value["fields"][3]["name"], &value["fields"][3]["type"]), (&json!("log_date"), &json!("date")));
        let odd = Schema::new(vec![Field::new("at", utc("Europe/London"), true)]);
        assert!(schema_string(&odd, None).is_err());
    }
}
