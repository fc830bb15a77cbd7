//! P3: a lake that is filled from an older one, and then goes on from the log, is what it would be had it read the whole log.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::common::cluster::LONG;
use crate::common::json_log::JsonLog;
use crate::common::lake::Contents;
use crate::common::{Generator, Plan, Rng, Servers, Shape, Topics, files, python, sized, wait_until};
use crate::errors::ends_with;

/// The log of `tests/lakes/format-1`, and how much of it the lake has read.
const FORMAT_1: (&str, u64, usize, usize) = ("all", 7, 1200, 900);

#[test]
fn a_lake_of_format_1_fills_a_new_one_which_goes_on_from_the_directory() {
    if !python::available() {
        return;
    }
    let (log, folder) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let old = folder.path().join("old");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lakes/format-1"), &old);
    let before = listed(&old);
    let (scenario, seed, records, read) = FORMAT_1;
    grow(log.path(), scenario, seed, records, read);

    let plan = Plan::files(log.path()).flag("source", &from(&old.display().to_string()));
    let plan = plan.flag("memory", "1MiB").flag("epoch", "10ms").flag("commit-interval", "50ms");
    let mut rng = Rng::from_environment();
    for round in 1..=2 {
        let mut cluster = plan.start(round, 3 - round);
        wait_until("it has read something", LONG, || plan.lake().claims().len() == round && plan.lake().read() > 0);
        std::thread::sleep(Duration::from_millis(rng.below(50)));
        cluster.signal_all("KILL");
        cluster.wait(LONG);
        println!("killed at {} of {read}", plan.lake().read());
    }
    plan.drain(2, 2);
    plan.verify();
    same(&plan, &whole(log.path(), (1, 1)), log.path());
    assert_eq!(listed(&old), before, "an old lake is only read");
    let commits = plan.lake().commits();
    let origin = commits.iter().find_map(|commit| commit.origin.as_ref()).expect("the first data names the old lake");
    assert_eq!((origin.seq, origin.location.as_str()), (5, old.to_str().expect("a path")));
    assert_eq!(origin.positions.len(), commits.last().expect("a commit").positions.len());

    grow(log.path(), scenario, seed, records, records);
    let plan = plan.flag("source", &format!("dir:{}", log.path().display())).flag("memory", "64MiB");
    plan.drain(1, 2);
    plan.verify();
    same(&plan, &whole(log.path(), (2, 1)), log.path());

    // What the program of today says of the old lake itself.
    let into_old = Plan::files(log.path()).into_lake(&old.display().to_string());
    let (code, said) = into_old.end_of_run(&["--until-drained"]);
    assert_eq!(code, 2, "{said}");
    let command = format!("citystream run --source lake:{} --lake NEW", old.display());
    assert!(said.contains("format 1") && said.contains(&command), "{said}");
}

/// The old lake's run goes on meanwhile, and the new one's is killed.
#[test]
fn a_run_that_is_killed_goes_on_where_it_stood_and_follows_the_old_one() {
    if !python::available() {
        return;
    }
    let (mut rng, log) = (Rng::from_environment(), TempDir::new().expect("a folder"));
    let (seed, records) = (rng.below(1_000_000), sized(9000, 60_000));
    println!("seed {seed}, {records} records");
    let grown = |until| grow(log.path(), "all", seed, records, until);
    let old = Plan::files(log.path()).flag("commit-interval", "300ms");
    grown(records / 3);
    old.drain(2, 1);
    grown(records / 2);
    old.drain(1, 2);

    // Little memory: many small commits, so that there is something left whenever it is killed.
    let plan = Plan::files(log.path()).flag("source", &from(old.lake().place()));
    let plan = plan.flag("memory", "1MiB").flag("epoch", "20ms");
    let read = || plan.lake().read();
    for round in 1..=2 {
        let stood = read();
        let mut cluster = plan.start(round, 3 - round);
        wait_until("it reads on", LONG, || read() > stood);
        cluster.signal_all("KILL");
        cluster.wait(LONG);
        println!("killed at {} of {}", read(), old.lake().read());
    }
    assert!(read() < old.lake().read(), "it was killed on the way");

    let (going, cluster) = (old.start(1, 1), plan.start(2, 1));
    grown(records * 3 / 4);
    wait_until("the old run has read on", LONG, || old.lake().read() >= records as u64 * 3 / 4);
    wait_until("the new one follows", LONG, || read() == old.lake().read());
    wait_until("and says so", LONG, || cluster.said(0).contains("has all that"));
    cluster.interrupt();
    going.interrupt();
    plan.drain(1, 1);
    same(&plan, &whole(log.path(), (1, 2)), log.path());

    grown(records);
    let plan = plan.flag("source", &format!("dir:{}", log.path().display())).flag("memory", "64MiB");
    plan.drain(2, 2);
    plan.verify();
    same(&plan, &whole(log.path(), (2, 1)), log.path());
}

