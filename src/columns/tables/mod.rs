//! The tables: their names and Arrow schemas. The columns of a record come from its topic's declaration
//! ([`citystream_wire::Declaration`]), those of a derived table from its
//! [declaration](citystream_dataflows::tables::Declaration); nothing is named here that stands there.

mod batch;
pub mod commits;
#[cfg(test)]
mod doc;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use citystream_dataflows::tables::{Column, Derived, Kind as ColumnKind};
use citystream_dataflows::time::bindings::Topic;

pub use batch::Batch;
pub use citystream_dataflows::records::reason::Reason;
use citystream_wire::{Cell, Field, Kind, PerTopic};

/// The tables of records and of some derived ones with their schemas, by name.
pub fn with_schemas(derived: &[Derived]) -> impl Iterator<Item = (&'static str, SchemaRef)> {
    let derived = derived.iter().flat_map(|table| Table::of(*table));
    Table::records().chain(derived).map(|table| (table.name(), schema(table)))
}

/// A table whose rows are records, or what could not be read as one; or of a derived table, the change log or the sealed
/// rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Table {
    /// The records of a topic.
    Raw(Topic),
    /// Records that could not be read, with their bytes and the reason.
    DeadLetters,
    /// Changes of a derived table.
    Changes(Derived),
    /// Rows of a derived table that are final, each once.
    Sealed(Derived),
}

impl Table {
    /// All tables: those of records, then the derived ones.
    pub fn all() -> impl Iterator<Item = Table> {
        Table::records().chain(Derived::all().flat_map(Table::of))
    }

    /// Those of a derived table.
    pub fn of(table: Derived) -> [Table; 2] {
        [Table::Changes(table), Table::Sealed(table)]
    }

    /// The tables of records: raw tables, then dead letters.
    pub fn records() -> impl Iterator<Item = Table> {
        Topic::all().map(Table::Raw).chain([Table::DeadLetters])
    }

    /// Its place among [all](Table::all).
    pub fn index(self) -> usize {
        match self {
            Table::Raw(topic) => topic.index(),
            Table::DeadLetters => Topic::count(),
            Table::Changes(table) => Topic::count() + 1 + 2 * table.index(),
            Table::Sealed(table) => Topic::count() + 2 + 2 * table.index(),
        }
    }

    /// The name below `<lake>/tables/`.
    pub fn name(self) -> &'static str {
        match self {
            Table::Raw(topic) => topic.raw_table(),
            Table::DeadLetters => DEAD_LETTERS,
            Table::Changes(table) => table.changes(),
            Table::Sealed(table) => table.name(),
        }
    }

    /// The table of that name.
    pub fn from_name(name: &str) -> Option<Table> {
        Table::all().find(|table| table.name() == name)
    }

    /// The topic whose records the table holds; `None` for dead letters and derived tables.
    pub fn topic(self) -> Option<Topic> {
        match self {
            Table::Raw(topic) => Some(topic),
            Table::DeadLetters | Table::Changes(_) | Table::Sealed(_) => None,
        }
    }

    /// The derived table that it is of; `None` for tables of records.
    pub fn derived(self) -> Option<Derived> {
        match self {
            Table::Raw(_) | Table::DeadLetters => None,
            Table::Changes(table) | Table::Sealed(table) => Some(table),
        }
    }

    /// The column by which the rows of a file are sorted: event time, or log time where there is none.
    pub fn sort_column(self) -> &'static str {
        match self {
            Table::Raw(_) => EVENT_TIME,
            Table::DeadLetters => LOG_TIME,
            Table::Changes(table) | Table::Sealed(table) => table.time,
        }
    }

    /// The column whose date a file stands under: log time of records, event time of derived rows.
    pub fn day_column(self) -> &'static str {
        match self {
            Table::Raw(_) | Table::DeadLetters => LOG_TIME,
            Table::Changes(table) | Table::Sealed(table) => table.time,
        }
    }
}

/// The table of records that could not be read.
pub const DEAD_LETTERS: &str = "dead_letters";
/// The record's event time.
pub const EVENT_TIME: &str = "event_time";
/// The record's Kafka timestamp.
pub const LOG_TIME: &str = "log_time";
/// The start of the window of data quality in which a record counts.
pub const QUALITY_WINDOW: &str = "quality_window";
/// The key of a derived row.
pub const ROW_KEY: &str = "row_key";
/// The column of a change log that says whether a row comes (1) or goes (-1).
pub const DIFF: &str = "diff";
/// What a sealed row counts as among changes, to be behind those of its commit.
pub const SEALED_DIFF: i32 = i32::MAX;

/// The complete schema of a table, as its files have it.
pub fn schema(table: Table) -> SchemaRef {
    static ALL: LazyLock<Schemas> = LazyLock::new(|| Schemas::new(true));
    ALL.of(table)
}

/// The schema of decoded or rendered rows: without `epoch`, `seq`, `disposition` and `quality_window`, which are not known yet.
pub fn decoded_schema(table: Table) -> SchemaRef {
    static ALL: LazyLock<Schemas> = LazyLock::new(|| Schemas::new(false));
    ALL.of(table)
}

