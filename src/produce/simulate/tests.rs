//! What sinks get, how the pace is kept, and what the decoder makes of the records.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arrow::util::display::array_value_to_string;
use citystream_dataflows::time::TimePolicy;
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_simulator::{Expected, Message, Options, Simulator, Trouble};
use citystream_wire::PerTopic;
use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::*;
use crate::columns::decode::{DecodeOptions, Decoder, Incoming};
use crate::columns::tables::{Reason, Table};
use crate::columns::text_hash::testing::hasher;
use crate::source::jsonl::{JsonlCatalog, JsonlOptions, JsonlReader};
use crate::source::{Catalog, Reader, Record};

fn topics() -> PerTopic<String> {
    PerTopic::new(|topic| format!("{}_data", topic.name()))
}

fn options() -> Options {
    let trouble = Trouble {
        out_of_order: 0.05,
        delayed: 0.05,
        late: 0.04,
        duplicates: 0.03,
        malformed: 0.02,
        ahead: 0.1,
        ..Trouble::default()
    };
    Options { vehicles: 50, trouble, ..Options::default() }
}

fn simulator(options: Options) -> Simulator {
    Simulator::new(options, 1).unwrap()
}

/// What the decoder and the definitions make of what a simulator sends into three partitions.
fn judged(simulator: &mut Simulator, count: i64, policy: TimePolicy) -> BTreeMap<&'static str, Expected> {
    let options = DecodeOptions {
        timezone: TimeZone::UTC,
        max_record: simulator.truth().options.max_record,
        max_ahead: policy.max_ahead,
    };
    let mut decoder = Decoder::new(options, hasher());
    let mut rows = decoder.rows();
    for offset in 0..count {
        let Message { topic, partition_hash, key, log_time_ms, value } = simulator.next_until(i64::MAX).unwrap();
        let partition = Partition { topic, index: (partition_hash % 3) as i32 };
        let (next, log_time) = (NextOffset(offset + 1), log_time_ms * 1000);
        let record = Record { offset, next, log_time, key: Some(key.as_bytes()), payload: value, length: None };
        // Log times never go back, so each is its partition's clock.
        decoder.decode(Incoming::new(partition, None, record), &mut rows);
    }
    let (mut seen, mut tables) = (BTreeSet::new(), BTreeMap::<&str, Expected>::new());
    for batch in rows.finish() {
        for meta in &batch.metas {
            let expected = tables.entry(meta.partition.topic.name()).or_default();
            if policy.is_late(meta.event_time, meta.log_clock) {
                expected.late += 1;
            } else if !seen.insert((meta.partition, meta.identity)) {
                expected.duplicate += 1;
            } else {
                expected.on_time += 1;
            }
        }
        let text =
            |column: &str, row| array_value_to_string(batch.columns.column_by_name(column).unwrap(), row).unwrap();
        for row in 0..batch.columns.num_rows() * usize::from(batch.table == Table::DeadLetters) {
            let topic = Topic::all().find(|topic| text("topic", row).starts_with(topic.name())).unwrap();
            let reason = Reason::from_name(&text("reason", row)).unwrap();
            *tables.entry(topic.name()).or_default().dead_letters.entry(reason.name()).or_default() += 1;
        }
    }
    tables
}

#[test]
fn the_truth_is_what_the_decoder_finds() {
    let policy =
        TimePolicy { lateness: 600_000_000, slack: 120_000_000, max_ahead: 86_400_000_000, max_hold: 3_600_000_000 };
    let mut simulator = simulator(Options { max_record: 20_000, ..options() });
    let judged = judged(&mut simulator, 60_000, policy);
    let truth = simulator.truth();
    assert!(truth.injected.late > 1_000 && truth.injected.malformed > 500);
    assert_eq!(truth.topics, judged);
}

