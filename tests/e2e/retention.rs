//! What is kept no longer is gone from the newest version of its table, and nothing else changes: rows, starts, checks.

use std::process::Command;
use std::time::Duration;

use citystream::parts::{Commit, Kind};
use serde_json::{Value, json};

use crate::common::json_log::JsonLog;
use crate::common::{Plan, Rng, python, sized, wait_until};

/// What is kept, in days; of `changes` and `raw` all tables are meant.
const KEEP: [(&str, i64); 3] = [("raw", 4), ("changes", 3), ("vehicle_15m", 5)];
const DAY_US: i64 = 86_400_000_000;

/// Appends records of a day, eight times some of all topics, and a status of an incident that lasts for two days.
fn day(log: &JsonLog, day: u32) {
    let incident =
        json!({"hasIncident": true, "incidentId": format!("INC-{}", day / 2), "status": "Active", "type": "Fire"});
    let jam = json!({"currentSpeed": 10.0, "freeFlowSpeed": 50.0});
    for minute in (0..24).step_by(3).map(|hour| day * 1440 + hour * 60) {
        log.minute(minute, 2);
        let second = f64::from(60 * (minute + 1));
        log.with("emergency", "unit-1", second, &incident);
        log.with("traffic", "loop-1", second, &jam);
        log.append("gps", 0, second, &json!(7));
        log.with("gps", "bus-1", second + 30.0, &json!({"speed": 30.0}));
    }
}

pub(super) fn keeping(plan: Plan) -> Plan {
    KEEP.iter().fold(plan, |plan, (tables, days)| plan.keep(&format!("{tables}={days}d")))
}

/// The tables that a rule means.
fn meant(rule: &str) -> Vec<&'static str> {
    const RAW: [&str; 6] = ["raw_vehicle", "raw_gps", "raw_traffic", "raw_weather", "raw_emergency", "dead_letters"];
    const DERIVED: [&str; 8] = [
        "enriched_pings_changes",
        "traffic_5m_changes",
        "vehicle_15m_changes",
        "environment_15m_changes",
        "incidents_changes",
        "data_quality_15m_changes",
        "congestion_1h_changes",
        "incident_exposures_changes",
    ];
    match rule {
        "raw" => RAW.to_vec(),
        "changes" => DERIVED.to_vec(),
        _ => vec!["vehicle_15m"],
    }
}

/// `TABLE=DATE`: from when on tables are kept, counted from a horizon.
pub(super) fn cutoffs(horizon: i64) -> Vec<String> {
    let cutoff = |days: i64| jiff::Timestamp::from_microsecond(horizon - days * DAY_US).expect("a time");
    let of_rule = |(rule, days): &(&str, i64)| {
        let date = cutoff(*days).strftime("%Y-%m-%d").to_string();
        meant(rule).into_iter().map(move |table| format!("{table}={date}"))
    };
    KEEP.iter().flat_map(of_rule).collect()
}

/// The horizon by which the last commit of data went: that of the one before.
pub(super) fn horizon(commits: &[Commit]) -> i64 {
    let last = commits.iter().rposition(|commit| commit.kind == Kind::Data).expect("a commit of data");
    commits[last - 1].horizon.expect("a horizon")
}

fn drops(commits: &[Commit]) -> usize {
    commits.iter().flat_map(|commit| &commit.tidy).filter(|tidy| tidy.expired.is_some()).count()
}

/// A lake holds what one holds that keeps all, from its cutoffs on; and its versions before.
fn check(kept: &Plan, whole: &Plan, cutoffs: &[String]) {
    kept.verify();
    compare(kept, whole, &[], cutoffs);
}

pub(super) fn compare(kept: &Plan, whole: &Plan, flags: &[&str], cutoffs: &[String]) {
    let cutoffs: Vec<&str> = cutoffs.iter().map(String::as_str).collect();
    let lakes = [kept.lake(), whole.lake()];
    let views = [kept, whole].map(|plan| {
        let path = plan.fresh_path("views");
        std::fs::write(&path, said(plan, &["lake", "sql"])).expect("a file");
        path.display().to_string()
    });
    let words = [flags, &[lakes[0].place(), &views[0], lakes[1].place(), &views[1]], cutoffs.as_slice()].concat();
    print!("{}", python::run("retained.py", &words));
}

