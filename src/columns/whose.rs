//! Which rows are a vehicle's, where it is to be forgotten: those that name it, by the columns that their table declares; records
//! whose key it is, or whose other members name it; dead letters that do.
//!
//! A text names it where it stands in it as a word: with neither a letter, a digit, `_` nor `-` at either end.

use std::fmt;

use arrow::array::{Array, BinaryArray, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use citystream_dataflows::tables::{Derived, Subject};
use citystream_dataflows::time::Micros;
use citystream_wire::Topic;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::row::column;
use super::tables::{ROW_KEY, Table};

/// What a vehicle is called. It is not shown by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// From what somebody has typed.
    pub fn new(name: &str) -> Name {
        Name(name.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(..)")
    }
}

/// Which of a vehicle's rows are meant: later records of it are rows again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Those of this commit and the ones before it.
    pub seq: u64,
    /// And those derived rows of later ones that are of this time or an earlier one: the last that a record of those commits has.
    /// `None`: it has none, or nobody has looked yet.
    pub time: Option<Micros>,
}

/// A vehicle, and which of its rows are meant.
#[derive(Clone, Debug)]
pub struct Whose {
    name: Name,
    /// The name as JSON writes it, in both ways, where that differs.
    spelled: Vec<Name>,
    /// See [`Bound`].
    pub bound: Bound,
}

impl Whose {
    /// The rows of a vehicle up to a bound.
    pub fn new(name: &Name, bound: Bound) -> Whose {
        let json = Value::from(name.as_str()).to_string();
        let plain = json[1..json.len() - 1].to_owned();
        let escaped: String = plain.encode_utf16().map(ascii).collect();
        let mut spelled = vec![name.as_str().to_owned(), plain, escaped];
        spelled.dedup();
        Whose { name: name.clone(), spelled: spelled.into_iter().map(Name).collect(), bound }
    }

    /// Which rows name it.
    pub fn named(&self, table: Table, rows: &RecordBatch) -> Vec<bool> {
        let named: Box<dyn Fn(usize) -> bool> = match table {
            Table::Raw(topic) => self.in_records(topic, rows),
            Table::DeadLetters => self.in_dead_letters(rows),
            Table::Changes(table) | Table::Sealed(table) => match named_by(table) {
                Some(name) => self.is_in(rows, name),
                None => Box::new(|_| false),
            },
        };
        (0..rows.num_rows()).map(named).collect()
    }

    /// Which of them are meant.
    pub fn meant(&self, table: Table, rows: &RecordBatch) -> Vec<bool> {
        let seqs: Option<&Int64Array> = column(rows, "seq");
        let times: Option<&TimestampMicrosecondArray> =
            column(rows, table.sort_column()).filter(|_| table.derived().is_some());
        let is_meant = |row: usize| {
            let is_old = seqs.is_some_and(|seqs| seqs.value(row) as u64 <= self.bound.seq);
            is_old || times.is_some_and(|times| Some(times.value(row)) <= self.bound.time)
        };
        let named = self.named(table, rows).into_iter().enumerate();
        named.map(|(row, named)| named && is_meant(row)).collect()
    }

