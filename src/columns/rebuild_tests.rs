//! Random wire records, decoded, rebuilt and decoded again: the same rows, and the same dead letters.
#![allow(clippy::unwrap_used)]

use citystream_dataflows::time::bindings::{NextOffset, Partition};
use citystream_dataflows::time::{HOUR, Micros};
use jiff::tz::TimeZone;

use super::*;
use crate::columns::decode::tests::{Random, mutated};
use crate::columns::decode::{DecodeOptions, Decoder, Incoming, RawBatch};
use crate::columns::text_hash::testing::hasher;
use crate::source::Record;

/// 2026-11-23T10:15:30Z.
const NOW: Micros = 1_795_428_930_000_000;
const MAX_RECORD: usize = 400;

fn decoder(max_record: usize) -> Decoder {
    // Naive times are read where clocks change; what is rebuilt says its offset.
    let timezone = TimeZone::get("Europe/London").unwrap();
    Decoder::new(DecodeOptions { timezone, max_record, max_ahead: 24 * HOUR }, hasher())
}

fn decode(decoder: &mut Decoder, topic: Topic, clock: Option<Micros>, record: Record<'_>) -> RawBatch {
    let mut rows = decoder.rows();
    decoder.decode(Incoming::new(Partition { topic, index: 3 }, clock, record), &mut rows);
    let mut batches = rows.finish();
    assert_eq!((batches.len(), batches[0].columns.num_rows()), (1, 1));
    batches.remove(0)
}

/// The record that a row or a dead letter came from, decoded.
fn again(decoder: &mut Decoder, topic: Topic, clock: Option<Micros>, batch: &RawBatch) -> RawBatch {
    let rows = conform(batch.table, &batch.columns).unwrap();
    let mut json = Vec::new();
    let (dead, raw);
    let (Envelope { key, log_time, length }, payload) = match batch.table {
        Table::Raw(topic) => {
            raw = RawRows::new(topic, &rows).unwrap();
            let envelope = raw.write(0, &mut json);
            (envelope, Some(json.as_slice()))
        }
        _ => {
            dead = DeadRows::new(&rows).unwrap();
            dead.record(0)
        }
    };
    let (offset, next, length) = (7, NextOffset(8), Some(length));
    decode(decoder, topic, clock, Record { offset, next, log_time, key, payload, length })
}

/// A random payload: a record, mostly broken by a few bytes, or none at all.
fn payload(random: &mut Random, topic: Topic) -> Option<Vec<u8>> {
    match random.below(12) {
        0 => None,
        1 => Some((0..random.below(40)).map(|_| random.below(256) as u8).collect()),
        2 => {
            let mut bytes = mutated(random, topic).into_bytes();
            bytes.push(0xff);
            Some(bytes)
        }
        // Longer than is read.
        3 => Some(mutated(random, topic).repeat(4).into_bytes()),
        _ => Some(mutated(random, topic).into_bytes()),
    }
}

#[test]
fn p3_what_is_rebuilt_is_decoded_to_the_same_row_or_dead_letter() {
    let mut random = Random::new();
    let mut decoder = decoder(MAX_RECORD);
    let (mut rows, mut dead, mut kept) = (0, 0, 0);
    for _ in 0..30_000 {
        let topic = Topic::all().nth(random.below(5) as usize).unwrap();
        let payload = payload(&mut random, topic);
        let key = [None, Some(&b"k\xc3\xa9"[..]), Some(b"\xff\0"), Some(b"")][random.below(4) as usize];
        let times = [NOW, NOW + 7, NOW - 48 * HOUR, 0, -1_000_000, 7_000_000_000_000_000, 946_684_800_000_000];
        let log_time = times[random.below(times.len() as u64) as usize];
        let clock = [None, Some(NOW - HOUR), Some(NOW + HOUR)][random.below(3) as usize];
        let (offset, next, length) = (7, NextOffset(8), None);
        let record = Record { offset, next, log_time, key, payload: payload.as_deref(), length };
        let first = decode(&mut decoder, topic, clock, record);
        let second = again(&mut decoder, topic, clock, &first);
        let shown = payload.as_deref().map(String::from_utf8_lossy);
        assert_eq!((first.table, &first.columns), (second.table, &second.columns), "{shown:?}");
        assert_eq!((&first.metas, &first.dead), (&second.metas, &second.dead), "{shown:?}");
        *if first.table == Table::DeadLetters { &mut dead } else { &mut rows } += 1;
        kept += usize::from(first.columns.column_by_name("extra").is_some_and(|extra| extra.is_valid(0)));
    }
    assert!(rows > 2000 && dead > 2000 && kept > 500, "all ways are taken: {rows} {dead} {kept}");
}

#[test]
fn a_literal_that_a_text_could_not_be_told_from_is_a_literal_again() {
    let place = r#""id":"a","deviceId":"d","timestamp":"2026-11-23T10:15:30","location":"0,0""#;
    for member in [
        r#""make":NaN"#,
        r#""make":"NaN""#,
        r#""speed":-Infinity,"other":{"speed":"NaN","x":[NaN]}"#,
        r#""a\"speed":"NaN","speed":5000"#,
        r#""direction":Infinity,"make":NaN,"year":NaN"#,
    ] {
        let text = format!("{{{place},{member}}}");
        let mut decoder = decoder(MAX_RECORD);
        let (offset, next, payload) = (7, NextOffset(8), Some(text.as_bytes()));
        let record = Record { offset, next, log_time: NOW, key: None, payload, length: None };
        let first = decode(&mut decoder, Topic::VEHICLE, None, record);
        assert_eq!(first.table, Table::Raw(Topic::VEHICLE), "{text}");
        assert_eq!(again(&mut decoder, Topic::VEHICLE, None, &first).columns, first.columns, "{text}");
    }
}

/// A longer limit makes no record of what was cut, and a shorter one cuts it further; how long it was stays.
#[test]
fn what_was_cut_stays_a_dead_letter() {
    let text = "x".repeat(1000);
    let (offset, next) = (7, NextOffset(8));
    let record = Record { offset, next, log_time: NOW, key: None, payload: Some(text.as_bytes()), length: None };
    let first = decode(&mut decoder(MAX_RECORD), Topic::GPS, None, record);
    for (max_record, left, said) in [(2000, MAX_RECORD, "only the first 400"), (100, 100, "at most 100")] {
        let second = again(&mut decoder(max_record), Topic::GPS, None, &first).columns;
        let payload: &BinaryArray = column(&second, "payload").unwrap();
        let bytes: &Int64Array = column(&second, "payload_bytes").unwrap();
        assert_eq!((payload.value(0).len(), bytes.value(0)), (left, 1000));
        let [reason, detail] = ["reason", "detail"].map(|name| column::<StringArray>(&second, name).unwrap().value(0));
        assert!(reason == "too_long" && detail.contains(said), "{reason}: {detail}");
    }
}
