//! Records that nobody can read, each with a defect that happens: one at least for each reason of a dead letter that a
//! record's bytes can have.

use citystream_wire::{Kind, Topic};

use crate::draw::Draw;

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// There is none.
    Null,
    /// Torn in the middle.
    Torn,
    /// No JSON at all.
    Words,
    /// An array instead of an object.
    Array,
    /// A number for a text.
    NumberForText,
    /// The header of a schema registry before the record.
    Confluent,
    /// Not UTF-8.
    Bytes,
    /// No device, time or position.
    Bare,
    /// A number beyond all numbers.
    Infinite,
    /// No time.
    NoTime,
    /// Nowhere on Earth.
    Nowhere,
    /// Longer than anybody reads.
    Endless,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 12] = [
        Defect::Null,
        Defect::Torn,
        Defect::Words,
        Defect::Array,
        Defect::NumberForText,
        Defect::Confluent,
        Defect::Bytes,
        Defect::Bare,
        Defect::Infinite,
        Defect::NoTime,
        Defect::Nowhere,
        Defect::Endless,
    ];

    /// Any of them; the endless one, which is as much as a thousand others, seldom.
    pub(crate) fn of(draw: Draw) -> Defect {
        if draw.of(0).unit() < 0.005 {
            return Defect::Endless;
        }
        Defect::ALL[draw.of(1).between(0, Defect::ALL.len() as i64 - 2) as usize]
    }

    /// The reason in the table of dead letters.
    pub fn reason(self) -> &'static str {
        match self {
            Defect::Null => "null_payload",
            Defect::Torn | Defect::Words => "not_json",
            Defect::Array | Defect::NumberForText => "wrong_type",
            Defect::Confluent => "confluent_format",
            Defect::Bytes => "invalid_utf8",
            Defect::Bare => "missing_field",
            Defect::Infinite => "bad_number",
            Defect::NoTime => "bad_time",
            Defect::Nowhere => "bad_position",
            Defect::Endless => "too_long",
        }
    }

    /// Spoils a good record. A `Null` one is left to the caller. Records of more than `max_record` bytes are too long.
    pub(crate) fn spoil(self, record: &mut Vec<u8>, topic: Topic, max_record: usize) {
        match self {
            Defect::Null => {}
            Defect::Torn => record.truncate(record.len() / 2),
            Defect::Words => replace(record, b"sensor offline"),
            Defect::Array => replace(record, b"[]"),
            Defect::NumberForText => add(record, r#""source": 7"#),
            Defect::Confluent => drop(record.splice(..0, [0, 0, 0, 0, 7])),
            Defect::Bytes => replace(record, b"{\"id\": \"\xff\xfe\"}"),
            Defect::Bare => replace(record, br#"{"id": "5f0e0000-0000-4000-8000-000000000000"}"#),
            Defect::Infinite => add(record, &format!("\"{}\": 1e999", number(topic))),
            Defect::NoTime => swap(record, b"\"timestamp\": \"2", b"\"timestamp\": \"x"),
            Defect::Nowhere => {
                swap(record, b"\"location\": \"(5", b"\"location\": \"(9");
                swap(record, b"\"coordinates\": \"5", b"\"coordinates\": \"9");
            }
            Defect::Endless => {
                add(record, r#""padding": ""#);
                record.truncate(record.len() - 1);
                record.resize(record.len().max(max_record), b'x');
                record.extend_from_slice(b"\"}");
            }
        }
    }
}

/// A field of a topic's records that is a number.
fn number(topic: Topic) -> &'static str {
    let fields = topic.declaration().fields;
    fields.iter().find(|field| matches!(field.kind, Kind::Number { .. })).map_or("number", |field| field.json)
}

/// Adds a member to an object; of a repeated name the last value counts.
fn add(record: &mut Vec<u8>, member: &str) {
    record.pop();
    record.extend_from_slice(b", ");
    record.extend_from_slice(member.as_bytes());
    record.push(b'}');
}

fn replace(record: &mut Vec<u8>, with: &[u8]) {
    record.clear();
    record.extend_from_slice(with);
}

/// Overwrites the first occurrence, if any; both are equally long.
fn swap(record: &mut [u8], from: &[u8], to: &[u8]) {
    if let Some(at) = record.windows(from.len()).position(|window| window == from) {
        record[at..at + to.len()].copy_from_slice(to);
    }
}
