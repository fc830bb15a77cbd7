//! The raw tables: their names and Arrow schemas. The columns of a record come from [`fields`], the one place that
//! says what a JSON field becomes; decoding, schemas and `docs/tables.md` all read it.

pub mod doc;
pub mod fields;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use citystream_dataflows::bindings::Topic;

use fields::{Field, Kind};

/// All tables with their schemas, by name.
pub fn all() -> impl Iterator<Item = (&'static str, SchemaRef)> {
    Table::ALL.into_iter().map(|table| (table.name(), schema(table)))
}

/// A table whose rows are records, or what could not be read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Table {
    /// Vehicle records.
    RawVehicle,
    /// GPS pings.
    RawGps,
    /// Traffic records.
    RawTraffic,
    /// Weather records.
    RawWeather,
    /// Emergency records.
    RawEmergency,
    /// Records that could not be read, with their bytes and the reason.
    DeadLetters,
}

impl Table {
    /// All tables, in the order of their discriminants.
    pub const ALL: [Table; 6] = [
        Table::RawVehicle,
        Table::RawGps,
        Table::RawTraffic,
        Table::RawWeather,
        Table::RawEmergency,
        Table::DeadLetters,
    ];

    /// The name below `<lake>/tables/`.
    pub fn name(self) -> &'static str {
        ["raw_vehicle", "raw_gps", "raw_traffic", "raw_weather", "raw_emergency", "dead_letters"][self as usize]
    }

    /// The table of that name.
    pub fn from_name(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }

    /// The table of a topic's records.
    pub fn of(topic: Topic) -> Table {
        Table::ALL[topic as usize]
    }

    /// The topic whose records the table holds; `None` for dead letters.
    pub fn topic(self) -> Option<Topic> {
        Topic::ALL.get(self as usize).copied()
    }

    /// The column by which the rows of a file are sorted: event time, or log time where there is none.
    pub fn sort_column(self) -> &'static str {
        if self == Table::DeadLetters { LOG_TIME } else { EVENT_TIME }
    }
}

/// The record's event time.
pub const EVENT_TIME: &str = "event_time";
/// The record's Kafka timestamp.
pub const LOG_TIME: &str = "log_time";

/// The complete schema of a table, as its files have it.
pub fn schema(table: Table) -> SchemaRef {
    static ALL: LazyLock<[SchemaRef; 6]> = LazyLock::new(|| Table::ALL.map(|table| complete(table, true)));
    ALL[table as usize].clone()
}

/// The schema of decoded rows: without `epoch`, `seq` and `disposition`, which are not known yet.
pub fn decoded_schema(table: Table) -> SchemaRef {
    static ALL: LazyLock<[SchemaRef; 6]> = LazyLock::new(|| Table::ALL.map(|table| complete(table, false)));
    ALL[table as usize].clone()
}

/// The type of all times: microseconds, UTC.
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The field of a list's members, named as Delta and Spark name it.
pub fn list_member() -> Arc<ArrowField> {
    Arc::new(ArrowField::new("element", DataType::Utf8, true))
}

fn complete(table: Table, committed: bool) -> SchemaRef {
    let mut columns = match table.topic() {
        Some(topic) => record_columns(fields::of(topic)),
        None => dead_letter_columns(),
    };
    if committed {
        columns.extend([required("epoch", DataType::Int64), required("seq", DataType::Int64)]);
        if table.topic().is_some() {
            columns.push(required("disposition", DataType::Utf8));
        }
    }
    Arc::new(Schema::new(columns))
}

fn record_columns(fields: &[Field]) -> Vec<ArrowField> {
    let mut columns: Vec<ArrowField> = fields.iter().flat_map(field_columns).collect();
    columns.push(nullable("extra", DataType::Utf8));
    columns.extend(log_columns());
    columns.push(required(EVENT_TIME, time_type()));
    columns
}

fn field_columns(field: &Field) -> Vec<ArrowField> {
    let one = |data_type| vec![nullable(field.column, data_type)];
    match field.kind {
        Kind::Id => vec![required(field.column, DataType::Utf8)],
        Kind::Time => Vec::new(),
        Kind::Place => vec![required("lat", DataType::Float64), required("lon", DataType::Float64)],
        Kind::Text | Kind::Words(_) => one(DataType::Utf8),
        Kind::Number { .. } | Kind::Bearing => one(DataType::Float64),
        Kind::Integer { .. } => one(DataType::Int32),
        Kind::Flag => one(DataType::Boolean),
        Kind::Texts => one(DataType::List(list_member())),
    }
}

fn log_columns() -> [ArrowField; 5] {
    [
        required("topic", DataType::Utf8),
        required("partition", DataType::Int32),
        required("offset", DataType::Int64),
        nullable("key", DataType::Utf8),
        required(LOG_TIME, time_type()),
    ]
}

fn dead_letter_columns() -> Vec<ArrowField> {
    let mut columns = Vec::from(log_columns());
    columns.extend([
        nullable("payload", DataType::Binary),
        nullable("payload_bytes", DataType::Int64),
        required("reason", DataType::Utf8),
        nullable("detail", DataType::Utf8),
    ]);
    columns
}

fn required(name: &str, data_type: DataType) -> ArrowField {
    ArrowField::new(name, data_type, false)
}

fn nullable(name: &str, data_type: DataType) -> ArrowField {
    ArrowField::new(name, data_type, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_topics_agree() {
        for table in Table::ALL {
            assert_eq!(Table::from_name(table.name()), Some(table));
            assert!(schema(table).column_with_name(table.sort_column()).is_some());
        }
        for topic in Topic::ALL {
            assert_eq!(Table::of(topic).topic(), Some(topic));
            assert_eq!(Table::of(topic).name(), format!("raw_{}", topic.name()));
        }
        assert_eq!(Table::from_name("raw"), None);
    }

    #[test]
    fn what_a_commit_adds_stands_last() {
        for table in Table::ALL {
            let (all, decoded) = (schema(table), decoded_schema(table));
            assert_eq!(all.fields()[..decoded.fields().len()], decoded.fields()[..]);
            let added: Vec<&str> = all.fields()[decoded.fields().len()..].iter().map(|f| f.name().as_str()).collect();
            let expected = ["epoch", "seq", "disposition"];
            assert_eq!(added, expected[..if table == Table::DeadLetters { 2 } else { 3 }]);
        }
    }
}
