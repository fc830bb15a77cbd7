//! Kafka's edges: transactions, partitions that appear, unequal backlogs, topics without records.

use std::time::Duration;

use crate::common::python::{self, Script};
use crate::common::records::Made;
use crate::common::{Generator, Plan, Rng, Servers, Shape, Topics, sized, wait_until};

const START: i64 = 1_790_000_000_000;
const SOON: Duration = Duration::from_secs(60);

fn plain(partitions: u64) -> Generator {
    let shape = Shape { partitions, late: 0.0, repeated: 0.0, disordered: 0.1 };
    Generator::new(Rng::from_environment(), shape)
}

/// A file of records for `transactions.py`.
fn file_of(plan: &Plan, records: impl Iterator<Item = Made>) -> String {
    let lines: String = records.map(|made| format!("{}\t{}\t{}\n", made.time_ms, made.key, made.json)).collect();
    let path = plan.fresh_path("records");
    std::fs::write(&path, lines).expect("a file");
    path.display().to_string()
}

#[test]
fn aborted_records_never_land_and_an_open_transaction_stalls_no_other_partition() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "transactions", 2);
    let plan = Plan::kafka_to_s3(&servers, &topics);
    let (mut made, mut aborted) = (plain(2), plain(2));
    let gps = topics.names()[1].clone();
    let mut writer = Script::start("transactions.py", &[topics.bootstrap(), &gps, "0", topics.prefix()]);
    assert_eq!(writer.hear(), "done");
    for (part, outcome) in (0..).zip(["commit", "abort", "commit", "abort"]) {
        let account = if outcome == "commit" { &mut made } else { &mut aborted };
        let records = (0..500).map(|n| account.next_in(1, 0, START + part * 5_000 + n * 10));
        let path = file_of(&plan, records);
        ["begin", &format!("send {path}"), outcome].iter().for_each(|line| writer.ask(line));
    }
    // The log ends with a marker: it is drained although its last record is not its last offset.
    plan.drain(1, 1);
    plan.lake().check(&plan, &made);
    // Retention takes all of it, the trailing aborted records and markers too: nothing is lost.
    python::run("delete_records.py", &[topics.bootstrap(), &gps, "0"]);
    plan.drain(1, 1);

    let records = (0..500).map(|n| made.next_in(1, 0, START + 30_000 + n * 10));
    let path = file_of(&plan, records);
    ["begin", &format!("send {path}"), "flush"].iter().for_each(|line| writer.ask(line));
    let open = 500;
    let run = plan.start(1, 2);
    let began = std::time::Instant::now();
    let hung = sized(Duration::from_secs(5), Duration::from_secs(120));
    let mut part = 0;
    while began.elapsed() < hung {
        let start = START + 40_000 + part * 1_000;
        topics.produce((0..200).map(|n| made.next_in(3, 1, start + n)));
        let there = made.ids.len() as u64 - open;
        wait_until("the other partitions go on", SOON, || plan.lake().read() == there);
        part += 1;
    }
    writer.ask("commit");
    wait_until("the transaction lands", SOON, || plan.lake().read() == made.ids.len() as u64);
    run.interrupt();
    plan.verify();
    plan.lake().check(&plan, &made);
}

#[test]
fn a_partition_added_while_down_is_read_from_its_first_record_even_with_from_latest() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "grow", 1);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("from", "latest").flag("discover-interval", "1s");
    let (mut made, mut skipped) = (plain(1), plain(1));
    topics.produce((0..500).map(|n| skipped.next(START + n)));
    plan.drain(1, 1);
    topics.grow(1, 2);
    topics.produce((0..300).map(|n| made.next_in(1, 1, START + 1_000 + n)));
    topics.produce((0..300).map(|n| made.next_in(1, 0, START + 1_000 + n)));
    plan.drain(2, 1);
    plan.lake().check(&plan, &made);

    let run = plan.start(1, 2);
    topics.grow(2, 3);
    topics.produce((0..300).map(|n| made.next_in(2, 2, START + 2_000 + n)));
    wait_until("a partition added while running is read", SOON, || plan.lake().read() == made.ids.len() as u64);
    run.interrupt();
    plan.verify();
    plan.lake().check(&plan, &made);
}

#[test]
fn unequal_backlogs_make_nothing_late_and_a_silent_topic_holds_nothing() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "unequal", 4);
    let unit = sized(3_000, 60_000);
    let mut made = plain(4);
    // GPS 0: ten times the others' backlog. Traffic 1: six hours older than all. Emergency: silent.
    let hours = 6 * 3_600_000;
    topics.produce((0..10 * unit).map(|n| made.next_in(1, 0, START + n * 20)));
    topics.produce((0..unit).map(|n| made.next_in(2, 1, START - hours + n * 200)));
    for (topic, partition) in [(0, 0), (0, 3), (1, 2), (3, 1)] {
        topics.produce((0..unit).map(|n| made.next_in(topic, partition, START + n * 200)));
    }
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("memory", "64MiB").flag("idle", "2s");
    let mut run = plan.start(1, 2);
    let mut peak = 0;
    wait_until("all is committed", Duration::from_secs(120), || {
        assert!(run.running(), "the run ended: {}", run.said(0));
        peak = peak.max(run.peak_memory(0));
        plan.lake().read() == made.ids.len() as u64
    });
    println!("peak memory {} MiB", peak >> 20);
    assert!(peak < 640 << 20, "{} MiB at a budget of 64 MiB", peak >> 20);
    // What is six hours behind goes quiet and lets go, while another partition delivers.
    let mut later = START + 10 * unit * 20;
    wait_until("the horizon moves on though a topic is silent", SOON, || {
        topics.produce([made.next_in(1, 0, later)]);
        later += 20;
        let horizon = plan.lake().commits().iter().rev().find_map(|commit| commit.horizon);
        horizon.is_some_and(|horizon| horizon > (START - 720_000) * 1_000)
    });
    wait_until("all is committed", SOON, || plan.lake().read() == made.ids.len() as u64);
    run.interrupt();
    plan.verify();
    plan.lake().check(&plan, &made);
}
