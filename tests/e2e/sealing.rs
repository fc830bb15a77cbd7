//! F1: who waits for a table learns when it is complete up to a time, and what it waits for.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::json_log::JsonLog;
use crate::common::{Plan, python, wait_until};

/// A time of the log.
fn time(second: i64) -> String {
    jiff::Timestamp::from_second(JsonLog::START + second).expect("a time").to_string()
}

/// `lake wait` for the pings before a minute of the log's first hour.
fn wait(plan: &Plan, minute: i64, more: &[&str]) -> (i32, String) {
    let time = time(60 * minute);
    let words = [&["lake", "wait", "--sealed", "enriched_pings", &time, "--timeout", "1s"], more].concat();
    let output = plan.manage(&words);
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.code().expect("a code"), String::from_utf8(said).expect("text"))
}

#[test]
fn who_waits_for_a_sealed_table_learns_when_it_is_or_what_holds_it() {
    let log = JsonLog::new();
    let plan = log.plan();
    log.records("gps", 0, &[0, 600, 1200], |_| json!({}));
    let (code, said) = wait(&plan, 5, &[]);
    assert!(code == 2 && said.contains("no lake"), "{said}");
    plan.drain(1, 1);
    // The horizon is 12 minutes behind the last record.
    let (code, said) = wait(&plan, 8, &["--json"]);
    let found: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &found["seq"], &found["version"]), (0, &json!(1), &json!(1)), "{said}");
    let (code, said) = wait(&plan, 9, &[]);
    assert!(code == 7 && said.lines().count() == 1, "{said}");
    assert!(said.contains("it is before 2026-06-01T08:08:00Z") && said.contains("gps/0 is drained"), "{said}");
    log.records("gps", 0, &[1260], |_| json!({}));
    plan.drain(1, 2);
    let (code, said) = wait(&plan, 9, &[]);
    assert!(code == 0 && said.contains("commit 3, version 3"), "{said}");
    let (code, said) = wait(&plan, 9, &["--sealed", "pings", "8"]);
    assert!(code == 2, "{said}");
    if python::available() {
        print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
    }
}

/// Who waits while a run goes on is told once a version has it.
#[test]
fn who_waits_is_told_once_a_version_has_it() {
    let log = JsonLog::new();
    let plan = log.plan().flag("epoch", "50ms").flag("commit-interval", "200ms");
    log.records("gps", 0, &[0, 60], |_| json!({}));
    let run = plan.start(1, 1);
    wait_until("a commit", Duration::from_secs(60), || plan.lake().commits().len() > 1);
    let time = time(120);
    let mut waiting = plan.command(&["lake", "wait", "--sealed", "enriched_pings", &time, "--timeout", "60s"]);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    std::thread::sleep(Duration::from_secs(1));
    log.records("gps", 0, &[300, 900], |_| json!({}));
    let output = waiting.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    run.interrupt();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("enriched_pings is sealed before 2026-06-01T08:02:00Z: commit "), "{said}");
}
