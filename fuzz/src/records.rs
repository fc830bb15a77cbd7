//! A record of any topic, from bytes to the records of the joins.
//!
//! The first byte chooses the topic (`0` to `4`; from 128 on there is no payload), the second one the log time and the
//! zone of naive timestamps, the rest is the payload. The record comes twice, at two offsets. Asserted: nothing panics; the
//! two make two rows of one raw table, or two dead letters with their bytes; each stands where it was in the log, a row has
//! its own id; the joins get one record of each row, or of no row but a status without an incident.

use std::cell::RefCell;

use arrow::array::{Array, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type, TimestampMicrosecondType};
use citystream::parts::{
    Batch, DecodeOptions, Decoder, Extractor, Incoming, RawBatch, Record, Records, Rows, Table, TextHasher,
};
use citystream_dataflows::operators::classify::Classified;
use citystream_dataflows::records::Stamp;
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_dataflows::time::disposition::Disposition;
use citystream_dataflows::time::{HOUR, LOG_TIMES, Micros};
use jiff::tz::TimeZone;
use serde_json::Value;
use serde_json::value::RawValue;

/// 2026-11-23T10:15:30Z.
const NOW: Micros = 1_795_428_930_000_000;
const MAX_RECORD: usize = 400;
const OFFSETS: [i64; 2] = [7, 8];
const PARTITION: i32 = 3;
/// What the second byte chooses among.
const TIMES: [Micros; 8] =
    [NOW, NOW + HOUR, LOG_TIMES.start, LOG_TIMES.end - 1, LOG_TIMES.end, -1, Micros::MIN, Micros::MAX];

thread_local!(static READERS: RefCell<[(Decoder, Rows); 2]> = RefCell::new(["UTC", "Europe/London"].map(reader)));

/// Asserts it of an input.
pub fn check_input(input: &[u8]) {
    let [topic, when, payload @ ..] = input else { return };
    let chosen = usize::from(topic.wrapping_sub(b'0')) % Topic::count();
    let topic_read = Topic::all().nth(chosen).expect("there are as many");
    let payload = (*topic < 128).then_some(payload);
    let when = usize::from(when.wrapping_sub(b'0'));
    let (log_time, zone) = (TIMES[when % TIMES.len()], when / TIMES.len() % 2);
    let batch = READERS.with_borrow_mut(|readers| decode(&mut readers[zone], topic_read, log_time, payload));
    check_log(&batch.columns, topic_read);
    if batch.table == Table::DeadLetters {
        check_dead(&batch, payload);
    } else {
        check_row(&batch, topic_read, payload.expect("a row has a payload"));
    }
    check_records(batch, topic_read);
}

fn reader(zone: &str) -> (Decoder, Rows) {
    let timezone = TimeZone::get(zone).expect("a zone of this name");
    let options = DecodeOptions { timezone, max_record: MAX_RECORD, max_ahead: 24 * HOUR };
    let decoder = Decoder::new(options, TextHasher::new(1));
    let rows = decoder.rows();
    (decoder, rows)
}

/// Reads a record at each offset. What comes of them is in one table.
fn decode((decoder, rows): &mut (Decoder, Rows), topic: Topic, log_time: Micros, payload: Option<&[u8]>) -> RawBatch {
    let mut clock = None;
    for offset in OFFSETS {
        let key = payload.map(|bytes| &bytes[..bytes.len().min(8)]);
        let record = Record { offset, next: NextOffset(offset + 1), log_time, key, payload, length: None };
        let incoming = Incoming::new(Partition { topic, index: PARTITION }, clock, record);
        clock = incoming.clock_after(clock);
        decoder.decode(incoming, rows);
    }
    assert!(clock.is_none_or(|clock| LOG_TIMES.contains(&clock)));
    let mut batches = rows.finish();
    assert_eq!(batches.len(), 1, "two records that are the same are in one table");
    assert!(rows.is_empty());
    batches.remove(0)
}