    /// The columns that tell whose a row is, and whether it is meant.
    pub fn columns(table: Table) -> Vec<&'static str> {
        let own = match table {
            Table::Raw(topic) => device(topic).into_iter().chain(["key", "extra"]).collect(),
            Table::DeadLetters => vec!["key", "payload", "detail"],
            Table::Changes(table) | Table::Sealed(table) => named_by(table).into_iter().chain([ROW_KEY]).collect(),
        };
        own.into_iter().chain(["seq", table.sort_column()]).collect()
    }

    /// Whether it stands somewhere as a word, in any of the ways in which it is written.
    pub fn is_word_in(&self, bytes: &[u8]) -> bool {
        self.spelled.iter().any(|name| has_word(bytes, name.0.as_bytes()))
    }

    /// The columns of any type of text in which it stands, each with how many rows have it.
    pub fn mentions(&self, rows: &RecordBatch) -> Vec<(String, u64)> {
        let schema = rows.schema();
        let counted = schema.fields().iter().zip(rows.columns()).map(|(field, values)| {
            let rows =
                (0..rows.num_rows()).filter(|row| texts(values.as_ref(), *row).any(|text| self.is_word_in(text)));
            (field.name().clone(), rows.count() as u64)
        });
        counted.filter(|(_, rows)| *rows > 0).collect()
    }

    fn in_records<'a>(&'a self, topic: Topic, rows: &'a RecordBatch) -> Box<dyn Fn(usize) -> bool + 'a> {
        let extra: Option<&StringArray> = column(rows, "extra");
        let is_device = device(topic).map(|name| self.is_in(rows, name));
        let is_key = self.is_in(rows, "key");
        Box::new(move |row| {
            let says = |extra: &StringArray| extra.is_valid(row) && self.is_in_json(extra.value(row).as_bytes());
            is_device.as_ref().is_some_and(|is| is(row)) || is_key(row) || extra.is_some_and(says)
        })
    }

    fn in_dead_letters<'a>(&'a self, rows: &'a RecordBatch) -> Box<dyn Fn(usize) -> bool + 'a> {
        let payloads: Option<&BinaryArray> = column(rows, "payload");
        let texts = ["key", "detail"].map(|name| column::<StringArray>(rows, name));
        Box::new(move |row| {
            let says = |text: &StringArray| text.is_valid(row) && self.is_word_in(text.value(row).as_bytes());
            let payload = payloads.filter(|payloads| payloads.is_valid(row)).map(|payloads| payloads.value(row));
            payload.is_some_and(|payload| self.is_in_json(payload)) || texts.into_iter().flatten().any(says)
        })
    }

    /// Whether a column is just the name.
    fn is_in<'a>(&'a self, rows: &'a RecordBatch, name: &str) -> Box<dyn Fn(usize) -> bool + 'a> {
        let texts: Option<&StringArray> = column(rows, name);
        Box::new(move |row| texts.is_some_and(|texts| texts.is_valid(row) && texts.value(row) == self.name.as_str()))
    }

    /// Whether a text in JSON names it; of what is no JSON, any part.
    fn is_in_json(&self, bytes: &[u8]) -> bool {
        match serde_json::from_slice::<Value>(bytes) {
            Ok(value) => self.is_in_value(&value),
            Err(_) => self.is_word_in(bytes),
        }
    }

    fn is_in_value(&self, value: &Value) -> bool {
        let says = |text: &str| has_word(text.as_bytes(), self.name.as_str().as_bytes());
        match value {
            Value::String(text) => says(text),
            Value::Array(values) => values.iter().any(|value| self.is_in_value(value)),
            Value::Object(members) => members.iter().any(|(name, value)| says(name) || self.is_in_value(value)),
            _ => false,
        }
    }
}

/// The column by which rows of a derived table name a vehicle.
pub fn named_by(table: Derived) -> Option<&'static str> {
    match table.subject {
        Subject::Named(column) => Some(column),
        Subject::Counted(_) | Subject::Nobody => None,
    }
}

/// The column with the device of a topic's records.
fn device(topic: Topic) -> Option<&'static str> {
    let declared = topic.declaration();
    declared.field(declared.device?).map(|field| field.column)
}

/// A unit of UTF-16 as JSON of ASCII has it.
fn ascii(unit: u16) -> String {
    match u8::try_from(unit).ok().filter(u8::is_ascii) {
        Some(byte) => char::from(byte).to_string(),
        None => format!("\\u{unit:04x}"),
    }
}

fn has_word(bytes: &[u8], word: &[u8]) -> bool {
    let is_inside =
        |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"_-".contains(b) || !b.is_ascii());
    let (Some(first), length) = (word.first(), word.len()) else { return false };
    let mut from = 0;
    while let Some(found) = bytes.get(from..).and_then(|rest| rest.iter().position(|byte| byte == first)) {
        let at = from + found;
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        if bytes[at..].starts_with(word) && !is_inside(before) && !is_inside(bytes.get(at + length)) {
            return true;
        }
        from = at + 1;
    }
    false
}

