//! P2 for readers of Delta tables where commits are quicker than versions: all tables at one version are one commit, whoever was
//! killed on the way, and nothing stays unpublished.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::common::json_log::JsonLog;
use crate::common::{Rng, python, wait_until};

/// Runs that are killed between versions, one that stands still until its last commits are a version, and one that drains.
#[test]
fn at_each_version_all_tables_are_one_commit_whoever_was_killed() {
    let log = JsonLog::new();
    let plan = log.plan().flag("epoch", "20ms").flag("commit-interval", "50ms").flag("publish-interval", "1500ms");
    let mut rng = Rng::from_environment();
    let mut minute = 0;
    for round in 0..5 {
        let mut run = plan.start(1, 1 + rng.below(2) as usize);
        let before = plan.lake().commits().len();
        let enough = before + 3 + rng.below(6) as usize;
        wait_until("some commits", Duration::from_secs(60), || {
            log.minute(minute, 20);
            minute += 1;
            thread::sleep(Duration::from_millis(40));
            plan.lake().commits().len() > enough
        });
        run.signal(0, "KILL");
        println!("round {round}: killed at commit {}", plan.lake().commits().len());
        run.wait(Duration::from_secs(20));
    }
    let ends = |lake: &crate::common::Lake| lake.commits().iter().map(|c| c.version.is_some()).collect::<Vec<_>>();
    let ended = ends(&plan.lake());
    assert!(ended.iter().filter(|ends| !**ends).count() > 10, "most commits end no version: {ended:?}");

    let run = plan.start(1, 1);
    log.minute(minute, 20);
    wait_until("the last commit in a version", Duration::from_secs(30), || {
        let commits = plan.lake().commits();
        commits.last().is_some_and(|last| last.version.is_some() && last.kind == citystream::parts::Kind::Data)
            && commits.iter().map(|commit| commit.ledger.values().map(|l| l.read).sum::<u64>()).sum::<u64>()
                == u64::from(minute + 1) * 100
    });
    wait_until("it is published", Duration::from_secs(10), || {
        plan.lake().published() == plan.lake().commits().iter().filter_map(|commit| commit.version).max()
    });
    run.interrupt();
    log.minute(minute + 1, 20);
    plan.drain(1, 2);
    plan.verify();
    assert_eq!(ends(&plan.lake()).last(), Some(&true), "the last commit ends a version");
    let status = plan.manage(&["lake", "status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let last = plan.lake().commits().pop().expect("a commit");
    assert_eq!(status["published"]["seq"], last.seq);
    assert_eq!(status["published"]["version"], last.version.expect("a version"));
    if python::available() {
        print!("{}", python::run("versions.py", &[plan.lake().place()]));
        print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
    }
}
