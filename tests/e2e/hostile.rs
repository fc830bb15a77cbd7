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
    for (table, column) in [("vehicle_15m_now", "vehicle_id"), ("incidents_now", "incident_id"), ("raw_gps", "id")] {
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
    // What has such a time counts at the beginning of 2000.
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

/// What a record says is shown, and does nothing: no terminal escape, no forged line, no command.
#[test]
fn p6_text_of_records_is_shown_and_does_nothing() {
    let device = "bus\nderived once more from these records: the same row\u{1b}[2J; touch 'x'";
    let log = JsonLog::new();
    let plan = log.plan();
    log.append("gps", 0, 1.0, &record("a", device, 1.0));
    log.append("vehicle", 0, 1.0, &record("a", device, 1.0));
    plan.drain(1, 1);
    let said = |words: &[&str]| String::from_utf8(plan.manage(words).stdout).expect("text");
    let record = said(&["lake", "explain", "gps/0/49"]);
    assert!(
        !record.contains('\u{1b}') && record.contains(r"bus\u{a}derived") && record.contains(r"\u{1b}[2J"),
        "{record}"
    );
    let see =
        record.lines().find(|line| line.starts_with("see also: ") && line.contains("vehicle_15m")).expect("a row");
    let see = see.trim_start_matches("see also: ");
    let echoed = std::process::Command::new("bash")
        .env("LC_ALL", "C.UTF-8")
        .args(["-c", &format!("citystream() {{ printf %s \"${{!#}}\"; }}; {see}")])
        .output()
        .expect("bash")
        .stdout;
    let target = String::from_utf8(echoed).expect("text");
    assert!(target.contains(device), "{target:?} of {see}");
    let row = said(&["lake", "explain", &target]);
    let forged = row.lines().filter(|line| line.starts_with("derived once more")).count();
    assert_eq!((forged, row.contains('\u{1b}')), (1, false), "{row}");
    let exact = said(&["lake", "explain", "--json", &target]);
    let exact: serde_json::Value = serde_json::from_str(&exact).expect("JSON");
    assert_eq!(exact["row"]["vehicle_id"], device);
}

/// An archive has an end: all of it is sealed then, and what comes later expires.
#[test]
fn a_log_that_has_ended_is_sealed_to_its_end() {
    let log = JsonLog::new();
    let plan = log.plan();
    log.records("gps", 0, &(0..100).map(|n| n * 60).collect::<Vec<_>>(), |_| json!({}));
    plan.drain(1, 2);
    let open = plan.lake().commits().last().and_then(|commit| commit.horizon);
    let (code, said) = plan.end_of_run(&["--final"]);
    assert!(code == 2 && said.contains("--until-drained"), "{code}: {said}");
    let (code, said) = plan.end_of_run(&["--until-drained", "--final"]);
    assert_eq!(code, 0, "{said}");
    let ended = plan.lake().commits().last().and_then(|commit| commit.horizon);
    assert!(
        open < Some((JsonLog::START + 6000) * 1_000_000) && ended == Some(4_102_444_800_000_000),
        "{open:?} {ended:?}"
    );
    if python::available() {
        print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
    }
    log.records("gps", 0, &[6060], |_| json!({}));
    plan.drain(2, 1);
    plan.verify();
    let expired = plan.lake().commits().iter().flat_map(|c| c.ledger.values()).map(|l| l.expired).sum::<u64>();
    assert_eq!(expired, 1);
}

/// A bounded run without a partition says what it waits for, and gives up.
#[test]
fn nothing_to_drain_is_said_and_given_up() {
    let folder = tempfile::TempDir::new().expect("a folder");
    for topic in ["vehicle", "gps", "traffic", "weather", "emergency"] {
        std::fs::create_dir(folder.path().join(format!("{topic}_data"))).expect("a folder");
    }
    let plan =
        crate::common::Plan::files(folder.path()).flag("connect-timeout", "2s").flag("discover-interval", "200ms");
    let (code, said) = plan.end_of_run(&["--until-drained"]);
    assert_eq!(code, 7, "{said}");
    assert!(said.contains("waiting 2 s for a partition of") && said.contains("gps_data"), "{said}");
}
