//! The columns of the table `commits`, which has a row for each commit.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use citystream_dataflows::tables::Derived;

use super::time_type;

/// The column that says how far each derived table is sealed.
pub const SEALED_THROUGH: &str = "sealed_through";

/// They. The counts are those of P4.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let long = |name: &str| Field::new(name, DataType::Int64, false);
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let mut fields = vec![long("seq"), text("kind"), text("run"), Field::new("time", time_type(), false)];
        fields.extend([long("epoch"), Field::new("horizon", time_type(), true)]);
        fields.extend(["read", "on_time", "late", "expired", "duplicate", "dead", "missed"].map(long));
        fields.push(Field::new(SEALED_THROUGH, DataType::Struct(sealed_through()), true));
        Arc::new(Schema::new(fields))
    });
    SCHEMA.clone()
}

/// A time a derived table, by its name.
pub fn sealed_through() -> Fields {
    Derived::all().map(|table| Field::new(table.name(), time_type(), true)).collect()
}
