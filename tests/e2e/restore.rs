//! A lake that is copied while a run writes it, as docs/operations.md says, is a lake: whoever goes on from it comes to the same.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::aged;
use crate::common::json_log::JsonLog;
use crate::common::{Plan, document, files, python, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// Copies the lake and verifies the copy, with the document's commands, while a run goes on: where the copy is.
fn backup(plan: &Plan, log: &JsonLog) -> String {
    let backup = plan.fresh_path("backup").display().to_string();
    let script = document::block("tests/e2e/restore.rs runs")
        .replace("/var/lib/citystream/lake", plan.lake().place())
        .replace("/backup/lake", &backup)
        .replace("citystream lake", &format!("{} lake", env!("CARGO_BIN_EXE_citystream")));
    let run = plan.start(1, 2);
    log.minute(0, 200);
    wait_until("a first commit", SOON, || plan.lake().read() == 1000);
    let is_copied = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for minute in (1..600).take_while(|_| !is_copied.load(Relaxed)) {
                log.minute(minute, 20);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        wait_until("it commits meanwhile", SOON, || plan.lake().read() > 1000);
        let done = Command::new("sh").args(["-e", "-c", &script]).output().expect("a shell");
        is_copied.store(true, Relaxed);
        assert!(done.status.success(), "{script}: {done:?}");
    });
    let read = plan.lake().read();
    log.minute(600, 20);
    wait_until("it goes on", SOON, || plan.lake().read() > read);
    run.interrupt();
    backup
}

/// The copy has a beginning of the history; a run at another width goes on from it, and comes to all that the log has.
fn goes_on(plan: Plan, log: &JsonLog, backup: &str) {
    let all = plan.lake().commits();
    let plan = plan.into_lake(backup);
    let copied = plan.lake().commits();
    assert!(
        !copied.is_empty() && copied.len() < all.len() && copied[..] == all[..copied.len()],
        "a beginning of the history"
    );
    println!("{} of {} commits were copied", copied.len(), all.len());
    plan.drain(2, 1);
    plan.verify();
    plan.lake().contents_with(&files::ids(&plan, log.folder())).check_ids();
    assert_eq!(plan.lake().published(), plan.lake().commits().last().and_then(|commit| commit.version));
}

#[test]
fn p2_a_backup_of_a_lake_in_use_is_restored_elsewhere_and_goes_on() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = log.plan().flag("commit-interval", "200ms").flag("epoch", "50ms");
    let backup = backup(&plan, &log);
    goes_on(plan, &log, &backup);
}

#[test]
fn p2_so_is_one_whose_first_commits_are_kept_no_longer() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = log.plan().keep("commits=7d").flag("commit-interval", "200ms").flag("epoch", "50ms");
    plan.init();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let lake = aged::open(plan.lake().place(), "").await;
        aged::make(&lake, aged::TWO_PACKS).await;
        aged::forget(&lake).await;
    });
    let [first, base] = [
        "commits/packs/00000000000000000000-00000000000000000999.jsonl.zst",
        "snapshots/base/00000000000000001000.json",
    ];
    let is_there = |place: &str, path| Path::new(place).join(path).exists();
    assert!(
        is_there(plan.lake().place(), base) && !is_there(plan.lake().place(), first),
        "the history begins with a root"
    );
    let backup = backup(&plan, &log);
    assert!(is_there(&backup, base), "so does that of the copy");
    goes_on(plan, &log, &backup);
}
