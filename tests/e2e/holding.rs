//! P1, *holding*: a slow clock is not an idle partition. Who delivers holds the horizon and loses nothing; who has gone
//! quiet, or is too far behind, lets go.

use std::ops::Range;
use std::time::Duration;

use crate::common::faults::Proxy;
use crate::common::json_log::{JsonLog, record};
use crate::common::{Plan, Servers, files, python, wait_until};

const SOON: Duration = Duration::from_secs(30);

fn plan(log: &JsonLog) -> Plan {
    log.plan()
        .flag("epoch", "50ms")
        .flag("commit-interval", "200ms")
        .flag("idle", "1s")
        .flag("discover-interval", "200ms")
}

/// A ping in time: at its own log time.
fn ping(log: &JsonLog, partition: u32, second: i64) {
    let second = second as f64;
    log.append("gps", partition, second, &record(&format!("{partition}-{second}"), "bus", second));
}

/// The horizon in seconds from the start of the log.
fn horizon(plan: &Plan) -> Option<i64> {
    let commits = plan.lake().commits();
    Some(commits.last()?.horizon? / 1_000_000 - JsonLog::START)
}

fn expired(plan: &Plan) -> u64 {
    plan.lake().commits().iter().flat_map(|commit| commit.ledger.values()).map(|ledger| ledger.expired).sum()
}

/// The most records of a partition of pings that were read in one epoch.
fn at_once(plan: &Plan, partition: i32) -> u64 {
    let epochs = plan.lake().commits().into_iter().flat_map(|commit| commit.epochs);
    let bindings = epochs.flat_map(|epoch| epoch.bindings).filter(|binding| binding.partition.index == partition);
    bindings.map(|binding| binding.read).max().unwrap_or_default()
}

