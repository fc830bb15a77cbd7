//! A lake gets old: what a start and a reader do, and what the lake says of itself, depends on the files that are live, not
//! on the commits that there were.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use citystream::parts::{
    Commit, Committer, DeltaTable, File, Kind, Lake, Publisher, State, StoreOptions, read_settings, record,
    with_schemas,
};
use citystream_dataflows::tables::Derived;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::json_log::JsonLog;
use crate::common::{python, sized};

/// Files that are packed into one: a table's live files are then as many as the digits of its commits add up to.
const PACKED: usize = 32;
/// Files that a commit adds.
const ADDED: usize = 12;

/// The levels of files; what is of the last one is packed no more.
const LEVELS: usize = 5;

/// Files of tables that come and are packed, as commits tell of them; there are none.
#[derive(Default)]
struct Aging {
    /// By table and date, and by level.
    live: BTreeMap<(&'static str, String), [Vec<File>; LEVELS]>,
    made: u64,
}

impl Aging {
    /// What the next commit adds and removes.
    fn next(&mut self, state: &State, commits_a_day: u64) -> Commit {
        let seq = state.seq + 1;
        let date = format!("2026-{:02}-{:02}", 1 + seq / commits_a_day / 28, 1 + seq / commits_a_day % 28);
        let mut commit = Commit {
            seq,
            kind: Kind::Data,
            run: String::new(),
            previous: String::new(),
            time_ms: 0,
            epoch: state.epoch + 8,
            horizon: Some(seq as i64 * 2_000_000),
            positions: state.positions.clone(),
            topics: state.topics.clone(),
            epochs: Vec::new(),
            added: BTreeMap::new(),
            removed: BTreeMap::new(),
            tidy: Vec::new(),
            ledger: BTreeMap::new(),
            origin: None,
            version: None,
            pin: None,
            views: Default::default(),
            alerts: Vec::new(),
            told: None,
            packed: None,
            collected: None,
            base: None,
        };
        for place in self.live.keys().cloned().collect::<Vec<_>>() {
            self.pack(&place, place.1 != date, &mut commit);
        }
        for table in Derived::all().map(|table| table.changes()).cycle().take(ADDED) {
            let time = seq as i64 * 2_000_000;
            let file = File {
                rows: 100,
                bytes: 20_000,
                seqs: (seq, seq),
                net: 50,
                event_time: Some((time - 600_000_000, time)),
                ..File::default()
            };
            let file = self.name(table, &date, seq, file);
            commit.added.entry(table.to_owned()).or_default().push(file.clone());
            self.live.entry((table, date.clone())).or_default()[0].push(file);
        }
        commit
    }

    fn name(&mut self, table: &str, date: &str, seq: u64, file: File) -> File {
        self.made += 1;
        let path = format!("tables/{table}/event_date={date}/{:032x}-{seq:020}-0-{}.parquet", 7, self.made);
        File { path, date: date.to_owned(), sha256: format!("{:064x}", self.made), ..file }
    }

    /// So many of one level become one of the next; of a date that is over, all.
    fn pack(&mut self, place: &(&'static str, String), is_over: bool, commit: &mut Commit) {
        let Some(levels) = self.live.get_mut(place) else { return };
        let open = &mut levels[..LEVELS - 1];
        let left: usize = open.iter().map(Vec::len).sum();
        let gone: Vec<File> = match open.iter_mut().find(|files| files.len() >= PACKED) {
            Some(files) => std::mem::take(files),
            None if is_over && left > 1 => open.iter_mut().flat_map(std::mem::take).collect(),
            None => return,
        };
        let sum = File::sum(&gone);
        let packed = File { level: sum.level + 1, bytes: sum.bytes / 2, ..sum };
        let packed = self.name(place.0, &place.1, commit.seq, packed);
        self.live.entry(place.clone()).or_default()[usize::from(packed.level)].push(packed.clone());
        record(commit, place.0, gone, packed, None);
    }

    /// The files of a commit say now when it was.
    fn landed(&mut self, commit: &Commit) {
        let added = commit.added.iter().flat_map(|(table, files)| files.iter().map(move |file| (table, &file.date)));
        let added: BTreeSet<(&String, &String)> = added.collect();
        let places =
            self.live.iter_mut().filter(|(place, _)| added.iter().any(|(t, d)| **t == place.0 && **d == place.1));
        let files = places.flat_map(|(_, levels)| levels.iter_mut().flatten());
        files.for_each(|file| {
            file.added_ms.get_or_insert(commit.time_ms);
        });
    }

    fn live_files(&self) -> usize {
        self.live.values().flatten().map(Vec::len).sum()
    }
}

/// A lake that is made without a run, one commit after the other.
struct OldLake {
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
    lake: Lake,
    committer: Committer,
    publisher: Publisher,
    aging: Aging,
    commits_a_day: u64,
    /// How many commits are one version.
    a_version: u64,
}

impl OldLake {
    /// Of a week, so far with a claim only; its Delta logs are those of these tables.
    fn new(tables: Vec<DeltaTable>, commits: u64, a_version: u64) -> OldLake {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_string_lossy().into_owned();
        let made = Command::new(env!("CARGO_BIN_EXE_citystream")).args(["lake", "init", "--lake", &path]).output();
        assert!(made.expect("citystream").status.success());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (lake, committer, publisher) = runtime.block_on(async {
            let lake = Lake::open(&path, &StoreOptions::default()).await.expect("the lake");
            let (committer, _) = Committer::claim(&lake, &"a".repeat(32)).await.expect("a claim");
            let lake_id = read_settings(&lake).await.expect("the store").expect("settings").lake;
            let publisher = Publisher::open(&lake, &lake_id, tables, 0).await.expect("its logs");
            (lake, committer, publisher)
        });
        let aging = Aging::default();
        OldLake { directory, runtime, lake, committer, publisher, aging, commits_a_day: commits / 7, a_version }
    }