/// The texts that a row has in a column.
fn texts(values: &dyn Array, row: usize) -> Box<dyn Iterator<Item = &[u8]> + '_> {
    if values.is_null(row) {
        return Box::new(std::iter::empty());
    }
    let any = values.as_any();
    if let Some(texts) = any.downcast_ref::<StringArray>() {
        return Box::new(std::iter::once(texts.value(row).as_bytes()));
    }
    if let Some(bytes) = any.downcast_ref::<BinaryArray>() {
        return Box::new(std::iter::once(bytes.value(row)));
    }
    let Some(lists) = any.downcast_ref::<ListArray>() else { return Box::new(std::iter::empty()) };
    let members = lists.values().as_any().downcast_ref::<StringArray>();
    let ends = lists.value_offsets();
    let range = ends[row] as usize..ends[row + 1] as usize;
    Box::new(members.into_iter().flat_map(move |members| range.clone().map(|at| members.value(at).as_bytes())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, new_null_array};
    use arrow::datatypes::DataType;

    use super::*;
    use crate::columns::tables::schema;

    fn whose(name: &str) -> Whose {
        Whose::new(&Name::new(name), Bound { seq: 7, time: Some(50) })
    }

    /// Rows of a table with these texts in a column, of commit 7; all others are null or nothing.
    fn rows(table: Table, name: &str, texts: &[&str], seq: i64, time: Micros) -> RecordBatch {
        let count = texts.len();
        let schema = schema(table);
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            match field.data_type() {
                DataType::Binary if field.name() == name => {
                    Arc::new(BinaryArray::from_iter_values(texts.iter().map(|text| text.as_bytes())))
                }
                DataType::Utf8 if field.name() == name => Arc::new(StringArray::from_iter_values(texts)),
                DataType::Utf8 if !field.is_nullable() => Arc::new(StringArray::from(vec!["other"; count])),
                DataType::Int64 if field.name() == "seq" => Arc::new(Int64Array::from(vec![seq; count])),
                DataType::Timestamp(..) => {
                    Arc::new(TimestampMicrosecondArray::from(vec![time; count]).with_timezone("UTC"))
                }
                other => new_null_array(other, count),
            }
        });
        let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns.collect()).unwrap()
    }

    fn found(table: &str, column: &str, name: &str, texts: &[&str]) -> Vec<bool> {
        let table = Table::from_name(table).unwrap();
        whose(name).named(table, &rows(table, column, texts, 7, 0))
    }

    #[test]
    fn a_word_is_not_a_part_of_another() {
        for (text, is_in) in [
            ("bus-7", true),
            ("\"bus-7\"", true),
            ("a bus-7, b", true),
            ("bus-7/1780", true),
            ("bus-77", false),
            ("omnibus-7", false),
            ("bus-7-1", false),
            ("bus-7_", false),
            ("bus-7\u{e9}", false),
            ("bus-", false),
            ("bus-bus-7 bus-7", true),
            ("", false),
        ] {
            assert_eq!(has_word(text.as_bytes(), b"bus-7"), is_in, "{text}");
        }
        assert!(!has_word(b"anything", b""));
    }

    #[test]
    fn records_are_its_own_by_device_key_or_other_members() {
        let is = [true, false, false];
        assert_eq!(found("raw_gps", "device_id", "bus-7", &["bus-7", "bus-77", "my bus-7"]), is);
        assert_eq!(found("raw_vehicle", "key", "bus-7", &["bus-7", "bus-77", "bus"]), is);
        let extra = [r#"{"of":["bus-7"]}"#, r#"{"of":"bus-77","n":7}"#, r#"{"bus":7}"#];
        assert_eq!(found("raw_weather", "extra", "bus-7", &extra), is);
        assert_eq!(found("raw_gps", "extra", "7", &[r#"{"n":7}"#, r#"{"n":"7"}"#, r#"{"7":0}"#]), [false, true, true]);
        assert_eq!(found("raw_gps", "vehicle_type", "car", &["car"]), [false], "a word that others use, too");
    }

    #[test]
    fn dead_letters_are_its_own_where_they_contain_it_however_it_is_written() {
        let payloads =
            [r#"{"deviceId":"b\u00fcs 7""#, r#"{"deviceId": "b\u00fcs 7"}"#, "x", "a b\u{fc}s 7 c", "b\u{fc}s 77"];
        assert_eq!(found("dead_letters", "payload", "b\u{fc}s 7", &payloads), [true, true, false, true, false]);
        assert_eq!(found("dead_letters", "detail", "bus", &["no bus", "bush"]), [true, false]);
        let quoted = found("dead_letters", "payload", "a\"b", &[r#"{"x":"a\"b""#, "a\"b"]);
        assert_eq!(quoted, [true, true]);
    }

    #[test]
    fn derived_rows_are_meant_up_to_the_bound_and_of_later_commits_up_to_its_time() {
        let table = Table::from_name("vehicle_15m_changes").unwrap();
        let meant = |seq, time| whose("a").meant(table, &rows(table, "vehicle_id", &["a", "b"], seq, time));
        assert_eq!(meant(7, 99), [true, false]);
        assert_eq!(meant(8, 50), [true, false]);
        assert_eq!(meant(8, 51), [false, false]);
        let raw = Table::Raw(Topic::GPS);
        let meant = |seq, time| whose("a").meant(raw, &rows(raw, "device_id", &["a", "b"], seq, time));
        assert_eq!(
            (meant(7, 99), meant(8, 0)),
            (vec![true, false], vec![false, false]),
            "later records are rows again"
        );
        for table in Table::all() {
            assert!(
                Whose::columns(table).iter().all(|name| schema(table).field_with_name(name).is_ok()),
                "{}",
                table.name()
            );
        }
    }

    #[test]
    fn it_is_not_shown_by_accident() {
        assert!(
            !format!("{:?}", whose("bus-7").name).contains("bus") && !format!("{:?}", Name::new("bus")).contains("bus")
        );
    }
}
