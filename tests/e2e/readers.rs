//! P2 for readers: at one version, all tables together are exactly one commit, also while the pipeline writes, and from
//! a checkpoint; a filter drops no row, and leaves files out.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use citystream::parts::Commit;

use crate::aged;
use crate::common::json_log::JsonLog;
use crate::common::{
    Generator, Lake, Plan, Rng, Servers, Shape, Topics, files, python, sized, wait_until, while_producing,
};

#[test]
fn every_read_while_the_pipeline_writes_is_exactly_one_commit() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "readers", 2);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("commit-interval", "2s").flag("publish-interval", "5s");
    let shape = Shape { partitions: 2, ..Shape::mixed() };
    let made = while_producing(&topics, shape, 20, || {
        let mut run = plan.start(2, 1);
        let lake = plan.lake();
        wait_until("some commits", Duration::from_secs(60), || lake.commits().len() > 2);
        let answer = python::run("readers.py", &[lake.place(), sized("100", "400")]);
        println!("{answer}");
        assert!(run.running(), "the pipeline ended while it was read");
        run.interrupt();
    });
    plan.drain(1, 1);
    plan.verify();
    plan.lake().check(&plan, &made);
}

/// Makes a history longer by claims that nobody follows.
fn lengthen(lake: &str, by: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let endpoint = std::env::var("AWS_ENDPOINT_URL").unwrap_or_default();
    runtime.block_on(async {
        let lake = aged::open(lake, &endpoint).await;
        for _ in 0..by {
            aged::claim(&lake).await;
        }
    });
}

/// Removes the versions up to `last` of every table; the number of files removed.
fn forget_versions(lake: &Path, last: u64) -> usize {
    let mut removed = 0;
    for table in std::fs::read_dir(lake.join("tables")).expect("the tables") {
        let log = table.expect("a table").path().join("_delta_log");
        for version in 0..=last {
            std::fs::remove_file(log.join(format!("{version:020}.json"))).expect("a version");
            removed += 1;
        }
    }
    removed
}

#[test]
fn a_long_log_is_read_with_its_checkpoints_and_from_the_last_one_alone() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "checkpoint", 1);
    let plan = Plan::kafka_to_files(&servers, &topics);
    let shape = Shape { partitions: 1, late: 0.0, repeated: 0.0, disordered: 0.0 };
    let mut made = Generator::new(Rng::from_environment(), shape);
    let mut start = 1_790_000_000_000;
    for claims in [150, 110, 0] {
        topics.produce((0..500).map(|n| made.next(start + n)));
        plan.drain(1, 1);
        lengthen(plan.lake().place(), claims);
        start += 1_000;
    }
    plan.verify();
    let whole = plan.lake().check(&plan, &made);
    assert!(whole.version > 230, "{whole:?}");

    let cut = plan.fresh_path("cut");
    let copied = Command::new("cp").arg("-r").arg(plan.lake().place()).arg(&cut).status().expect("cp");
    assert!(copied.success());
    // Tables of records, derived ones, and the table of commits.
    let tables = citystream::parts::Table::all().count() + 1;
    assert_eq!(forget_versions(&cut, 200), tables * 201);
    assert_eq!(Lake::at(&cut.display().to_string()).contents(&plan, &made), whole);
}

