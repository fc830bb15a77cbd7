//! What is promised of simulated records, checked on the records and on what the decoder makes of them.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use citystream_dataflows::bindings::{NextOffset, Partition, Topic};
use citystream_dataflows::time::TimePolicy;
use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::*;
use crate::decode::{DecodeOptions, Decoder, Incoming};
use crate::source::Record;
use crate::source::jsonl::{JsonlCatalog, JsonlOptions, JsonlReader};
use crate::source::{Catalog, Reader};

fn topics() -> [String; 5] {
    Topic::ALL.map(|topic| format!("{}_data", topic.name()))
}

fn simulator(faults: Faults) -> Simulator {
    Simulator::new(SimOptions { vehicles: 20, faults, ..SimOptions::default() }).unwrap()
}

fn take(simulator: &mut Simulator, count: usize) -> Vec<(Topic, u64, String, i64, Vec<u8>)> {
    let owned = |r: SimRecord<'_>| (r.topic, r.partition_hash, r.key.to_owned(), r.log_time_ms, r.value.to_vec());
    (0..count).map(|_| owned(simulator.next_record())).collect()
}

const MIXED: Faults = Faults { out_of_order: 0.05, late: 0.04, duplicates: 0.03, malformed: 0.02 };

#[test]
fn the_same_options_give_the_same_records() {
    let all = take(&mut simulator(MIXED), 5000);
    assert_eq!(all, take(&mut simulator(MIXED), 5000));
    let other = |options| take(&mut Simulator::new(options).unwrap(), 100);
    let base = SimOptions { vehicles: 20, ..SimOptions::default() };
    let ids = |records: &[(Topic, u64, String, i64, Vec<u8>)]| -> BTreeSet<String> {
        records.iter().map(|r| r.2.clone()).collect()
    };
    let first = ids(&other(base.clone()));
    assert_eq!(first.len(), 100, "every record has an id of its own");
    assert!(first.is_disjoint(&ids(&other(SimOptions { seed: 2, ..base.clone() }))));
    let later = SimOptions { start_ms: base.start_ms + 1, ..base };
    assert!(first.is_disjoint(&ids(&other(later))), "going on later repeats no id");
}

#[test]
fn a_step_is_five_records_of_one_time_and_place() {
    let mut simulator = simulator(Faults::default());
    for step in take(&mut simulator, 1000).chunks(5) {
        assert_eq!(step.iter().map(|r| r.0).collect::<Vec<_>>(), Topic::ALL);
        let json: Vec<serde_json::Value> = step.iter().map(|r| serde_json::from_slice(&r.4).unwrap()).collect();
        for (record, value) in step.iter().zip(&json) {
            assert_eq!((record.1, record.3), (step[0].1, step[0].3));
            assert_eq!(value["id"], *record.2);
            assert_eq!((&value["timestamp"], &value["deviceId"]), (&json[0]["timestamp"], &json[0]["deviceId"]));
            assert_eq!(value["source"], "synthetic");
        }
        let place = json[0]["location"].as_str().unwrap();
        assert!([2, 3, 4].iter().all(|i| json[*i]["location"] == place));
        let coordinates = json[1]["coordinates"].as_str().unwrap();
        assert_eq!(place, format!("({})", coordinates.replace(',', ", ")));
        let lat: f64 = coordinates.split(',').next().unwrap().parse().unwrap();
        let speed = json[1]["speed"].as_f64().unwrap();
        assert!(
            if lat < 51.8 { (5.0..=30.0).contains(&speed) } else { (40.0..=70.0).contains(&speed) },
            "{lat} {speed}"
        );
        assert_eq!(json[4]["hasIncident"] == true, json[4]["incidentId"].is_string());
    }
}

#[test]
fn vehicles_step_every_30_to_60_s_and_5_percent_of_the_steps_have_an_incident() {
    let mut simulator = simulator(Faults::default());
    let (mut last, mut steps, mut incidents): (BTreeMap<u64, i64>, u32, u32) = (BTreeMap::new(), 0, 0);
    for (topic, vehicle, _, at, value) in take(&mut simulator, 100_000) {
        if topic == Topic::Emergency {
            steps += 1;
            incidents += u32::from(value.windows(4).any(|w| w == b"true"));
            if let Some(before) = last.insert(vehicle, at) {
                assert!((30_000..=60_000).contains(&(at - before)));
            }
        }
    }
    assert_eq!(last.len(), 20);
    let share = f64::from(incidents) / f64::from(steps);
    assert!((0.04..0.06).contains(&share), "{share}");
}

