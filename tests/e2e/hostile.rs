//! P6: records that are made to stop a run, to swell it, or to make its rows wrong.

use serde_json::json;

use crate::common::json_log::{JsonLog, merge, record};
use crate::common::python;

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
