//! The derived tables against their definitions as SQL over the raw tables (`tests/oracle/`), however the log was read.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::common::json_log::JsonLog;
use crate::common::{Plan, Rng, python, sized, wait_until};

/// What is in each log is said in `tests/oracle/logs.py`.
const SCENARIOS: [&str; 16] = [
    "in_order",
    "disorder",
    "delayed",
    "late",
    "duplicates",
    "future",
    "idle_partition",
    "stirred",
    "slow_clock",
    "microseconds",
    "silent_topic",
    "ahead",
    "one_cell",
    "incidents",
    "nasty",
    "all",
];
const SHAPES: [(usize, usize); 5] = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)];

/// Each log grows between runs: later parts correct what earlier runs have committed, at another width each time.
#[test]
fn derived_tables_equal_their_definitions_over_every_scenario() {
    if !python::available() {
        return;
    }
    let mut rng = Rng::from_environment();
    for (number, scenario) in SCENARIOS.into_iter().enumerate() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let plan = Plan::files(folder.path()).flag("epoch", "50ms").flag("commit-interval", "200ms");
        let (seed, records, parts) = (rng.below(1_000_000), sized(2000, 40_000), 3);
        println!("{scenario}: seed {seed}, {records} records");
        for part in 1..=parts {
            grow(folder.path(), scenario, seed, records, records * part / parts);
            let (processes, workers) = SHAPES[(number + part) % SHAPES.len()];
            plan.drain(processes, workers);
        }
        print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
        plan.verify();
    }
}

/// P3: the final tables are a function of the log alone.
#[test]
fn the_same_log_gives_the_same_tables_at_any_width_and_epoch_length() {
    if !python::available() {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a folder");
    let (seed, records) = (Rng::from_environment().below(1_000_000), sized(6000, 60_000));
    println!("seed {seed}, {records} records");
    grow(folder.path(), "all", seed, records, records);
    let plans: Vec<Plan> = (0..=SHAPES.len()).map(|_| Plan::files(folder.path())).collect();
    for (number, plan) in plans.iter().enumerate() {
        let (processes, workers) = SHAPES[number % SHAPES.len()];
        let epoch = if number % 2 == 0 { "50ms" } else { "2s" };
        crate::common::Cluster::start(plan, processes, workers, &["--until-drained", "--epoch", epoch])
            .expect_success();
    }
    let lakes: Vec<_> = plans.iter().map(Plan::lake).collect();
    let places: Vec<&str> = lakes.iter().map(|lake| lake.place()).collect();
    print!("{}", python::run("../oracle/same.py", &places));
    print!("{}", python::run("../oracle/compare.py", &places[..1]));
}

/// A partition that was empty brings records of a log time whose quarter of an hour is sealed: they count in the ledger as
/// missed and in no window, whoever goes on.
#[test]
fn what_comes_for_a_sealed_window_is_missed() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = log.plan();
    let pings = |partition, seconds: &[i64]| log.records("gps", partition, seconds, |_| json!({}));
    pings(0, &[0, 7200]);
    log.lines("gps", 1, "");
    plan.drain(1, 1);
    pings(1, &[60]);
    plan.drain(1, 2);
    pings(0, &[6900]);
    plan.drain(2, 1);
    plan.verify();
    let missed = |commit: &citystream::parts::Commit| commit.ledger.values().map(|l| l.missed.total()).sum::<u64>();
    assert_eq!(plan.lake().commits().iter().map(missed).sum::<u64>(), 1);
    print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
}

/// P2, D4: whoever goes on within an hour needs all that the hour's windows have counted, however long ago it was read.
#[test]
fn an_hour_that_a_killed_run_has_begun_counts_as_a_whole() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = log.plan().flag("epoch", "50ms").flag("commit-interval", "200ms");
    let until_one_minute_to: Vec<i64> = (0..3540).step_by(20).collect();
    drive(&log, &until_one_minute_to);
    let mut killed = plan.start(2, 1);
    let read = || -> u64 { plan.lake().commits().iter().flat_map(|c| c.ledger.values()).map(|l| l.read).sum() };
    wait_until("the hour so far is committed", Duration::from_secs(30), || {
        read() == 2 * until_one_minute_to.len() as u64
    });
    killed.signal_all("KILL");
    killed.wait(Duration::from_secs(30));
    drive(&log, &(3540..9000).step_by(20).collect::<Vec<_>>());
    plan.drain(1, 2);
    plan.verify();
    print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
}

/// Appends a ping and a traffic record of its place for each second; speeds go up and down.
fn drive(log: &JsonLog, seconds: &[i64]) {
    log.records("gps", 0, seconds, |_| json!({}));
    log.records("traffic", 0, seconds, |second| json!({"currentSpeed": second % 70, "freeFlowSpeed": 60}));
}

/// P1: a device that claims to be hours ahead changes the rows of the time it claims, and makes nothing late.
#[test]
fn a_device_ahead_of_time_touches_only_the_times_it_claims() {
    if !python::available() {
        return;
    }
    let (with, without) = (tempfile::TempDir::new().expect("a folder"), tempfile::TempDir::new().expect("a folder"));
    let (seed, records) = (Rng::from_environment().below(1_000_000), sized(4000, 40_000));
    println!("seed {seed}, {records} records");
    grow(with.path(), "future", seed, records, records);
    let [folder, out] = [&with, &without].map(|folder| folder.path().display().to_string());
    let claimed = python::run("../oracle/ahead.py", &["blank", &folder, &out]);
    let plans = [&with, &without].map(|folder| Plan::files(folder.path()));
    plans.iter().for_each(|plan| plan.drain(1, 2));
    let lakes = plans.each_ref().map(Plan::lake);
    let said = python::run("../oracle/ahead.py", &["compare", lakes[0].place(), lakes[1].place(), claimed.trim()]);
    print!("{said}");
    let [horizon, other] = lakes.each_ref().map(|lake| lake.commits().last().and_then(|commit| commit.horizon));
    assert_eq!(horizon, other, "a record ahead moved the horizon");
    let late = |lake: &crate::common::Lake| -> u64 {
        lake.commits().iter().flat_map(|commit| commit.ledger.values()).map(|ledger| ledger.late + ledger.expired).sum()
    };
    assert_eq!(late(&lakes[0]), late(&lakes[1]), "a record ahead made others late");
}

/// The first `until` records of a log.
fn grow(folder: &Path, scenario: &str, seed: u64, records: usize, until: usize) {
    let [seed, records, until] = [seed.to_string(), records.to_string(), until.to_string()];
    let folder = folder.display().to_string();
    let flags = ["--scenario", scenario, "--seed", &seed, "--records", &records, "--stop", &until];
    python::run("../oracle/logs.py", &[&[folder.as_str()], flags.as_slice()].concat());
}