    fn path(&self) -> &str {
        self.directory.path().to_str().expect("text")
    }

    /// The next commit.
    fn next(&mut self) -> Commit {
        let version = self.committer.next_seq().is_multiple_of(self.a_version).then_some(0);
        Commit { version, ..self.aging.next(self.committer.state().expect("a state"), self.commits_a_day) }
    }

    /// Makes a commit, and the version that it ends; how long the commit took.
    fn commit(&mut self, commit: Commit) -> Duration {
        let OldLake { runtime, committer, publisher, aging, .. } = self;
        let asked = Instant::now();
        let commit = runtime.block_on(committer.propose(commit)).expect("a commit");
        let took = asked.elapsed();
        runtime.block_on(publisher.publish(&commit)).expect("a version");
        aging.landed(&commit);
        runtime.block_on(committer.tend());
        took
    }
}

/// What this process holds.
fn memory_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim_end_matches("kB").trim().parse::<u64>().expect("a number") / 1024
}

/// What the lake costs now: bytes of the last root, seconds and memory of those who look at it.
fn measure(lake: &str, live: usize) -> Value {
    let measured: Value =
        serde_json::from_str(&python::run("age.py", &[env!("CARGO_BIN_EXE_citystream"), lake])).expect("an answer");
    println!("{measured}");
    assert_eq!(measured["files_by_status"], live, "what is live by lake status");
    assert_eq!(measured["files_by_duckdb"], live, "what is live by DuckDB");
    measured
}

#[test]
fn an_old_lake_costs_what_its_live_files_cost() {
    let commits: u64 = sized(3_000, 300_000);
    // Of the table of commits, whose files are there: each commit is a version.
    let mut old = OldLake::new(vec![DeltaTable::commits().expect("a table")], commits, 1);
    let mut measured = Vec::new();
    for until in [commits / 10, commits] {
        while old.committer.next_seq() <= until {
            let (began, mut took) = (Instant::now(), Vec::new());
            let end = until.min(old.committer.next_seq() + commits / 10);
            while old.committer.next_seq() <= end {
                let commit = old.next();
                took.push(old.commit(commit));
            }
            took.sort_unstable();
            let of = |part: usize| took[(took.len() - 1) * part / 100];
            let (made, seconds) = (old.aging.made, began.elapsed().as_secs_f64());
            println!(
                "commit {end}, {made} files ever, {seconds:.0} s; a commit p50 {:?}, p99 {:?}; {} MiB",
                of(50),
                of(99),
                memory_mib()
            );
        }
        let asked = Instant::now();
        let state = old.runtime.block_on(citystream::parts::state(&old.lake)).expect("a history").expect("a state");
        assert_eq!(Some(&state), old.committer.state());
        println!("a start knows where it stands after {:.3} s", asked.elapsed().as_secs_f64());
        measured.push(measure(old.path(), old.aging.live_files()));
    }
    let [young, aged] = &measured[..] else { panic!("two measurements") };
    let number = |of: &Value, name: &str| of[name].as_f64().expect("a number");
    // Live files are as many as digits: a half more at ten times the age.
    assert!(number(aged, "rows_files") < 64.0 + 63.0 + commits as f64 / 4096.0 + 1.0, "{aged}");
    for (name, most) in [("root_bytes", 3.0), ("parts_bytes", 4.0), ("status_mib", 1.25)] {
        let (young, aged) = (number(young, name), number(aged, name));
        assert!(aged <= most * young, "{name}: {young} at commit {}, {aged} at commit {commits}", commits / 10);
    }
    for name in ["status_s", "sql_s"] {
        assert!(number(aged, name) < 2.0, "{name}: {}", number(aged, name));
    }
}

/// A hundred commits are one version here, of all tables: there would be millions of objects otherwise.
#[test]
fn a_run_starts_soon_on_an_old_lake() {
    let commits: u64 = sized(3_000, 300_000);
    let tables: Vec<Derived> = Derived::all().collect();
    let mut old = OldLake::new(DeltaTable::all(with_schemas(&tables)).expect("tables"), commits, 100);
    while old.committer.next_seq() < commits {
        let commit = old.next();
        old.commit(commit);
    }
    // Its files are told of, and are not there: none is of the last days, which a start reads.
    let commit = old.next();
    let month = Some(commit.horizon.expect("a horizon") + 30 * 86_400_000_000);
    old.commit(Commit {
        horizon: month,
        version: Some(0),
        added: BTreeMap::new(),
        removed: BTreeMap::new(),
        tidy: Vec::new(),
        ..commit
    });
    let log = JsonLog::new();
    let plan = log.plan().flag("compact", "off").into_lake(old.path());
    let (began, asked) = (SystemTime::now(), Instant::now());
    plan.drain(1, 1);
    let drained = asked.elapsed();
    let path = old.directory.path().join(format!("commits/{:020}.json", commits + 1));
    let claim: Commit = serde_json::from_slice(&fs::read(path).expect("a commit")).expect("a commit");
    let began_ms = began.duration_since(SystemTime::UNIX_EPOCH).expect("today").as_millis() as i64;
    let claimed_ms = claim.time_ms - began_ms;
    println!("{commits} commits: claimed after {claimed_ms} ms, drained after {drained:?}");
    assert_eq!(claim.kind, Kind::Claim);
    // Beside other tests time says nothing; that no old file was read is seen all the same.
    let is_soon = claimed_ms < 1_000 && drained < Duration::from_secs(5);
    assert!(is_soon || commits < 300_000, "{claimed_ms} ms, {drained:?}");
}