fn column<'a, A: 'static>(rows: &'a RecordBatch, name: &str) -> &'a A {
    rows.column_by_name(name).and_then(|column| column.as_any().downcast_ref()).expect("the column is there")
}

fn values<'a, T: ArrowPrimitiveType>(rows: &'a RecordBatch, name: &str) -> &'a [T::Native] {
    rows.column_by_name(name).expect("the column is there").as_primitive::<T>().values()
}

/// Each record stands where it was.
fn check_log(rows: &RecordBatch, topic: Topic) {
    assert_eq!(values::<Int64Type>(rows, "offset"), OFFSETS);
    assert_eq!(values::<Int32Type>(rows, "partition"), [PARTITION; 2]);
    assert!(values::<TimestampMicrosecondType>(rows, "log_time").iter().all(|time| LOG_TIMES.contains(time)));
    let names: &StringArray = column(rows, "topic");
    assert!((0..2).all(|row| names.value(row) == topic.name()));
}

/// A dead letter keeps the bytes.
fn check_dead(batch: &RawBatch, payload: Option<&[u8]>) {
    assert_eq!((batch.dead.len(), batch.metas.len()), (2, 0));
    let (kept, lengths): (&BinaryArray, &Int64Array) =
        (column(&batch.columns, "payload"), column(&batch.columns, "payload_bytes"));
    for row in 0..2 {
        let found = kept.is_valid(row).then(|| kept.value(row));
        assert_eq!(found, payload.map(|bytes| &bytes[..bytes.len().min(MAX_RECORD)]));
        assert_eq!(lengths.is_valid(row).then(|| lengths.value(row)), payload.map(|bytes| bytes.len() as i64));
    }
}

/// A row has the record's id, and what its columns cannot hold as JSON.
fn check_row(batch: &RawBatch, topic: Topic, payload: &[u8]) {
    assert_eq!((batch.dead.len(), batch.metas.len()), (0, 2));
    assert_eq!(batch.metas[0].identity, batch.metas[1].identity);
    let times = values::<TimestampMicrosecondType>(&batch.columns, "event_time");
    assert!(batch.metas.iter().zip(times).all(|(meta, time)| meta.event_time == *time && *time >= 0));
    let ids: &StringArray = column(&batch.columns, topic.declaration().id_column());
    assert!(!ids.value(0).is_empty());
    if let Ok(object) = serde_json::from_slice::<Value>(payload) {
        assert_eq!(object[topic.declaration().id], ids.value(0));
    }
    let extra: &StringArray = column(&batch.columns, "extra");
    if extra.is_valid(0) {
        let object: &RawValue = serde_json::from_str(extra.value(0)).expect("extra is JSON");
        assert!(object.get().starts_with('{'));
    }
}

/// What the joins get of two rows on time, or of two dead letters.
fn check_records(batch: RawBatch, topic: Topic) {
    let (dispositions, windows) = (vec![Disposition::OnTime; batch.metas.len()], vec![Some(NOW); 2]);
    let rows = batch.metas.len();
    let batch: Batch = Classified { batch, dispositions, quality_windows: windows }.into();
    let mut records = Records::default();
    let mut extractor = Extractor::new(TextHasher::new(1));
    extractor.extract(&batch, &mut records).expect("what is decoded can be extracted");
    assert_eq!(records.deliveries.len(), 2);
    assert!(records.deliveries.iter().all(|delivery| delivery.topic == topic));
    let stamps = stamps(&records);
    let is_without_incident = topic == Topic::EMERGENCY && stamps.is_empty();
    assert!(stamps.len() == rows || is_without_incident, "{records:?}");
    assert!(stamps.iter().zip(OFFSETS).all(|(stamp, offset)| stamp.offset == offset && stamp.partition == PARTITION));
}

fn stamps(records: &Records) -> Vec<Stamp> {
    let Records { pings, traffic, weather, vehicles, statuses, .. } = records;
    let of_moving = pings.iter().map(|r| r.stamp).chain(vehicles.iter().map(|r| r.stamp));
    let of_places = traffic.iter().map(|r| r.stamp).chain(weather.iter().map(|r| r.stamp));
    of_moving.chain(of_places).chain(statuses.iter().map(|r| r.stamp)).collect()
}