/// Schemas, each made once.
struct Schemas {
    raw: PerTopic<SchemaRef>,
    others: BTreeMap<Table, SchemaRef>,
}

impl Schemas {
    fn new(committed: bool) -> Schemas {
        let others = Table::all().filter(|table| table.topic().is_none());
        Schemas {
            raw: PerTopic::new(|topic| complete(Table::Raw(topic), committed)),
            others: others.map(|table| (table, complete(table, committed))).collect(),
        }
    }

    fn of(&self, table: Table) -> SchemaRef {
        let schema = table.topic().map_or_else(|| &self.others[&table], |topic| &self.raw[topic]);
        schema.clone()
    }
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
    let mut columns = match table {
        Table::Raw(topic) => record_columns(topic),
        Table::DeadLetters => dead_letter_columns(),
        Table::Changes(table) => derived_columns(table, Some(required(DIFF, DataType::Int32))),
        Table::Sealed(table) => derived_columns(table, None),
    };
    if committed {
        columns.extend([required("epoch", DataType::Int64), required("seq", DataType::Int64)]);
        match table {
            Table::Raw(_) => columns.extend([required("disposition", DataType::Utf8), quality_window()]),
            Table::DeadLetters => columns.push(quality_window()),
            Table::Changes(_) | Table::Sealed(_) => {}
        }
    }
    Arc::new(Schema::new(columns))
}

fn quality_window() -> ArrowField {
    nullable(QUALITY_WINDOW, time_type())
}

fn record_columns(topic: Topic) -> Vec<ArrowField> {
    let declared = topic.declaration();
    let fields = declared.fields.iter();
    let mut columns: Vec<ArrowField> = fields.flat_map(|field| field_columns(field, declared.cells)).collect();
    columns.push(nullable("extra", DataType::Utf8));
    columns.extend(log_columns());
    columns.push(required(EVENT_TIME, time_type()));
    columns
}

fn field_columns(field: &Field, cells: &[Cell]) -> Vec<ArrowField> {
    let one = |data_type| vec![ArrowField::new(field.column, data_type, !field.required)];
    match field.kind {
        Kind::Time => Vec::new(),
        Kind::Place => {
            let degrees = ["lat", "lon"].map(|name| required(name, DataType::Float64));
            let cells = cells.iter().map(|cell| required(cell.column, DataType::Int64));
            degrees.into_iter().chain(cells).collect()
        }
        Kind::Text | Kind::Id | Kind::Words(_) => one(DataType::Utf8),
        Kind::Number { .. } | Kind::Bearing => one(DataType::Float64),
        Kind::Integer { .. } => one(DataType::Int32),
        Kind::Flag => one(DataType::Boolean),
        Kind::Texts => one(DataType::List(list_member())),
    }
}

fn log_columns() -> Vec<ArrowField> {
    vec![
        required("topic", DataType::Utf8),
        required("partition", DataType::Int32),
        required("offset", DataType::Int64),
        nullable("key", DataType::Utf8),
        required(LOG_TIME, time_type()),
    ]
}

fn dead_letter_columns() -> Vec<ArrowField> {
    let mut columns = log_columns();
    columns.extend([
        nullable("payload", DataType::Binary),
        nullable("payload_bytes", DataType::Int64),
        required("reason", DataType::Utf8),
        nullable("detail", DataType::Utf8),
    ]);
    columns
}

fn derived_columns(table: Derived, diff: Option<ArrowField>) -> Vec<ArrowField> {
    let field = |column: &Column| ArrowField::new(&*column.name, data_type(column.kind), column.null.is_some());
    let key = required(ROW_KEY, DataType::Utf8);
    [key].into_iter().chain(diff).chain(table.columns().iter().map(field)).collect()
}

fn data_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Int => DataType::Int32,
        ColumnKind::Long => DataType::Int64,
        ColumnKind::Double => DataType::Float64,
        ColumnKind::Flag => DataType::Boolean,
        ColumnKind::Time => time_type(),
    }
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
        for table in Table::all() {
            assert_eq!(Table::from_name(table.name()), Some(table));
            assert_eq!(Table::all().nth(table.index()), Some(table));
            for column in [table.sort_column(), table.day_column()] {
                let found = schema(table).field_with_name(column).map(|f| f.data_type().clone());
                assert_eq!(found.ok(), Some(time_type()));
            }
        }
        for topic in Topic::all() {
            assert_eq!(Table::Raw(topic).name(), format!("raw_{}", topic.name()));
        }
        assert_eq!(Table::from_name("raw"), None);
    }

    #[test]
    fn what_a_commit_adds_stands_last() {
        for table in Table::all() {
            let (all, decoded) = (schema(table), decoded_schema(table));
            assert_eq!(all.fields()[..decoded.fields().len()], decoded.fields()[..]);
            let added: Vec<&str> = all.fields()[decoded.fields().len()..].iter().map(|f| f.name().as_str()).collect();
            let expected: &[&str] = match table {
                Table::Raw(_) => &["epoch", "seq", "disposition", "quality_window"],
                Table::DeadLetters => &["epoch", "seq", "quality_window"],
                Table::Changes(_) | Table::Sealed(_) => &["epoch", "seq"],
            };
            assert_eq!(added, expected);
        }
    }
}