/// What the pipeline makes of records: on time, late, duplicate, dead.
fn decoded(records: &[(Topic, u64, String, i64, Vec<u8>)]) -> (u64, u64, u64, u64) {
    let policy = TimePolicy { lateness: 600_000_000, slack: 120_000_000, max_ahead: 86_400_000_000 };
    let options = DecodeOptions {
        timezone: TimeZone::UTC,
        max_record: 256 << 10,
        max_ahead: policy.max_ahead,
        topic_names: topics(),
    };
    let mut decoder = Decoder::new(options);
    let mut rows = decoder.rows();
    let mut clocks: BTreeMap<Partition, i64> = BTreeMap::new();
    for (i, (topic, hash, key, at, value)) in records.iter().enumerate() {
        let partition = Partition { topic: *topic, index: (hash % 3) as i32 };
        let clock = clocks.entry(partition).or_insert(i64::MIN);
        *clock = (*clock).max(at * 1000);
        let offset = i as i64;
        let (next, key) = (NextOffset(offset + 1), Some(key.as_bytes()));
        let record = Record { offset, next, log_time: at * 1000, key, payload: Some(value) };
        decoder.decode(Incoming { partition, log_clock: *clock, record }, &mut rows);
    }
    let (mut on_time, mut late, mut duplicate, mut dead) = (0, 0, 0, 0);
    let mut seen = BTreeSet::new();
    for batch in rows.finish() {
        dead += batch.dead.iter().sum::<u64>();
        for meta in batch.metas {
            if policy.is_late(meta.event_time, meta.log_clock) {
                late += 1;
            } else if !seen.insert((meta.partition, meta.identity)) {
                duplicate += 1;
            } else {
                on_time += 1;
            }
        }
    }
    (on_time, late, duplicate, dead)
}

#[test]
fn the_counts_are_what_the_decoder_finds() {
    let mut simulator = simulator(MIXED);
    let records = take(&mut simulator, 40_000);
    let counts = simulator.counts();
    assert_eq!(counts.records, 40_000);
    assert_eq!(counts.by_topic.iter().sum::<u64>(), 40_000);
    let (on_time, late, duplicate, dead) = decoded(&records);
    assert_eq!((late, duplicate, dead), (counts.late, counts.duplicates, counts.malformed));
    assert_eq!(on_time + late + duplicate + dead, counts.records);
    assert!(counts.out_of_order > 1000 && late > 1000 && duplicate > 1000 && dead > 600, "{counts:?}");
    assert!(records.is_sorted_by_key(|r| r.3), "log time never goes back");
}

#[test]
fn without_faults_every_record_is_on_time() {
    let records = take(&mut simulator(Faults::default()), 20_000);
    assert_eq!(decoded(&records), (20_000, 0, 0, 0));
}

#[test]
fn every_malformed_record_is_a_dead_letter_in_every_way() {
    let faults = Faults { malformed: 1.0, ..Faults::default() };
    assert_eq!(decoded(&take(&mut simulator(faults), 5_000)), (0, 0, 0, 5_000));
}

#[test]
fn a_directory_gets_what_was_sent_and_simulated_time_goes_on() {
    let dir = TempDir::new().unwrap();
    let options = SimOptions { vehicles: 10, faults: MIXED, ..SimOptions::default() };
    let mut sink = JsonlSink::open(dir.path(), &topics(), 3).unwrap();
    assert_eq!(sink.last_log_time_ms(), None);
    let mut simulator = Simulator::new(options.clone()).unwrap();
    let pace = Pace { records: Some(3_000), ..Pace::default() };
    let mut reports = 0;
    let counts = run(&mut simulator, &mut sink, pace, &|| false, &mut |_, _| reports += 1).unwrap();
    assert_eq!((counts.records, reports > 0), (3_000, true));
    let last = simulator.now_ms();
    drop(sink);
    let sink = JsonlSink::open(dir.path(), &topics(), 3).unwrap();
    // A malformed last line may have no time.
    assert!(sink.last_log_time_ms().is_some_and(|ms| ms <= last && ms > last - 60_000));
    let log = JsonlOptions::new(dir.path().to_owned(), topics(), false);
    let mut wanted = BTreeMap::<Topic, Vec<Vec<u8>>>::new();
    for (topic, _, _, _, value) in take(&mut Simulator::new(options).unwrap(), 3_000) {
        wanted.entry(topic).or_default().push(value);
    }
    let mut got = BTreeMap::<Topic, Vec<Vec<u8>>>::new();
    let mut reader = JsonlReader::new(log.clone());
    for available in JsonlCatalog::new(log).discover().unwrap() {
        let p = available.partition;
        reader.add(p, available.low).unwrap();
        let take = &mut |record: Record<'_>| {
            got.entry(p.topic).or_default().push(record.payload.unwrap().to_vec());
            std::ops::ControlFlow::Continue(())
        };
        reader.poll(p, take).unwrap();
        assert!(reader.drained(p));
    }
    for topic in Topic::ALL {
        let (mut sent, mut read) = (wanted[&topic].clone(), got[&topic].clone());
        assert_eq!(sent.len(), read.len());
        // What breaks its envelope comes back as the whole line; everything else byte for byte.
        sent.retain(|value| serde_json::from_slice::<serde_json::Value>(value).is_ok());
        read.retain(|value| !value.starts_with(b"{\"ts\""));
        sent.sort();
        read.sort();
        assert!(sent == read, "{topic:?}");
    }
}

