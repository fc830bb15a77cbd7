//! Small files become one while a run goes on, and no reader sees another row for it; whatever dies, and whenever.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use citystream::parts::{Commit, File};
use serde_json::{Value, json};

use crate::common::json_log::JsonLog;
use crate::common::{Plan, Rng, Servers, Shape, Topics, files, python, sized, wait_until, while_producing};

/// City minutes between two batches of records, and records of each topic in one.
const APART: u32 = 12;
const RECORDS: u32 = 3;
const IN_ONE: u64 = 5 * RECORDS as u64 + 1;
/// Half a minute for a run to look for requests, and then some.
const A_LOOK: Duration = Duration::from_secs(60);

fn plan(log: &JsonLog) -> Plan {
    log.plan().flag("epoch", "20ms").flag("commit-interval", "50ms")
}

/// Appends a batch; an incident has statuses in eight of them.
fn append(log: &JsonLog, batch: u32) {
    log.minute(batch * APART, RECORDS);
    let incident = format!("INC-{}", batch / 8);
    let status = json!({"hasIncident": true, "incidentId": incident, "status": "Active", "type": "Fire"});
    log.with("emergency", "unit-1", f64::from(60 * (batch * APART + 1)), &status);
}

/// Appends batches, each of which a run that goes on commits by itself.
fn trickle(log: &JsonLog, plan: &Plan, batches: std::ops::Range<u32>) {
    let folder = Path::new(plan.lake().place()).join("commits");
    let commits = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    for batch in batches {
        let (before, asked) = (commits(), Instant::now());
        append(log, batch);
        // A run may be starting.
        while commits() == before && asked.elapsed() < Duration::from_secs(1) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The live files, by table and date.
fn live(commits: &[Commit]) -> BTreeMap<(String, String), BTreeMap<String, File>> {
    let mut live: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for commit in commits {
        let place = |table: &str, file: &File| (table.to_owned(), file.date.clone());
        for (table, files) in &commit.removed {
            for file in files {
                live.get_mut(&place(table, file)).and_then(|files| files.remove(&file.path)).expect("a live file");
            }
        }
        for (table, files) in &commit.added {
            for file in files {
                live.entry(place(table, file)).or_default().insert(file.path.clone(), file.clone());
            }
        }
    }
    live
}

/// Packs are done: less than 32 files of each level are left, one of the first day, but for incidents: they are sealed a day
/// after they began.
fn is_at_rest(plan: &Plan) -> bool {
    let first = live(&plan.lake().commits());
    let dates: BTreeSet<&String> = first.keys().map(|(_, date)| date).collect();
    dates.len() > 1
        && first.iter().all(|((table, date), files)| {
            let mut levels = [0; 5];
            files.values().for_each(|file| levels[usize::from(file.level)] += 1);
            let is_whole = Some(&date) != dates.first() || files.len() == 1 || table == "incidents";
            is_whole && levels.iter().all(|files| *files < 32)
        })
}

/// Numbers of commits that pack.
fn packs(commits: &[Commit]) -> Vec<u64> {
    commits.iter().filter(|commit| !commit.tidy.is_empty()).map(|commit| commit.seq).collect()
}

/// The lake without the files that have become others.
fn without_graves(plan: &Plan) -> Plan {
    let (lake, copy) = (plan.lake(), plan.fresh_path("swept"));
    let copied = Command::new("cp").arg("-r").arg(lake.place()).arg(&copy).status().expect("cp");
    assert!(copied.success());
    let commits = lake.commits();
    let graves: Vec<_> = commits.iter().flat_map(|commit| commit.removed.values().flatten()).collect();
    assert!(graves.len() > 100, "{} files have become others", graves.len());
    graves.iter().for_each(|grave| std::fs::remove_file(copy.join(&grave.path)).expect("it was there"));
    Plan::files(plan.dir()).into_lake(&copy.display().to_string())
}

#[test]
fn a_packed_lake_holds_what_one_holds_that_is_not() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let batches = sized(150, 1500);
    let plan = plan(&log);
    let run = plan.start(1, 2);
    trickle(&log, &plan, 0..batches);
    wait_until("what can be packed is", Duration::from_secs(90), || is_at_rest(&plan));
    run.interrupt();
    let commits = plan.lake().commits();
    let packs = packs(&commits);
    println!("{} commits, {} of them pack", commits.len(), packs.len());
    assert!(commits.len() > 60 && packs.len() > 10, "{} of {} commits pack", packs.len(), commits.len());
    plan.verify();
    print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
    // The same rows before and after each, for who reads by version.
    let versions: Vec<String> = packs.iter().rev().take(12).map(u64::to_string).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    print!("{}", python::run("packs.py", &[&[plan.lake().place()], versions.as_slice()].concat()));

    let unpacked = Plan::files(log.folder()).flag("compact", "off");
    unpacked.drain(1, 1);
    assert!(self::packs(&unpacked.lake().commits()).is_empty());
    same(&log, &plan, &unpacked);

    // What has become other files is needed by nobody who looks at the lake as it is.
    let swept = without_graves(&plan);
    swept.verify();
    let tail = ["lake", "tail", "raw_gps", "--json", "--rows", "1000"];
    assert_eq!(said(&swept, &tail), said(&plan, &tail));

    // A start reads packed files back, and goes on as if they were not.
    (batches..batches + 20).for_each(|batch| append(&log, batch));
    swept.flag("source", &format!("dir:{}", log.folder().display())).drain(2, 2);
    plan.drain(2, 1);
    plan.verify();
    unpacked.drain(1, 1);
    same(&log, &plan, &unpacked);
}

/// Both lakes hold the same rows, those of the log, by readers that know nothing of citystream.
fn same(log: &JsonLog, one: &Plan, other: &Plan) {
    print!("{}", python::run("../oracle/same.py", &[one.lake().place(), other.lake().place()]));
    let ids = files::ids(one, log.folder());
    let contents = [one, other].map(|plan| plan.lake().contents_with(&ids).rows());
    contents[0].check_ids();
    assert_eq!(contents[0], contents[1]);
}

fn said(plan: &Plan, words: &[&str]) -> String {
    let output = plan.manage(words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn runs_that_are_killed_while_they_pack_leave_a_sound_lake() {
    if !python::available() {
        return;
    }
    let (mut rng, log) = (Rng::from_environment(), JsonLog::new());
    let plan = plan(&log);
    let rounds = sized(6, 30);
    for round in 0..rounds {
        let (processes, workers) = (1 + rng.below(2) as usize, 1 + rng.below(2) as usize);
        let mut run = plan.start(processes, workers);
        trickle(&log, &plan, round * 40..round * 40 + 40);
        thread::sleep(Duration::from_millis(rng.below(1500)));
        run.signal_all("KILL");
        let codes = run.wait(Duration::from_secs(20));
        let packs = packs(&plan.lake().commits()).len();
        println!("round {round}: {processes} x {workers}, {codes:?}, {packs} commits pack");
        plan.verify();
    }
    plan.drain(1, 2);
    plan.verify();
    assert!(packs(&plan.lake().commits()).len() > 2);
    print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
    let unpacked = Plan::files(log.folder()).flag("compact", "off");
    unpacked.drain(2, 1);
    same(&log, &plan, &unpacked);
}

#[test]
fn a_lake_on_s3_is_packed_while_records_come() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "packing", 2);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("epoch", "50ms").flag("commit-interval", "200ms");
    let shape = Shape { partitions: 2, ..Shape::mixed() };
    let made = while_producing(&topics, shape, 10, || {
        let run = plan.start(2, 1);
        wait_until("the run packs", Duration::from_secs(120), || packs(&plan.lake().commits()).len() > 2);
        let (packed, code, said) = compact(&plan, &["--wait"]);
        assert!(code == 0 && packed["packs"].as_u64() > Some(0), "{code} {packed} {said}");
        run.interrupt();
    });
    plan.drain(1, 2);
    plan.verify();
    plan.lake().check(&plan, &made);
}

/// `lake compact` with these flags: what it prints, and its exit code.
fn compact(plan: &Plan, flags: &[&str]) -> (Value, i32, String) {
    let output = plan.manage(&[&["lake", "compact", "--json"], flags].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code().expect("a code"), said)
}

#[test]
fn who_asks_for_packing_is_served_by_the_run_or_serves_himself() {
    let log = JsonLog::new();
    let plan = plan(&log);
    plan.init();
    let (_, code, said) = compact(&plan, &["--timeout", "1s"]);
    assert!(code == 7 && said.contains("--alone"), "{code} {said}");
    let requests = Path::new(plan.lake().place()).join("requests");
    let left = || std::fs::read_dir(&requests).map_or(0, Iterator::count);
    assert_eq!(left(), 0, "an untaken request is taken back");

    let mut run = plan.start(1, 1);
    trickle(&log, &plan, 0..20);
    wait_until("all is committed", Duration::from_secs(20), || plan.lake().read() == 20 * IN_ONE);
    let files = |plan: &Plan, table: &str| -> usize {
        let live = live(&plan.lake().commits());
        live.iter().filter(|((name, _), _)| name == table).map(|(_, files)| files.len()).sum()
    };
    let (before, other) = (files(&plan, "raw_gps"), files(&plan, "raw_weather"));
    assert!(before > 2 && other > 2 && before < 32, "{before} files: so few that a run does not pack them by itself");
    let (packed, code, said) = compact(&plan, &["--table", "raw_gps", "--wait"]);
    assert_eq!((code, &packed["files"], &packed["packs"]), (0, &before.into(), &1.into()), "{packed} {said}");
    assert_eq!((files(&plan, "raw_gps"), files(&plan, "raw_weather"), left()), (1, other, 0));
    let commits = plan.lake().commits();
    let has_read = |commit: &Commit| commit.ledger.values().any(|ledger| ledger.read > 0);
    assert!(commits.iter().any(|commit| !commit.tidy.is_empty() && !has_read(commit)), "a lake that stands still, too");
    let named = commits.into_iter().flat_map(|commit| commit.tidy).filter_map(|tidy| tidy.request);
    assert_eq!(named.map(Value::from).collect::<Vec<_>>(), [packed["request"].clone()]);

    // One that is damaged is named, and the others are packed; the run is told at its next commit that it was replaced.
    let (_, weather) =
        live(&plan.lake().commits()).into_iter().find(|((name, _), _)| name == "raw_weather").expect("it");
    let damaged = weather.into_keys().next().expect("a file");
    let path = Path::new(plan.lake().place()).join(&damaged);
    let sound = std::fs::read(&path).expect("a file");
    let mut bytes = sound.clone();
    bytes[sound.len() / 2] ^= 4;
    std::fs::write(&path, bytes).expect("a file");
    let (packed, code, said) = compact(&plan, &["--alone"]);
    assert!(code == 5 && packed["damaged"][0].to_string().contains(&damaged), "{code} {packed} {said}");
    assert_eq!(files(&plan, "raw_weather"), 2, "the damaged one, and what the others have become");
    std::fs::write(&path, sound).expect("a file");
    log.minute(1000, 1);
    let codes = run.wait(Duration::from_secs(20));
    assert_eq!(codes, [3], "{}", run.said(0));
    plan.drain(1, 1);
    plan.verify();
}

/// A run names a damaged file, leaves it out, and goes on.
#[test]
fn a_run_that_meets_a_damaged_file_names_it_and_goes_on() {
    let log = JsonLog::new();
    let plan = plan(&log);
    let off = self::plan(&log).flag("compact", "off").into_lake(plan.lake().place());
    let mut run = off.start(1, 1);
    let gps =
        || live(&plan.lake().commits()).into_iter().find(|((name, _), _)| name == "raw_gps").map(|(_, files)| files);
    let gps = || gps().unwrap_or_default();
    let mut batches = 0;
    while gps().len() < 40 {
        trickle(&log, &plan, batches..batches + 1);
        batches += 1;
        assert!(batches < 16 * 60 / APART, "the first date is over");
    }
    wait_until("all is committed", Duration::from_secs(20), || plan.lake().read() == u64::from(batches) * IN_ONE);
    run.signal(0, "TERM");
    assert_eq!(run.wait(Duration::from_secs(20)), [0]);
    let damaged = gps().into_keys().next().expect("a file");
    let path = Path::new(plan.lake().place()).join(&damaged);
    let mut bytes = std::fs::read(&path).expect("a file");
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("a file");
    let mut run = plan.start(1, 1);
    wait_until("the others are packed", A_LOOK, || gps().len() < 32);
    assert!(gps().contains_key(&damaged), "it is left as it is");
    trickle(&log, &plan, batches..batches + 1);
    wait_until("the run goes on", Duration::from_secs(20), || plan.lake().read() > u64::from(batches) * IN_ONE);
    assert!(run.said(0).contains(&damaged), "{}", run.said(0));
    run.signal(0, "TERM");
    assert_eq!(run.wait(Duration::from_secs(20)), [0]);
    let verified = plan.command(&["lake", "verify"]).stdout(Stdio::piped()).output().expect("the program starts");
    assert!(verified.status.code() == Some(5) && String::from_utf8_lossy(&verified.stdout).contains(&damaged));
}