/// Who holds the horizon, as `lake status` says.
fn held_by(plan: &Plan) -> Vec<String> {
    let output = plan.manage(&["lake", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a status");
    let holders = status["held_by"].as_array().expect("holders").iter();
    holders.map(|holder| holder["partition"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn p1_a_partition_with_a_clock_20_minutes_slow_loses_nothing_while_it_delivers() {
    if !python::available() {
        return;
    }
    const SLOW: i64 = 1200;
    let log = JsonLog::new();
    let plan = plan(&log);
    let mut run = plan.start(1, 2);
    let mut second = 2000;
    for step in 0..60 {
        ping(&log, 0, second);
        ping(&log, 1, second - SLOW);
        second += 5;
        if step == 20 {
            // The others catch up on five minutes in some milliseconds.
            (0..300).for_each(|n| ping(&log, 0, second + n));
            second += 300;
        }
        if step == 40 {
            run.signal_all("KILL");
            run.wait(SOON);
            run = plan.start(2, 1);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    wait_until("all is committed", SOON, || plan.lake().read() == 420);
    assert_eq!(held_by(&plan), ["gps/1"]);
    assert_eq!(expired(&plan), 0);
    wait_until("it goes quiet and lets go", SOON, || {
        ping(&log, 0, second);
        second += 1;
        horizon(&plan) > Some(second - 30 - 720)
    });
    run.interrupt();
    plan.verify();
    print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
}

#[test]
fn p1_one_stamp_of_2076_and_a_dead_producer_move_no_horizon() {
    const FAR: i64 = 50 * 365 * 86_400;
    let log = JsonLog::new();
    let plan = plan(&log);
    let run = plan.start(1, 1);
    (0..30).for_each(|n| ping(&log, 0, n));
    wait_until("the first are committed", SOON, || plan.lake().read() == 30);
    let far = FAR as f64;
    log.append("vehicle", 0, far, &record("far", "bus", far));
    for second in 30..60 {
        ping(&log, 0, second * 10);
        std::thread::sleep(Duration::from_millis(100));
    }
    wait_until("all is committed", SOON, || plan.lake().read() == 61);
    assert_eq!((horizon(&plan), expired(&plan)), (Some(590 - 720), 0));
    assert_eq!(held_by(&plan), ["gps/0"]);
    run.interrupt();
    plan.drain(1, 2);
    plan.verify();
}

#[test]
fn p1_after_an_hour_of_silence_whoever_comes_first_holds_until_it_is_quiet() {
    let log = JsonLog::new();
    let plan = plan(&log);
    let run = plan.start(1, 1);
    for partition in 0..2 {
        (0..10).for_each(|n| ping(&log, partition, n));
    }
    wait_until("the first are committed", SOON, || plan.lake().read() == 20);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(horizon(&plan), Some(9 - 720), "nobody holds it: it stays where it is");
    ping(&log, 0, 3600);
    wait_until("one delivers: the horizon follows it", SOON, || horizon(&plan) == Some(3600 - 720));
    // The other with what it has gathered: what is behind the horizon was promised to nobody, and the rest is in time.
    (2000..3600).step_by(100).for_each(|second| ping(&log, 1, second));
    wait_until("all is committed", SOON, || plan.lake().read() == 37);
    assert_eq!(expired(&plan), 9, "those of 2000 to 2800");
    run.interrupt();
    plan.drain(2, 1);
    plan.verify();
}

#[test]
fn p1_a_partition_that_appears_is_waited_for_and_an_empty_topic_is_not() {
    let log = JsonLog::new();
    let plan = plan(&log);
    let run = plan.start(1, 1);
    for second in 0..20 {
        ping(&log, 0, 1000 + second);
    }
    wait_until("four topics are empty, and hold nothing", SOON, || horizon(&plan) == Some(1019 - 720));
    let behind: Vec<i64> = (300..1000).step_by(100).collect();
    behind.iter().for_each(|second| ping(&log, 1, *second));
    wait_until("it has appeared", SOON, || plan.lake().read() == 20 + behind.len() as u64);
    assert_eq!((expired(&plan), held_by(&plan)), (0, vec!["gps/1".to_owned()]));
    run.interrupt();
    plan.verify();
}

/// A reader that has stood still for longer than `--idle` has seen nobody be quiet.
#[test]
fn p1_a_process_that_was_frozen_takes_nobody_for_quiet() {
    let log = JsonLog::new();
    let plan = plan(&log).flag("idle", "4s");
    let mut run = plan.start(1, 1);
    ping(&log, 0, 2000);
    ping(&log, 1, 1000);
    wait_until("both are committed", SOON, || plan.lake().read() == 2);
    run.signal(0, "STOP");
    std::thread::sleep(Duration::from_secs(5));
    run.signal(0, "CONT");
    ping(&log, 0, 2100);
    wait_until("the next one is committed", SOON, || plan.lake().read() == 3);
    ping(&log, 1, 1100);
    wait_until("the slow one goes on", SOON, || plan.lake().read() == 4);
    assert_eq!(expired(&plan), 0);
    run.interrupt();
    plan.verify();
}

/// A process whose budget is spent reads nothing: who delivers all the while has not gone quiet, though others are read.
#[test]
fn p1_a_store_that_stands_still_for_longer_than_idle_makes_nobody_quiet() {
    let Some(servers) = Servers::find() else { return };
    const SLOW: i64 = 1200;
    const MANY: u64 = 10_000;
    let log = JsonLog::new();
    let plan = plan(&log).into_s3(&servers, "still").flag("memory", "1MiB");
    let proxy = Proxy::before_s3(&servers, &plan);
    let plan = plan.flag("s3-endpoint", &proxy.url());
    let run = plan.start(2, 1);
    // Ten times a second: 1, which is slow, and 3 are read by one process, 0 by the other.
    let deliver = |seconds: Range<i64>| {
        for second in seconds {
            [0, 3].iter().for_each(|partition| ping(&log, *partition, second));
            ping(&log, 1, second - SLOW);
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    deliver(2000..2020);
    wait_until("the first are committed", SOON, || plan.lake().read() == 60);
    proxy.add("timeout", "upstream", r#"{"timeout": 0}"#);
    // Late ones: nothing is derived of them, so that they count for the budget of one process only.
    for n in 0..MANY {
        log.append("gps", 3, 2020.0, &record(&format!("many-{n}"), "bus", -2000.0));
    }
    deliver(2021..2061);
    proxy.remove("timeout", "upstream");
    deliver(2061..2081);
    wait_until("all is committed", SOON, || plan.lake().read() == 3 * 80 + MANY);
    assert!(at_once(&plan, 1) >= 20, "the slow one was read while the store stood still: the budget was not spent");
    assert_eq!((expired(&plan), held_by(&plan)), (0, vec!["gps/1".to_owned()]));
    run.interrupt();
    plan.verify();
    plan.lake().contents_with(&files::ids(&plan, log.folder())).check_ids();
}

/// A clock that is stuck years ago holds the horizon no further back than `--max-hold`, once its end is reached.
#[test]
fn p1_a_clock_stuck_in_2001_holds_the_horizon_an_hour_at_most() {
    const YEARS: i64 = -25 * 365 * 86_400;
    let log = JsonLog::new();
    let plan = plan(&log);
    let run = plan.start(1, 1);
    for step in 0..40 {
        for partition in 0..2 {
            ping(&log, partition, 10_000 + step);
        }
        let stuck = YEARS as f64;
        log.append("vehicle", 0, stuck, &record(&format!("stuck-{step}"), "bus", stuck));
        std::thread::sleep(Duration::from_millis(100));
    }
    wait_until("all is committed", SOON, || plan.lake().read() == 120);
    assert_eq!(horizon(&plan), Some(10_039 - 3600 - 720));
    assert_eq!(held_by(&plan), ["vehicle/0"]);
    let said = String::from_utf8(plan.manage(&["lake", "status"]).stdout).expect("text");
    assert!(said.contains("left      vehicle/0: more than --max-hold behind"), "{said}");
    let mut second = 10_040;
    wait_until("it goes quiet and lets go", SOON, || {
        ping(&log, 0, second);
        ping(&log, 1, second);
        second += 1;
        horizon(&plan) > Some(10_030 - 720)
    });
    let gps = plan
        .lake()
        .commits()
        .iter()
        .filter_map(|c| c.ledger.get(&citystream_wire::Topic::GPS).copied())
        .map(|l| l.expired)
        .sum::<u64>();
    assert_eq!(gps, 0, "what others deliver is in time");
    run.interrupt();
    plan.verify();
}
