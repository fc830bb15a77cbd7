//! `docs/tables.md`, made from the schemas, so that it cannot lie.

use std::fmt::Write as _;

use arrow::datatypes::{DataType, Field as ArrowField};
use citystream_wire::{Cell, Declaration, Field, Kind, Topic};

use citystream_dataflows::tables::{Derived, Kind as ColumnKind, Subject};
use citystream_dataflows::time::MINUTE;
use citystream_dataflows::time::disposition::Disposition;

use super::{Reason, Table, commits, schema};

/// The text of `docs/tables.md`.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for table in Table::records() {
        section(&mut text, table);
    }
    text.push_str(DISPOSITIONS);
    for disposition in Disposition::ALL {
        row(&mut text, &[&format!("`{}`", disposition.name()), meaning(disposition)]);
    }
    text.push_str("\n## Reasons of dead letters\n\n| reason | a record that |\n|---|---|\n");
    for reason in Reason::ALL {
        row(&mut text, &[&format!("`{}`", reason.name()), reason.meaning()]);
    }
    text.push_str(COMMITS);
    for column in commits::schema().fields() {
        let null = if column.is_nullable() { "none is known yet" } else { "never" };
        let name = format!("`{}`", column.name());
        row(&mut text, &[&name, &type_name(column.data_type()), of_commits(column.name()), null]);
    }
    text.push_str(DERIVED);
    for table in Derived::all() {
        derived_section(&mut text, table);
    }
    text
}

const HEAD: &str = "\
# Tables

Generated from the schemas (`UPDATE_DOCS=1 cargo test --release --lib tables::doc` rewrites it; a test fails when it is stale).

Times are UTC microseconds. First come the tables of records, then the derived ones. Files of records are partitioned by
the UTC date of `log_time` (`log_date`) and sorted by `event_time`, dead letters by `log_time`. Their key is (`topic`,
`partition`, `offset`): `topic` is what citystream calls it in all tables (`vehicle`, `gps`, `traffic`, `weather`, `emergency`),
whatever its name on the broker. `epoch` and `seq` say when a row came: `seq` is the number of the commit. `h3_8` and `h3_5` are
the H3 cells of `lat`, `lon` at those resolutions, as integers.

**Bad values.** A value of the wrong JSON type makes the record a dead letter. A value of the right type that its column
cannot hold (see *null when*) is null there and stands, as it came, in `extra`. JSON's `null` is the same as an absent field.
A record without a readable id, device, time or position is a dead letter. The run always goes on.
";

const DISPOSITIONS: &str = "
## Dispositions of rows

What a row of a raw table is, decided once, in the order late, expired, duplicate. Derived tables are of rows on time.

| `disposition` | a row that |
|---|---|
";

fn meaning(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::OnTime => "is none of the others",
        Disposition::Late => "reached the log more than `--lateness` after its event time",
        Disposition::Expired => "is on time for its partition, but before the horizon; normally there is none",
        Disposition::Duplicate => "has the `id` and the event time of an earlier row of its partition that was on time",
    }
}

const COMMITS: &str = "
## commits

One row a commit: what it added, and up to where the lake is complete with it. All tables together, up to one
`seq`, are one state of the lake; at one version they are that of its last commit.

| column | type | what it says | null when |
|---|---|---|---|
";

fn of_commits(column: &str) -> &'static str {
    match column {
        "seq" => "its number: the `seq` of its rows",
        "kind" => "`data`, or `claim`: a run has begun, and there is nothing else in it",
        "run" => "the run that wrote it",
        "time" => "when it was proposed, by that run's clock; no row depends on it",
        "epoch" => "its last epoch",
        "horizon" => "no on-time record still to come is before it: windows that end by then are sealed",
        "read" => "records read, of all topics: those of the next five columns together",
        "on_time" | "late" | "expired" | "duplicate" => "those that became rows of that disposition",
        "dead" => "those that became dead letters",
        "missed" => "of all read, those whose window of data quality was sealed: `data_quality_15m` lacks them",
        "sealed_through" => {
            "a field a derived table: all of its rows before that time are sealed, and in the version that has this row"
        }
        _ => "?",
    }
}

const DERIVED: &str = "
# Derived tables

Over rows on time, that is neither late nor expired nor duplicate (`data_quality_15m`: over all). Each has three names:

- **`<table>`** has the *sealed* rows: those that no record to come can change, each once, never touched again. Any reader of
  Parquet or Delta has them without a view. Rows that are still open are not in it.
- **`<table>_changes`** is the log of how rows came to be, open ones too: a row that appears has `diff` +1, one that goes -1; in
  a commit (`seq`) at most one of each for a `row_key`. `sum(diff * x)` over the changes is right; a bare `count(*)` or `avg` is
  not. It has one column more than the table, `diff`.
- **`<table>_now`** is a view (`citystream lake sql` prints it): what is sealed, and the last change of each row that is not,
  if that is +1.

