//! P2, F1, G3 for readers of sealed tables: while a run writes, packs files, drops dates and deletes what was removed, each read by
//! each reader is exactly one commit, no view needed; versions within the grace are there, and later ones fail with a reason.

use std::path::Path;
use std::time::Duration;

use citystream::parts::TidyKind;

use super::readers::statements;
use super::retention::{compare, cutoffs, horizon};
use crate::common::growing::{A_DAY, batch};
use crate::common::json_log::JsonLog;
use crate::common::python::Script;
use crate::common::{Plan, python, sized, wait_until};

/// How long a removed file stays, in seconds.
const GRACE: u32 = 8;

#[test]
fn each_read_of_sealed_tables_is_one_commit_whatever_the_run_does() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let before = 5 * A_DAY;
    (0..before).for_each(|n| batch(&log, n));
    // Sealed rows stay.
    let plan = log.plan().keep("raw=4d").keep("changes=3d").flag("epoch", "20ms").flag("commit-interval", "50ms");
    let plan = plan.flag("publish-interval", "200ms").flag("grace", &format!("{GRACE}s"));
    let [found, by_spark, in_the_end] = ["found", "by-spark", "in-the-end"].map(|stem| plan.fresh_path(stem));
    let mut run = plan.start(1, 2);
    wait_until("a version with rows", Duration::from_secs(60), || plan.lake().published() > Some(0));
    let batches = before + read_while_it_grows(&plan, &log, before, &found);
    ask_spark(&plan, &by_spark, &[]);
    assert!(run.running(), "the run ended while it was read");
    run.interrupt();
    tidied(&plan);
    (0..3).for_each(|n| {
        batch(&log, batches + A_DAY + 2 * n);
        plan.drain(1, 1);
    });
    plan.verify();
    ask_spark(&plan, &in_the_end, &["--now"]);
    let files: Vec<String> = [&found, &by_spark, &in_the_end].map(|path| path.display().to_string()).into();
    let there: Vec<&str> = files.iter().map(String::as_str).filter(|path| Path::new(path).exists()).collect();
    println!("{}", python::run("sealed.py", &[&["check", plan.lake().place()], there.as_slice()].concat()));
    let whole = log.plan();
    whole.drain(1, 2);
    print!("{}", python::run("../oracle/compare.py", &[whole.lake().place()]));
    let mut cutoffs = cutoffs(horizon(&plan.lake().commits()));
    cutoffs.retain(|cutoff| !cutoff.starts_with("vehicle_15m="));
    compare(&plan, &whole, &["--now"], &cutoffs);
}

/// Reads the lake; at each read the log grows by some batches, the first of which is the n-th: how many there are then.
fn read_while_it_grows(plan: &Plan, log: &JsonLog, n: u32, found: &Path) -> u32 {
    let reads = sized(100, 1000);
    let words = [plan.lake().place().to_owned(), reads.to_string(), GRACE.to_string(), found.display().to_string()];
    let reading = Script::start("sealed_reads.py", &words.each_ref().map(String::as_str));
    let mut batches = 0;
    for _ in 0..reads {
        let line = reading.hear();
        assert!(line.starts_with("read "), "{line}");
        for _ in 0..sized(3, 1) {
            batch(log, n + batches);
            batches += 1;
            std::thread::sleep(Duration::from_millis(80));
        }
    }
    println!("{}", reading.hear());
    batches
}

/// What Spark finds, if it is wanted.
fn ask_spark(plan: &Plan, found: &Path, flags: &[&str]) {
    let (sql, duckdb) = (statements(plan, "spark"), statements(plan, "duckdb"));
    let found = found.display().to_string();
    let words = [&[sql.as_str(), &duckdb, &found], flags].concat();
    python::spark_script("spark_sealed.py", plan.lake().place(), &words).iter().for_each(|said| println!("{said}"));
}

/// All that a run does to files has been done.
fn tidied(plan: &Plan) {
    let commits = plan.lake().commits();
    let count = |what| commits.iter().flat_map(|commit| &commit.tidy).filter(|tidy| tidy.what == what).count();
    let (packs, drops) = (count(TidyKind::Pack), count(TidyKind::Keep));
    let collections = commits.iter().filter(|commit| commit.collected.is_some()).count();
    println!("{} commits: {packs} packed files, {drops} times dates dropped, {collections} collections", commits.len());
    assert!(packs > 20 && drops > 10 && collections > 0);
}
