//! `citystream launch`: the processes of a host come, go and come again.

use std::time::{Duration, Instant};

use crate::common::cluster::send;
use crate::common::json_log::JsonLog;
use crate::common::launched::Launched;

#[test]
fn a_lost_process_is_started_again_with_all_others_and_a_signal_drains_all() {
    let log = JsonLog::new();
    log.minute(0, 200);
    let plan = log.plan();
    let mut launched = Launched::start(&plan, 3, &["--log-format", "json"]);
    launched.wait_for("\"records_committed\":1000");
    let before = launched.children();
    assert_eq!(before.len(), 3);
    send(before[1], "KILL");
    let killed = Instant::now();
    launched.wait_for("was killed by signal 9: all start again now");
    log.minute(1, 100);
    launched.wait_for("\"records_committed\":500");
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    let after = launched.children();
    assert!(after.len() == 3 && after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
    send(launched.process.id(), "TERM");
    let (code, said) = launched.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(after.iter().all(|id| !std::path::Path::new(&format!("/proc/{id}")).exists()), "all have ended");
}

#[test]
fn what_no_restart_mends_ends_it_and_nobody_outlives_it() {
    let log = JsonLog::new();
    log.minute(0, 10);
    let plan = log.plan();
    let (code, said) = Launched::start(&plan, 3, &["--until-drained"]).end();
    assert_eq!(code, Some(0), "{said}");
    // Settings that the lake does not have are a mistake that no restart mends.
    let (code, said) = Launched::start(&plan, 3, &["--until-drained", "--lateness", "7m"]).end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("lateness: 10m there, 7m here") && !said.contains("all start again"), "{said}");

    let mut launched = Launched::start(&plan, 3, &["--log-format", "json"]);
    launched.wait_for("progress");
    let children = launched.children();
    launched.process.kill().expect("it runs");
    let deadline = Instant::now() + Duration::from_secs(15);
    let is_there = |id: &u32| std::path::Path::new(&format!("/proc/{id}/exe")).read_link().is_ok();
    while children.iter().any(is_there) {
        assert!(Instant::now() < deadline, "{children:?} outlive who looked after them");
        std::thread::sleep(Duration::from_millis(50));
    }
}
