//! The columns of the table `commits`, which has a row for each commit.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::time_type;

/// They. The counts are those of P4.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let long = |name: &str| Field::new(name, DataType::Int64, false);
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let mut fields = vec![long("seq"), text("kind"), text("run"), Field::new("time", time_type(), false)];
        fields.extend([long("epoch"), Field::new("horizon", time_type(), true)]);
        fields.extend(["read", "on_time", "late", "expired", "duplicate", "dead", "missed"].map(long));
        Arc::new(Schema::new(fields))
    });
    SCHEMA.clone()
}
