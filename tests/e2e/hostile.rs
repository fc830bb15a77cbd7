//! P6: records that are made to stop a run, to swell it, or to make its rows wrong.

use serde_json::json;

use crate::common::json_log::{JsonLog, merge, record};
use crate::common::{python, sized};

/// Two texts of 256 bytes with one xxh3 hash of 64 bits, whatever small seed it has: they differ by the same bit in one
/// lane of two stripes, and the upper halves of both lanes are chosen so that both stripes multiply by one number.
fn twins() -> [String; 2] {
    const LANES: [usize; 2] = [24, 152];
    const HIGH: &[u8; 4] = b"Aaaa";
    const APART: [u8; 4] = [0x7b, 0x4c, 0x15, 0x3e];
    let mut one = vec![b'v'; 256];
    one[LANES[0] + 4..LANES[0] + 8].copy_from_slice(HIGH);
    for (byte, apart) in APART.into_iter().enumerate() {
        one[LANES[1] + 4 + byte] = HIGH[byte] ^ apart;
    }
    let mut other = one.clone();
    (one[LANES[0] + 1], one[LANES[1] + 1]) = (b'K', b'k');
    (other[LANES[0] + 1], other[LANES[1] + 1]) = (b'k', b'K');
    [one, other].map(|bytes| String::from_utf8(bytes).expect("a text"))
}

#[test]
fn p6_two_ids_that_an_unkeyed_hash_takes_for_one_are_two_in_every_table() {
    let twins = twins();
    let [one, other] = twins.each_ref().map(|text| text.as_bytes());
    assert_ne!(one, other);
    assert_eq!(xxhash_rust::xxh3::xxh3_64(one), xxhash_rust::xxh3::xxh3_64(other));
    assert_eq!(xxhash_rust::xxh3::xxh3_64_with_seed(one, 1), xxhash_rust::xxh3::xxh3_64_with_seed(other, 1));
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = log.plan().flag("epoch", "50ms");
    for (part, (processes, workers)) in [(1, 1), (2, 1), (1, 2)].into_iter().enumerate() {
        for second in 0..200 {
            let time = (part * 200 + second) as f64;
            for id in &twins {
                log.append("gps", 0, time, &record(id, id, time));
                log.append("vehicle", 0, time, &record(id, id, time));
                let mut status = record(id, id, time);
                merge(&mut status, json!({"hasIncident": true, "incidentId": id, "status": "Active", "type": "Fire"}));
                log.append("emergency", 0, time, &status);
            }
        }
        plan.drain(processes, workers);
        plan.verify();
    }
    print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
    for (table, column) in [("vehicle_15m", "vehicle_id"), ("incidents", "incident_id"), ("raw_gps", "id")] {
        let count = format!("SELECT count(DISTINCT {column}) FROM {table}");
        assert_eq!(python::query(plan.lake().place(), &count), "2", "{table}");
    }
    let doubles = "SELECT count(*) FROM raw_gps WHERE disposition <> 'on_time'";
    assert_eq!(python::query(plan.lake().place(), doubles), "0");
}

/// Microseconds for milliseconds: one such record made all that followed late or expired, and a folder of the year 10001
/// made the table unreadable.
#[test]
fn p6_a_log_time_that_is_none_moves_no_clock() {
    let log = JsonLog::new();
    let plan = log.plan().flag("epoch", "50ms");
    let stamps =
        [i64::MIN / 1000, -1, 0, 946_684_799_999, 4_102_444_800_000, JsonLog::START * 1_000_000, i64::MAX / 1000];
    log.lines("gps", 1, &format!("{}\n", json!({"ts": -1, "key": null, "value": record("first", "bus", 0.0)})));
    for second in 0..100 {
        let time = f64::from(second);
        log.append("gps", 0, time, &record(&format!("a{second}"), "bus", time));
        if let Some(stamp) = stamps.get(second as usize) {
            let value = record(&format!("b{second}"), "bus", time);
            log.lines("gps", 0, &format!("{}\n", json!({"ts": stamp, "key": null, "value": value})));
        }
        if second % 40 == 20 {
            plan.drain(1, 1);
        }
    }
    plan.drain(2, 1);
    plan.verify();
    let total: Vec<_> =
        plan.lake().commits().iter().filter_map(|c| c.ledger.get(&citystream_wire::Topic::GPS).copied()).collect();
    let sum = |count: fn(&citystream::parts::Ledger) -> u64| total.iter().map(count).sum::<u64>();
    assert_eq!((sum(|l| l.on_time), sum(|l| l.dead), sum(|l| l.late + l.expired)), (100, 8, 0));
    let dates: Vec<String> =
        plan.lake().commits().iter().flat_map(|c| c.added.values().flatten()).map(|f| f.date.clone()).collect();
    assert!(dates.iter().all(|date| date == "2026-06-01" || date == "2000-01-01"), "{dates:?}");
    if python::available() {
        print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
        let reasons = "SELECT string_agg(DISTINCT reason) FROM dead_letters";
        assert_eq!(python::query(plan.lake().place(), reasons), "bad_log_time");
    }
}

/// Each date makes a file of each table: a commit has some, and the rest waits for the next.
#[test]
fn p6_records_of_very_many_dates_make_no_commit_of_very_many_files() {
    let log = JsonLog::new();
    let plan = log.plan().flag("epoch", "50ms");
    let days = sized(300, 3000);
    for day in 0..days {
        let time = f64::from(day) * 86_400.0;
        log.append("gps", 0, time, &record(&format!("{day}"), "bus", time));
    }
    plan.drain(1, 2);
    plan.verify();
    let commits = plan.lake().commits();
    let most = commits.iter().map(|commit| commit.added.values().map(Vec::len).sum::<usize>()).max();
    println!("{days} dates: {} commits, {most:?} files at most", commits.len());
    assert_eq!(plan.lake().read(), days as u64);
    assert!(most < Some(300), "{most:?} files in one commit");
}