#[test]
fn a_directory_gets_what_was_sent_and_simulated_time_goes_on() {
    let dir = TempDir::new().unwrap();
    let mut sink = JsonlSink::open(dir.path(), &topics(), 3).unwrap();
    assert_eq!(sink.last_log_time_ms(), None);
    let mut sent = simulator(options());
    let mut reports = 0;
    let pace = Pace { records: Some(3_000), ..Pace::default() };
    run(&mut sent, &mut sink, pace, &|| false, &mut |_| reports += 1).unwrap();
    assert_eq!((sent.sent(), reports > 0), (3_000, true));
    let last = sent.now_ms();
    drop(sink);
    let sink = JsonlSink::open(dir.path(), &topics(), 3).unwrap();
    // A malformed last line may have no time.
    assert!(sink.last_log_time_ms().is_some_and(|ms| ms <= last && ms > last - 60_000));
    let mut wanted = BTreeMap::<Topic, Vec<Option<Vec<u8>>>>::new();
    let mut again = simulator(options());
    for _ in 0..3_000 {
        let message = again.next_until(i64::MAX).unwrap();
        wanted.entry(message.topic).or_default().push(message.value.map(<[u8]>::to_vec));
    }
    let mut got = read(&JsonlOptions::new(dir.path().to_owned(), topics(), false));
    for (topic, mut sent) in wanted {
        let read = got.get_mut(&topic).unwrap();
        assert_eq!(sent.len(), read.len());
        // What breaks its envelope comes back as the whole line; everything else byte for byte.
        let is_json = |value: &Option<Vec<u8>>| {
            value.as_ref().is_none_or(|bytes| serde_json::from_slice::<&serde_json::value::RawValue>(bytes).is_ok())
        };
        sent.retain(is_json);
        read.retain(|value| value.as_ref().is_none_or(|value| !value.starts_with(b"{\"ts\"")));
        sent.sort();
        read.sort();
        assert!(sent == *read, "{topic:?}");
    }
}

/// All payloads of a log, by topic.
fn read(log: &JsonlOptions) -> BTreeMap<Topic, Vec<Option<Vec<u8>>>> {
    let mut got = BTreeMap::<Topic, Vec<Option<Vec<u8>>>>::new();
    let mut reader = JsonlReader::new(log.clone());
    for available in JsonlCatalog::new(log.clone()).discover().unwrap() {
        let p = available.partition;
        reader.add(p, available.low).unwrap();
        let take = &mut |record: Record<'_>| {
            got.entry(p.topic).or_default().push(record.payload.map(<[u8]>::to_vec));
            std::ops::ControlFlow::Continue(())
        };
        reader.poll(p, take).unwrap();
        assert!(reader.drained(p));
    }
    got
}

#[test]
fn the_pace_is_kept_and_a_stop_is_heard() {
    let pace = Pace { rate: Some(2_000.0), duration: Some(Duration::from_millis(600)), ..Pace::default() };
    let mut rated = simulator(options());
    run(&mut rated, &mut NullSink, pace, &|| false, &mut |_| {}).unwrap();
    assert!((300..=1_201).contains(&rated.sent()), "{}", rated.sent());
    let pace = Pace { time_scale: Some(600.0), duration: Some(Duration::from_millis(500)), ..Pace::default() };
    let mut scaled = simulator(options());
    let start = scaled.now_ms();
    run(&mut scaled, &mut NullSink, pace, &|| false, &mut |_| {}).unwrap();
    let passed = scaled.now_ms() - start;
    assert!((100_000..=420_000).contains(&passed), "{passed} ms in 0.5 s at 600 x");
    let mut stopped = simulator(options());
    let calls = std::cell::Cell::new(0);
    let stop = || calls.replace(calls.get() + 1) == 3;
    run(&mut stopped, &mut NullSink, Pace::default(), &stop, &mut |_| {}).unwrap();
    assert!(calls.get() == 4 && stopped.sent() > 0);
}

#[test]
fn a_span_holds_the_same_records_whatever_the_pace() {
    let span = Some(Duration::from_secs(600));
    let sent = |pace| {
        let mut simulator = simulator(options());
        let start = simulator.now_ms();
        run(&mut simulator, &mut NullSink, pace, &|| false, &mut |_| {}).unwrap();
        assert!(simulator.now_ms() < start + 600_000);
        (simulator.sent(), simulator.truth())
    };
    let fast = sent(Pace { span, ..Pace::default() });
    assert!(fast.0 > 2_000);
    assert_eq!(fast, sent(Pace { span, rate: Some(20_000.0), time_scale: Some(3_000.0), ..Pace::default() }));
}

#[test]
fn simulated_time_waits_for_the_wall_clock() {
    let wall = wall_ms();
    let trouble = Trouble { bursts: 0.25, ..Trouble::default() };
    let mut simulator = simulator(Options { start_ms: wall - 300_000, trouble, ..options() });
    let pace = Pace { duration: Some(Duration::from_millis(300)), ..Pace::default() };
    run(&mut simulator, &mut NullSink, pace, &|| false, &mut |_| {}).unwrap();
    let ahead = simulator.now_ms() - wall;
    assert!((-160_000..10_000).contains(&ahead) && simulator.now_ms() <= wall_ms(), "{ahead}");
}

fn wall_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}
