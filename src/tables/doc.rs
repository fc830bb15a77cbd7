//! `docs/tables.md`, made from the schemas, so that it cannot lie.

use std::fmt::Write as _;

use arrow::datatypes::{DataType, Field as ArrowField};

use super::fields::{self, Field, Kind};
use super::{Table, schema};
use crate::decode::Reason;

/// The text of `docs/tables.md`.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for table in Table::ALL {
        section(&mut text, table);
    }
    text.push_str("\n## Reasons of dead letters\n\n| reason | a record that |\n|---|---|\n");
    for reason in Reason::ALL {
        row(&mut text, &[&format!("`{}`", reason.name()), reason.meaning()]);
    }
    text
}

const HEAD: &str = "\
# Tables

Generated from the schemas (`UPDATE_DOCS=1 cargo test --release --lib tables::doc` rewrites it; a test fails when it is stale).

Times are UTC microseconds. Files are partitioned by the UTC date of `log_time` and sorted by `event_time`, dead letters by
`log_time`. The key of every table here is (`topic`, `partition`, `offset`).

**Bad values.** A value of the wrong JSON type makes the record a dead letter. A value of the right type that its column
cannot hold (see *null when*) is null there and stands, as it came, in `extra`. JSON's `null` is the same as an absent field.
A record without a readable id, device, time or position is a dead letter. The run always goes on.
";

fn section(text: &mut String, table: Table) {
    let _ = writeln!(text, "\n## {}\n", table.name());
    text.push_str("| column | type | unit | JSON field | null when |\n|---|---|---|---|---|\n");
    for column in schema(table).fields() {
        let field = table.topic().and_then(|topic| field_of(fields::of(topic), column.name()));
        let json = field.map_or(String::new(), |f| format!("`{}`", f.json));
        let unit = field.map_or(unit_of(column.name()), |f| f.unit);
        let null = field.map_or_else(|| general_null_rule(column), |f| null_rule(f.kind));
        row(text, &[&format!("`{}`", column.name()), &type_name(column.data_type()), unit, &json, &null]);
    }
}

fn row(text: &mut String, cells: &[&str]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn field_of<'a>(fields: &'a [Field], column: &str) -> Option<&'a Field> {
    fields.iter().find(|f| f.column == column || (f.kind == Kind::Place && column == "lon"))
}

fn unit_of(column: &str) -> &'static str {
    match column {
        "log_time" => "UTC",
        "payload_bytes" => "bytes",
        _ => "",
    }
}

fn null_rule(kind: Kind) -> String {
    match kind {
        Kind::Id | Kind::Time | Kind::Place => "never".to_owned(),
        Kind::Text | Kind::Flag | Kind::Texts => "absent".to_owned(),
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
    }
}