A row is sealed once the horizon, rounded down to the table's step, has passed its time; a life of an incident and those who
passed it once it can be neither extended nor passed any more. Files are partitioned by the UTC date of the row's own time
(`event_date`) and sorted by it.

Measures are quantised once, to a millionth of their unit (distances: to the millimetre), and then only added, so that any
order gives the same bits; a mean is one division at the end.
";

fn derived_section(text: &mut String, table: Derived) {
    let (name, step) = (table.name(), table.sealing.step / MINUTE);
    let (key, forgotten) = (key(table), forgotten(table));
    let _ =
        writeln!(text, "\n## {name}\n\n{}\n\nKey: `row_key` = `{key}`. Step: {step} min. {forgotten}\n", table.about);
    text.push_str("| column | type | unit | null when |\n|---|---|---|---|\n");
    for column in schema(Table::Sealed(table)).fields() {
        let own = table.columns().iter().find(|own| own.name == *column.name());
        let (unit, null) = own.map_or(("", "never"), |own| (own.unit, own.null.unwrap_or("never")));
        row(text, &[&format!("`{}`", column.name()), &type_name(column.data_type()), unit, null]);
    }
}

/// What goes where a vehicle is to be forgotten.
fn forgotten(table: Derived) -> String {
    match table.subject {
        Subject::Named(column) => format!("Erased with a vehicle: rows with its `{column}`."),
        Subject::Counted(column) => format!("Erased with a vehicle: its windows whose `{column}` is 1."),
        Subject::Nobody => "Erased with a vehicle: nothing.".to_owned(),
    }
}

/// `<h3_8>/<window_start in microseconds>`.
fn key(table: Derived) -> String {
    let is_time = |name: &str| table.columns().iter().any(|c| c.name == name && c.kind == ColumnKind::Time);
    let part = |name: &&str| format!("<{name}{}>", if is_time(name) { " in microseconds" } else { "" });
    table.key.iter().map(part).collect::<Vec<_>>().join("/")
}

fn section(text: &mut String, table: Table) {
    let _ = writeln!(text, "\n## {}\n", table.name());
    text.push_str("| column | type | unit | JSON field | null when |\n|---|---|---|---|---|\n");
    let declared = table.topic().map(Topic::declaration);
    for column in schema(table).fields() {
        let field = declared.and_then(|declared| field_of(declared, column.name()));
        let json = field.map_or(String::new(), |f| format!("`{}`", f.json));
        let cell = declared.and_then(|declared| cell_of(declared, column.name()));
        let unit = cell.map_or_else(|| field.map_or(unit_of(column.name()), |f| f.unit), |_| "H3 cell");
        let null = field.map_or_else(|| general_null_rule(column), null_rule);
        row(text, &[&format!("`{}`", column.name()), &type_name(column.data_type()), unit, &json, &null]);
    }
}

fn row(text: &mut String, cells: &[&str]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn field_of(declared: &Declaration, column: &str) -> Option<&'static Field> {
    let of_place = column == "lon" || cell_of(declared, column).is_some();
    declared.fields.iter().find(|f| f.column == column || (f.kind == Kind::Place && of_place))
}

fn cell_of(declared: &Declaration, column: &str) -> Option<&'static Cell> {
    declared.cells.iter().find(|cell| cell.column == column)
}

fn unit_of(column: &str) -> &'static str {
    match column {
        "log_time" | "quality_window" => "UTC",
        "payload_bytes" => "bytes",
        _ => "",
    }
}

fn null_rule(field: &Field) -> String {
    match field.kind {
        _ if field.required => "never".to_owned(),
        Kind::Time | Kind::Place | Kind::Text | Kind::Id | Kind::Flag | Kind::Texts => "absent".to_owned(),
        Kind::Words(words) => format!("absent, or not one of {}", words.join(", ")),
        Kind::Number { min, max } => format!("absent, or outside {min} to {max}"),
        Kind::Integer { min, max } => format!("absent, outside {min} to {max}, or not an integer"),
        Kind::Bearing => "absent, or not one of the eight compass words (`North`, `North-East`, ...)".to_owned(),
    }
}

fn general_null_rule(column: &ArrowField) -> String {
    let rule = match column.name().as_str() {
        "extra" => "nothing to keep; else a JSON object of all unknown fields and of values no column could hold",
        "key" => "the record has no key (a key that is not UTF-8 is written as `0x` and hex digits)",
        "payload" => "the payload is null (a longer one than `--max-record` is cut there)",
        "payload_bytes" => "the payload is null; else its full length",
        "quality_window" => {
            "missed: the window of its partition's log clock was sealed when it came; else the one it counts in"
        }
        "detail" => "there is nothing to add to the reason",
        _ => "never",
    };
    rule.to_owned()
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "text".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::List(member) => format!("list of {}", type_name(member.data_type())),
        DataType::Struct(_) => "struct of timestamps".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_file_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tables.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == markdown(), "docs/tables.md is stale: run again with UPDATE_DOCS=1");
        assert!(!committed.contains("| ? |"), "a column of commits lacks its meaning");
    }
}