#[test]
fn the_pace_is_kept_and_a_stop_is_heard() {
    let pace = Pace { rate: Some(2_000.0), duration: Some(Duration::from_millis(600)), ..Pace::default() };
    let counts = run(&mut simulator(MIXED), &mut NullSink, pace, &|| false, &mut |_, _| {}).unwrap();
    assert!((300..=1_201).contains(&counts.records), "{counts:?}");
    let scaled = Pace { time_scale: Some(600.0), duration: Some(Duration::from_millis(500)), ..Pace::default() };
    let mut simulator = simulator(Faults::default());
    let start = simulator.now_ms();
    run(&mut simulator, &mut NullSink, scaled, &|| false, &mut |_, _| {}).unwrap();
    let passed = simulator.now_ms() - start;
    assert!((100_000..=420_000).contains(&passed), "{passed} ms in 0.5 s at 600 x");
    let calls = std::cell::Cell::new(0);
    let stop = || calls.replace(calls.get() + 1) == 3;
    let stopped = run(&mut simulator, &mut NullSink, Pace::default(), &stop, &mut |_, _| {}).unwrap();
    assert!(calls.get() == 4 && stopped.records > 0);
}

#[test]
fn simulated_time_waits_for_the_wall_clock() {
    let wall = wall_ms();
    let start_ms = wall - 300_000;
    let mut simulator = Simulator::new(SimOptions { start_ms, ..SimOptions::default() }).unwrap();
    let pace = Pace { duration: Some(Duration::from_millis(300)), ..Pace::default() };
    run(&mut simulator, &mut NullSink, pace, &|| false, &mut |_, _| {}).unwrap();
    let ahead = simulator.now_ms() - wall;
    assert!((-2_000..10_000).contains(&ahead) && simulator.now_ms() <= wall_ms(), "{ahead}");
}

fn wall_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// `cargo test --release --lib simulate -- --ignored --nocapture`: what one core produces, and what the file source reads.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let mut simulator = Simulator::new(SimOptions { vehicles: 1000, ..SimOptions::default() }).unwrap();
    let pace = Pace { records: Some(3_000_000), ..Pace::default() };
    let began = Instant::now();
    run(&mut simulator, &mut NullSink, pace, &|| false, &mut |_, _| {}).unwrap();
    println!("to nothing: {:.0} records/s", 3e6 / began.elapsed().as_secs_f64());
    let dir = TempDir::new().unwrap();
    let mut sink = JsonlSink::open(dir.path(), &topics(), 4).unwrap();
    let began = Instant::now();
    let pace = Pace { records: Some(1_000_000), ..Pace::default() };
    run(&mut simulator, &mut sink, pace, &|| false, &mut |_, _| {}).unwrap();
    println!("to a directory: {:.0} records/s", 1e6 / began.elapsed().as_secs_f64());
    let log = JsonlOptions::new(dir.path().to_owned(), topics(), false);
    let mut reader = JsonlReader::new(log.clone());
    let (began, mut read, mut bytes) = (Instant::now(), 0_u64, 0_usize);
    for available in JsonlCatalog::new(log).discover().unwrap() {
        reader.add(available.partition, available.low).unwrap();
        let take = &mut |record: Record<'_>| {
            read += 1;
            bytes += record.payload.map_or(0, <[u8]>::len);
            std::ops::ControlFlow::Continue(())
        };
        reader.poll(available.partition, take).unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(read, 1_000_000);
    println!("from a directory: {:.0} records/s, {} B each", 1e6 / seconds, bytes as u64 / read);
}
