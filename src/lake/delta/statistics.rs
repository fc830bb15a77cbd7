//! What readers are told of a file so that they can leave it out: its rows, and of some columns the range and the nulls.
//!
//! All of it follows from the commit. The columns are those that files are sorted or told apart by, none of which has a
//! null: `seq`, the row's own time, the log time. A reader that is not told how many nulls there are (Spark) leaves out
//! nothing.

use citystream_dataflows::time::Micros;
use serde_json::{Map, Value, json};

use super::Table;
use crate::lake::history::commit::File;

/// Of a file of a table.
pub(super) fn of_file(table: &Table, file: &File) -> String {
    let time = |column: Option<&'static str>, range: Option<(Micros, Micros)>| {
        let (column, (least, greatest)) = column.zip(range)?;
        Some((column, json!(iso(least)?), json!(iso(greatest)?)))
    };
    let mut ranges: Vec<Range> = time(table.time, file.event_time).into_iter().collect();
    ranges.extend(time(table.log_time, file.log_time));
    ranges.push(numbers(file.seqs));
    text(file.rows, &ranges)
}

/// Of the file in the table of commits that has the rows of these.
pub(super) fn of_rows(first: u64, last: u64) -> String {
    text(last - first + 1, &[numbers((first, last))])
}

/// A column with its least and its greatest value.
type Range = (&'static str, Value, Value);

/// The commits of rows.
fn numbers((first, last): (u64, u64)) -> Range {
    ("seq", first.into(), last.into())
}

fn text(rows: u64, ranges: &[Range]) -> String {
    let by_column = |value: &dyn Fn(&Range) -> Value| -> Map<String, Value> {
        ranges.iter().map(|range| (range.0.to_owned(), value(range))).collect()
    };
    let (least, greatest) = (by_column(&|range| range.1.clone()), by_column(&|range| range.2.clone()));
    let nulls = by_column(&|_| 0.into());
    json!({"numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls}).to_string()
}

/// Microseconds as ISO 8601; `None` beyond the years that can be written.
fn iso(micros: Micros) -> Option<String> {
    let time = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::columns::tables;

    const TIMES: Option<(Micros, Micros)> = Some((1_700_000_000_000_000, 1_700_000_000_123_456));

    fn of(name: &str) -> String {
        let table = tables::Table::from_name(name).unwrap();
        let event_time = TIMES.filter(|_| table.sort_column() != tables::LOG_TIME);
        let file = File { rows: 3, seqs: (5, 7), event_time, log_time: TIMES, ..File::default() };
        of_file(&Table::records(name, &tables::schema(table)).unwrap(), &file)
    }

    #[test]
    fn every_table_tells_its_seq_and_the_column_it_is_sorted_by_and_no_column_that_may_be_null() {
        for table in tables::Table::all() {
            let told: Value = serde_json::from_str(&of(table.name())).unwrap();
            let columns: Vec<&String> = told["nullCount"].as_object().unwrap().keys().collect();
            assert!(["seq", table.sort_column()].iter().all(|name| columns.contains(&&(*name).to_owned())), "{told}");
            for name in columns {
                assert_eq!(told["nullCount"][name], 0);
                assert!(!tables::schema(table).field_with_name(name).unwrap().is_nullable(), "{} {name}", table.name());
            }
            assert_eq!((&told["minValues"]["seq"], &told["maxValues"]["seq"]), (&json!(5), &json!(7)));
        }
    }
}