/// What its commits name is gone: the files are others now.
#[test]
fn a_lake_whose_files_were_packed_fills_another() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let old = log.plan().flag("commit-interval", "100ms").flag("epoch", "20ms");
    let run = old.start(1, 2);
    for minute in 0..60 {
        log.minute(minute, 10);
        std::thread::sleep(Duration::from_millis(120));
    }
    wait_until("all is read", LONG, || old.lake().read() == 3000);
    run.interrupt();
    for words in [&["lake", "compact", "--alone"][..], &["lake", "gc", "--grace", "0s"]] {
        let output = old.manage(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
    }
    let first = old.lake().commits().into_iter().find_map(|commit| commit.added.get("raw_gps").cloned());
    let first = first.expect("a file of pings").remove(0);
    assert!(!Path::new(old.lake().place()).join(first.path).exists(), "it was packed, and deleted");
    let plan = log.plan().flag("source", &from(old.lake().place()));
    plan.drain(2, 1);
    plan.verify();
    same(&plan, &whole(log.folder(), (1, 1)), log.folder());
}

#[test]
fn on_kafka_and_s3_it_goes_on_from_the_topics() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "origin", 3);
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 3, ..Shape::mixed() });
    let mut produce = |from: i64| topics.produce((0..4000).map(|n| made.next(1_790_000_000_000 + 40 * (from + n))));
    let old = Plan::kafka_to_s3(&servers, &topics);
    produce(0);
    old.init().drain(1, 2);
    produce(4000);
    old.drain(2, 1);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("source", &from(old.lake().place()));
    plan.init().drain(2, 2);
    assert_eq!(plan.lake().read(), 8000);
    produce(8000);
    let plan = plan.without("source");
    plan.drain(1, 2);
    plan.verify();
    plan.lake().check(&plan, &made);
    let whole = Plan::kafka_to_s3(&servers, &topics);
    whole.init().drain(1, 1);
    assert_eq!(plan.lake().contents(&plan, &made).rows(), whole.lake().contents(&whole, &made).rows());

    // Another topic under the same name is refused, as the old lake's identity of it was carried over.
    topics.delete(1);
    topics.create_one(1, 3);
    ends_with(&plan, &["--until-drained"], 6, &[&topics.names()[1], "made anew"]);
}

#[test]
fn what_cannot_be_a_source_is_refused_and_what_is_gone_is_a_loss() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let old = log.plan();
    (0..3).for_each(|minute| log.minute(minute, 100));
    old.drain(1, 1);
    let plan = log.plan().flag("source", &from(old.lake().place()));
    let itself = log.plan().flag("source", &from(old.lake().place())).into_lake(old.lake().place());
    ends_with(&itself, &["--until-drained"], 2, &["is the lake that is to be filled"]);
    ends_with(&plan, &["--until-drained", "--from=latest"], 2, &["from", "from its beginning"]);
    ends_with(&plan, &["--until-drained", "--log-clock=event"], 2, &["--log-clock log"]);
    let nowhere = log.plan().flag("source", &from(log.folder().to_str().expect("a path")));
    ends_with(&nowhere, &["--until-drained"], 2, &["there is no lake"]);

    let pings = old.lake().commits()[1].added["raw_gps"][0].clone();
    let path = Path::new(old.lake().place()).join(&pings.path);
    let bytes = fs::read(&path).expect("a file");
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    fs::write(&path, damaged).expect("a file");
    ends_with(
        &plan,
        &["--until-drained"],
        6,
        &[&pings.path, "300 rows", "not those that were written", "--accept-loss"],
    );
    fs::remove_file(&path).expect("a file");
    ends_with(&plan, &["--until-drained"], 6, &[&pings.path, "is gone", "--accept-loss"]);
    let (code, said) = plan.end_of_run(&["--until-drained", "--accept-loss"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("300 rows are lost"), "{said}");
    plan.verify();
    assert_eq!(plan.lake().read(), 1200, "all but the pings");

    // Offsets go on where the old lake stood, not where the last row was.
    log.with("gps", "later", 200.0, &json!({"speed": 1}));
    let plan = plan.flag("source", &format!("dir:{}", log.folder().display()));
    plan.drain(1, 1);
    assert_eq!(plan.lake().read(), 1201);
}

fn from(lake: &str) -> String {
    format!("lake:{lake}")
}

/// A lake that has read the whole log at once.
fn whole(log: &Path, (processes, workers): (usize, usize)) -> Plan {
    let plan = Plan::files(log);
    plan.drain(processes, workers);
    plan
}

/// Raw tables, dead letters and derived tables are the same as those of another lake, and these as their definitions say.
fn same(plan: &Plan, whole: &Plan, log: &Path) {
    let contents = |plan: &Plan| -> Contents { plan.lake().contents_with(&files::ids(plan, log)).rows() };
    assert_eq!(contents(plan), contents(whole));
    let (lake, other) = (plan.lake(), whole.lake());
    print!("{}", python::run("../oracle/compare.py", &[lake.place()]));
    print!("{}", python::run("../oracle/same.py", &[lake.place(), other.place()]));
}

/// The first `until` records of a log.
fn grow(log: &Path, scenario: &str, seed: u64, records: usize, until: usize) {
    let [seed, records, until] = [seed.to_string(), records.to_string(), until.to_string()];
    let log = log.display().to_string();
    let flags = [&*log, "--scenario", scenario, "--seed", &seed, "--records", &records, "--stop", &until];
    python::run("../oracle/logs.py", &flags);
}

/// Every file below a folder, with its bytes.
fn listed(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => found.append(&mut listed(&path)),
            path => drop(found.insert(path.clone(), fs::read(&path).expect("a file"))),
        }
    }
    found
}

fn copy(folder: &Path, to: &Path) {
    for (path, bytes) in listed(folder) {
        let path = to.join(path.strip_prefix(folder).expect("below"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
}