fn said(plan: &Plan, words: &[&str]) -> String {
    let output = plan.manage(words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn what_is_kept_is_what_a_lake_holds_that_drops_nothing() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let kept = keeping(log.plan()).flag("epoch", "20ms").flag("commit-interval", "50ms");
    let mut days = 0;
    for (more, (processes, workers)) in [(3, (1, 2)), (3, (1, 1)), (4, (2, 1)), (4, (1, 2))] {
        (days..days + more).for_each(|n| day(&log, n));
        days += more;
        kept.drain(processes, workers);
    }
    let whole = log.plan();
    whole.drain(1, 1);
    assert_eq!(drops(&whole.lake().commits()), 0);
    // The last day's commit may have dropped by a horizon of the day before: one more moves on.
    day(&log, days);
    kept.drain(1, 1);
    whole.drain(1, 1);
    log.minute((days + 1) * 1440, 1);
    kept.drain(1, 1);
    whole.drain(1, 1);
    let commits = kept.lake().commits();
    println!("{} commits drop {} times", commits.len(), drops(&commits));
    check(&kept, &whole, &cutoffs(horizon(&commits)));

    let verified = said(&kept, &["lake", "verify"]);
    assert!(verified.contains("beyond retention: "), "{verified}");
    assert!(said(&kept, &["lake", "status"]).contains("gone, through 2026-06-"));
    let tailed = said(&kept, &["lake", "tail", "raw_gps", "--rows", "10000", "--columns", "log_time"]);
    assert!(tailed.lines().count() > 50 && !tailed.contains("2026-06-03"), "{tailed}");
    explains(&kept, &whole);

    // Without the files, too; and whoever goes on, goes on as if nothing were missing.
    said(&kept, &["lake", "gc", "--grace", "0s"]);
    day(&log, days + 2);
    kept.drain(2, 2);
    whole.drain(1, 1);
    kept.verify();
    compare(&kept, &whole, &["--now"], &cutoffs(horizon(&kept.lake().commits())));
    is_no_source(&log, &kept);
}

/// A row whose records are gone is explained as far as it can be; one whose records are there, wholly.
fn explains(kept: &Plan, whole: &Plan) {
    let key = |order: &str| {
        let sql = format!("SELECT row_key FROM enriched_pings ORDER BY event_time {order} LIMIT 1");
        format!("enriched_pings:{}", python::query(whole.lake().place(), &sql))
    };
    let old = said(kept, &["lake", "explain", &key("ASC")]);
    assert!(old.contains("gone: rows of raw_gps of 2026-06-") && old.contains("since commit"), "{old}");
    assert!(old.contains("gone: rows of enriched_pings_changes of 2026-06-01, kept no longer"), "{old}");
    assert!(!old.contains("derived once more"), "{old}");
    let record = key("ASC").replace("enriched_pings:", "gps/");
    let record = said(kept, &["lake", "explain", &record]);
    assert!(record.contains("kept no longer") && record.contains("gone: rows of raw_gps"), "{record}");
    let recent = said(kept, &["lake", "explain", &key("DESC")]);
    assert!(recent.contains("the same row") && !recent.contains("gone:"), "{recent}");
}

/// No other lake is filled from it without a word.
fn is_no_source(log: &JsonLog, kept: &Plan) {
    let plan = log.plan().flag("source", &format!("lake:{}", kept.lake().place()));
    let (code, said) = plan.end_of_run(&["--until-drained"]);
    let line = said.lines().find(|line| line.contains("kept no longer")).unwrap_or_default();
    assert!(code == 6 && line.contains("since its commit") && line.contains("--accept-loss"), "{code} {said}");
    plan.flag("accept-loss", "true").drain(1, 1);
}

#[test]
fn runs_that_are_killed_keep_what_they_are_to_keep() {
    if !python::available() {
        return;
    }
    let (mut rng, log) = (Rng::from_environment(), JsonLog::new());
    let kept = keeping(log.plan()).flag("epoch", "20ms").flag("commit-interval", "50ms");
    for round in 0..sized(8, 30) {
        day(&log, 2 * round);
        let mut run = kept.start(1 + rng.below(2) as usize, 1 + rng.below(2) as usize);
        std::thread::sleep(Duration::from_millis(400 + rng.below(1500)));
        day(&log, 2 * round + 1);
        std::thread::sleep(Duration::from_millis(rng.below(1500)));
        run.signal_all("KILL");
        run.wait(Duration::from_secs(20));
        kept.verify();
    }
    kept.drain(1, 2);
    log.minute(2 * sized(8, 30) * 1440, 1);
    kept.drain(2, 1);
    log.minute(2 * sized(8, 30) * 1440 + 60, 1);
    kept.drain(1, 1);
    let whole = log.plan();
    whole.drain(1, 2);
    let commits = kept.lake().commits();
    println!("{} commits drop {} times", commits.len(), drops(&commits));
    assert!(drops(&commits) > 10);
    check(&kept, &whole, &cutoffs(horizon(&commits)));
}

/// `lake retain` with these flags: what it prints, and its exit code.
fn retain(plan: &Plan, flags: &[&str]) -> (Value, i32, String) {
    let rules: Vec<String> = KEEP.iter().map(|(tables, days)| format!("--keep={tables}={days}d")).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let output = plan.manage(&[&["lake", "retain", "--json"], rules.as_slice(), flags].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code().expect("a code"), said)
}

#[test]
fn who_asks_for_retention_is_served_by_the_run_or_serves_himself() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    (0..12).for_each(|n| day(&log, n));
    let whole = log.plan().flag("epoch", "50ms").flag("commit-interval", "100ms");
    whole.drain(1, 2);
    let copy = whole.fresh_path("idle");
    assert!(Command::new("cp").arg("-r").arg(whole.lake().place()).arg(&copy).status().expect("cp").success());
    let idle = log.plan().into_lake(&copy.display().to_string());
    let horizon = idle.lake().commits().last().and_then(|commit| commit.horizon).expect("a horizon");

    let (would, code, _) = retain(&idle, &["--dry-run"]);
    assert!(code == 0 && would["tables"]["raw_gps"]["rows"].as_u64() > Some(0), "{would}");
    assert_eq!(drops(&idle.lake().commits()), 0);
    let (_, code, said) = retain(&idle, &["--as-of", "2999-01-01T00:00:00Z"]);
    assert!(code == 2 && said.contains("still to come"), "{code} {said}");
    let (_, code, said) = retain(&idle, &["--timeout", "1s"]);
    assert!(code == 7 && said.contains("--alone"), "{code} {said}");
    let (dropped, code, said) = retain(&idle, &["--alone"]);
    assert_eq!((code, &dropped["tables"]), (0, &would["tables"]), "{said}");
    check(&idle, &whole, &cutoffs(horizon));
    let (nothing, code, _) = retain(&idle, &["--alone"]);
    assert_eq!((code, &nothing["tables"]), (0, &json!({})));

    // Beside a run it is the run that drops; later ages reach later dates, but for what a start would read.
    let run = idle.start(1, 1);
    let (asked, code, said) = retain(&idle, &["--wait", "--as-of", "2026-07-01T00:00:00Z"]);
    assert!(code == 0 && asked["tables"]["raw_gps"]["rows"].as_u64() > Some(0), "{code} {asked} {said}");
    let named = idle.lake().commits().into_iter().flat_map(|commit| commit.tidy).filter_map(|tidy| tidy.request);
    assert!(named.map(Value::from).any(|id| id == asked["request"]), "{asked}");
    run.interrupt();
    idle.verify();
    (12..14).for_each(|n| day(&log, n));
    idle.drain(2, 1);
    whole.drain(1, 1);
    idle.verify();
    let now = "SELECT count(*) || ' ' || sum(hash(row_key, pings, vehicles)::HUGEINT) FROM traffic_5m";
    assert_eq!(python::query(idle.lake().place(), now), python::query(whole.lake().place(), now));
    wait_until("no request is left", Duration::from_secs(1), || {
        std::fs::read_dir(copy.join("requests")).map_or(0, Iterator::count) == 0
    });
}