/// Three stretches of a city's log around midnight, each in some commits of the least memory; the history between them is
/// made longer, so that the last checkpoint stands for the first two and no other version does. Between the last two the files
/// are packed: who reads an older version finds those that were there.
#[test]
fn a_filter_over_a_long_log_finds_all_rows_and_leaves_files_out() {
    if !python::available() {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a folder");
    let plan = Plan::files(folder.path()).flag("memory", "1MiB");
    let mut pinned = Vec::new();
    for (start, claims) in [("2026-01-05T23:30:00Z", 120), ("2026-01-05T23:50:00Z", 90), ("2026-01-06T00:10:00Z", 0)] {
        let flags = ["--start", start, "--span=20m", "--vehicles=100", "--late=0.01", "--malformed=0.01"];
        assert!(files::simulate(&plan, folder.path(), &flags).wait().expect("the simulator").success());
        if pinned.len() == 2 {
            let packed = plan.manage(&["lake", "compact", "--alone"]);
            assert!(packed.status.success(), "{packed:?}");
        }
        plan.drain(1, 2);
        lengthen(plan.lake().place(), claims);
        pinned.push(statements(&plan, "spark"));
    }
    let last = plan.lake().published().expect("a version");
    assert!((250..300).contains(&last), "{last} commits are not what this test is for");
    let lake = plan.lake();
    println!("{}", python::run("by_date.py", &[lake.place()]));
    println!(
        "{}",
        python::run("filters.py", &[lake.place(), &statements(&plan, "duckdb"), &statements(&plan, "polars")])
    );
    if let Some(answer) = python::spark(lake.place(), &[&pinned[1], &pinned[2]]) {
        println!("{answer}");
    }
    plan.verify();
}

#[test]
fn a_lake_without_a_commit_has_empty_views() {
    if !python::available() {
        return;
    }
    let plan = JsonLog::new().plan();
    plan.init();
    let views = statements(&plan, "duckdb");
    for view in ["commits", "raw_gps", "traffic_5m_now"] {
        let count = python::run("pasted.py", &[&views, &format!("SELECT count(*) FROM {view}")]);
        assert_eq!(count.trim(), "0", "{view}");
    }
}

/// Between two commits of rows come so many of none, and no root tells of any: DuckDB asks for fewer by name.
#[test]
fn duckdb_finds_commits_far_beyond_the_last_root() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = log.plan();
    for minute in 0..2 {
        log.minute(minute, 20);
        plan.drain(1, 1);
    }
    let views = statements(&plan, "duckdb");
    stretch(&plan.lake(), 10_500);
    let count = python::run("pasted.py", &[&views, "SELECT count(*) FROM raw_gps"]);
    assert_eq!(count.trim(), "40");
}

/// Puts so many commits like the first, which adds nothing, before the last one that adds files, and cuts off what follows.
fn stretch(lake: &Lake, by: u64) {
    let commits = lake.commits();
    let folder = Path::new(lake.place()).join("commits");
    let write = |commit: &Commit, seq: u64| {
        let text = serde_json::to_vec(&Commit { seq, ..commit.clone() }).expect("JSON");
        std::fs::write(folder.join(format!("{seq:020}.json")), text).expect("a commit");
    };
    let adds = |commit: &Commit| commit.added.values().any(|files| !files.is_empty());
    let last = commits.iter().rposition(adds).expect("a commit with files") as u64;
    (last..last + by).for_each(|seq| write(&commits[0], seq));
    write(&commits[last as usize], last + by);
}

/// On S3 DuckDB lists names that begin alike; `_last_checkpoint` has no such names.
#[test]
fn duckdb_reads_a_lake_on_s3_by_its_commits_and_by_its_delta_tables() {
    let Some(servers) = Servers::find() else { return };
    let log = JsonLog::new();
    let plan = log.plan().into_s3(&servers, "duckdb");
    for (minute, claims) in [(0, 0), (1, 120), (2, 0)] {
        log.minute(minute, 100);
        plan.drain(1, 2);
        lengthen(plan.lake().place(), claims);
        println!("{}", python::run("on_s3.py", &[plan.lake().place(), &statements(&plan, "duckdb")]));
    }
}

/// A file of what `lake sql` prints for a reader.
pub(super) fn statements(plan: &Plan, reader: &str) -> String {
    let output = plan.manage(&["lake", "sql", "--for", reader]);
    assert!(output.status.success(), "lake sql --for {reader}: {output:?}");
    let path = plan.fresh_path(reader);
    std::fs::write(&path, output.stdout).expect("a file of statements");
    path.display().to_string()
}

#[test]
fn a_lake_is_made_where_readers_stumble_over_its_path_only_for_who_says_so() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let plan = Plan::files(folder.path()).into_lake(&folder.path().join("50% off").display().to_string());
    let refused = plan.manage(&["lake", "init"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(2) && said.contains("'%' in its path") && said.contains("--any-path"),
        "{said}"
    );
    assert!(plan.manage(&["lake", "init", "--any-path"]).status.success());
    assert!(plan.manage(&["lake", "init"]).status.success(), "one that is there is opened wherever it is");
}
