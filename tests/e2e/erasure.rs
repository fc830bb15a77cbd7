//! A vehicle is forgotten: no object of the lake names it, and all else is what it was; whatever dies, and whenever.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use citystream::parts::Commit;
use serde_json::{Value, json};

use crate::common::json_log::{JsonLog, merge, record};
use crate::common::{Plan, Rng, Servers, Topics, python, sized, wait_until};

const VEHICLE: &str = "bus-1";
/// Half a minute for a run to look for requests, and then some.
const A_LOOK: Duration = Duration::from_secs(90);
const DAY: u32 = 1440;

/// The records of a day, each with its topic and its second from the start: eight times some of all topics, and of the vehicle some that
/// can be read, some that cannot, and some of others that name it; at one place others are, too, at another it is alone.
fn day(day: u32, emit: &mut dyn FnMut(&str, f64, Value)) {
    let incident =
        json!({"hasIncident": true, "incidentId": format!("INC-{}", day / 2), "status": "Active", "type": "Fire"});
    let jam = json!({"currentSpeed": 10.0, "freeFlowSpeed": 50.0});
    for minute in (0..24).step_by(3).map(|hour| day * DAY + hour * 60) {
        let start = f64::from(60 * minute);
        let mut one = |topic: &str, device: &str, second: f64, members: &Value| {
            let mut value = record(&format!("{topic}/{second}/{}", device.len()), device, second);
            merge(&mut value, members.clone());
            emit(topic, second, value);
        };
        for topic in ["vehicle", "gps", "traffic", "weather", "emergency"] {
            one(topic, &format!("{topic}-0"), start, &json!({"speed": 30.0}));
        }
        one("emergency", "unit-1", start + 60.0, &incident);
        one("traffic", "loop-1", start + 60.0, &jam);
        one("gps", "bus-11", start + 65.0, &json!({"speed": 20.0}));
        let alone = json!({"speed": 30.0, "coordinates": "51.9,-0.4"});
        for (second, members) in [(90.0, json!({"speed": 30.0})), (100.0, alone), (110.0, json!({"speed": 40.0}))] {
            one("gps", VEHICLE, start + second, &members);
        }
        one(
            "traffic",
            "loop-2",
            start + 95.0,
            &json!({"currentSpeed": 10.0, "freeFlowSpeed": 50.0, "coordinates": "51.9,-0.4"}),
        );
        one("vehicle", VEHICLE, start + 91.0, &json!({"speed": 30.0, "fuelLevel": 50.0}));
        one("weather", "station-1", start + 92.0, &json!({"seenBy": [VEHICLE]}));
        emit("gps", start + 120.0, json!({"deviceId": VEHICLE}));
        emit("gps", start + 121.0, json!({"deviceId": "bus-11", "of": "omnibus-1"}));
    }
}

fn append(log: &JsonLog, days: std::ops::Range<u32>) {
    days.for_each(|n| day(n, &mut |topic, second, value| log.append(topic, 0, second, &value)));
}

/// The time at which a day begins.
fn cut(day: u32) -> String {
    let time = jiff::Timestamp::from_second(JsonLog::START + i64::from(day * DAY * 60)).expect("a time");
    time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

fn plan(log: &JsonLog) -> Plan {
    log.plan().flag("epoch", "20ms").flag("commit-interval", "50ms")
}

fn copied(plan: &Plan, name: &str) -> String {
    let copy = plan.fresh_path(name);
    assert!(Command::new("cp").arg("-r").arg(plan.lake().place()).arg(&copy).status().expect("cp").success());
    copy.display().to_string()
}

fn words<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [&["lake", "erase", "--json", "--vehicle", VEHICLE], flags].concat()
}

/// `lake erase` with these flags: what it prints, and its exit code.
fn erase(plan: &Plan, flags: &[&str]) -> (Value, i32, String) {
    answer(&plan.manage(&words(flags)))
}

fn answer(output: &Output) -> (Value, i32, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code().unwrap_or(-1), said)
}

/// The same beside the test.
fn begin(plan: &Plan, flags: &[&str]) -> Child {
    plan.command(&words(flags)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn requests(plan: &Plan) -> usize {
    std::fs::read_dir(Path::new(plan.lake().place()).join("requests")).map_or(0, Iterator::count)
}

/// All that is asked for.
fn asked(plan: &Plan) -> String {
    let folder = std::fs::read_dir(Path::new(plan.lake().place()).join("requests"));
    let paths = folder.into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    paths.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

/// Whether a file below a folder is called so.
fn has_file(folder: &Path, part: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let path = entry.path();
        if path.is_dir() { has_file(&path, part) } else { path.to_string_lossy().contains(part) }
    })
}

fn erasures(commits: &[Commit]) -> usize {
    commits.iter().flat_map(|commit| &commit.tidy).filter(|tidy| tidy.erased.is_some()).count()
}

fn compare(plan: &Plan, whole: &Plan, day: u32) {
    plan.verify();
    print!("{}", python::run("erased.py", &[plan.lake().place(), whole.lake().place(), VEHICLE, &cut(day)]));
}

fn said(plan: &Plan, words: &[&str]) -> String {
    let output = plan.manage(words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_vehicle_is_forgotten_and_its_later_records_are_rows_again() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = plan(&log);
    append(&log, 0..2);
    plan.drain(1, 2);
    append(&log, 2..4);
    plan.drain(2, 1);
    let whole = self::plan(&log).into_lake(&copied(&plan, "whole"));

    let (would, code, heard) = erase(&plan, &["--dry-run"]);
    assert!(code == 0 && would["tables"]["raw_gps"]["rows"].as_u64() > Some(0), "{code} {would} {heard}");
    let (_, code, heard) = erase(&plan, &["--timeout", "1s"]);
    assert!(code == 7 && heard.contains("--alone") && requests(&plan) == 0, "{code} {heard}");
    assert_eq!(erasures(&plan.lake().commits()), 0);

    // Alone: what a start would read waits for the next run.
    let (done, code, heard) = erase(&plan, &["--alone"]);
    assert!(code == 7 && done["pending"].as_u64() > Some(0) && requests(&plan) == 1, "{code} {done} {heard}");
    assert!(done["tables"]["traffic_5m"]["rows"].as_u64() > Some(0), "windows that count it alone: {done}");
    plan.verify();
    assert!(said(&plan, &["lake", "status"]).contains("waits, rows up to commit"));
    append(&log, 4..6);
    let run = plan.start(1, 2);
    wait_until("nothing waits any more", A_LOOK, || requests(&plan) == 0);
    let all = |plan: &Plan, days: u32| plan.lake().read() == u64::from(days) * 8 * 16;
    wait_until("all is committed", A_LOOK, || all(&plan, 6));
    run.interrupt();
    whole.drain(1, 1);
    println!("{} commits erase", erasures(&plan.lake().commits()));
    compare(&plan, &whole, 4);
    let verified = said(&plan, &["lake", "verify"]);
    assert!(verified.contains("erased: "), "{verified}");
    tells(&plan, &whole, &done);

    // Whoever goes on, goes on as if nothing were missing; nothing comes back with what lies about, nor by another lake.
    said(&plan, &["lake", "gc", "--grace", "0s"]);
    append(&log, 6..7);
    plan.drain(2, 2);
    whole.drain(1, 1);
    compare(&plan, &whole, 4);
    fills_another(&log, &plan);
}

/// What commits, and whoever asks for a record, say of it.
fn tells(plan: &Plan, whole: &Plan, done: &Value) {
    let commits = plan.lake().commits();
    let erased = || commits.iter().flat_map(|commit| &commit.tidy).filter_map(|tidy| tidy.erased.as_ref());
    assert!(erased().all(|erased| Some(erased.whose.as_str()) == done["whose"].as_str()), "{done}");
    let sql = format!("SELECT partition || '/' || \"offset\" FROM raw_gps WHERE device_id = '{VEHICLE}' LIMIT 1");
    let place = python::query(whole.lake().place(), &sql);
    let explained = said(plan, &["lake", "explain", &format!("gps/{place}")]);
    assert!(explained.contains("was erased by commit") && !explained.contains(VEHICLE), "{explained}");
    // A row that others are behind, too: it is as it was, and cannot be derived again.
    let sql = format!(
        "SELECT t.row_key FROM traffic_5m t, raw_gps p WHERE t.vehicles > 1 AND p.device_id = '{VEHICLE}' AND p.h3_8 = t.h3_8
         AND p.event_time >= t.window_start AND p.event_time < t.window_start + INTERVAL 5 MINUTES ORDER BY ALL LIMIT 1"
    );
    let key = python::query(whole.lake().place(), &sql);
    let explained = said(plan, &["lake", "explain", &format!("traffic_5m:{key}")]);
    assert!(explained.contains("erased by commit") && !explained.contains("derived once more"), "{explained}");
}

/// A lake that is filled from it has what it has, without a loss, and no more.
fn fills_another(log: &JsonLog, plan: &Plan) {
    let new = log.plan().flag("source", &format!("lake:{}", plan.lake().place()));
    new.drain(1, 2);
    new.verify();
    let count = "SELECT count(*) || ' ' || sum(hash(topic, partition, \"offset\")::HUGEINT) FROM raw_gps";
    assert_eq!(python::query(new.lake().place(), count), python::query(plan.lake().place(), count));
}

#[test]
fn runs_that_are_killed_do_not_forget_what_is_to_be_forgotten() {
    if !python::available() {
        return;
    }
    let (mut rng, log) = (Rng::from_environment(), JsonLog::new());
    let plan = plan(&log);
    append(&log, 0..4);
    plan.drain(1, 2);
    let whole = self::plan(&log).into_lake(&copied(&plan, "whole"));
    // Runs take it up as they start; each dies at another point of the way, or soon after.
    let mut asking = begin(&plan, &[]);
    let points = ["it is taken up", "files are made anew", "a commit erases", "somewhere"];
    wait_until("it is asked", A_LOOK, || requests(&plan) > 0);
    for round in 0..sized(2, 8) * points.len() {
        if requests(&plan) == 0 {
            break;
        }
        let (point, before) = (points[round % points.len()], erasures(&plan.lake().commits()));
        let claims = plan.lake().claims().len();
        let mut run = plan.start(1 + rng.below(2) as usize, 1 + rng.below(2) as usize);
        if round == points.len() {
            append(&log, 4..6);
        }
        wait_until("it claims the lake", A_LOOK, || plan.lake().claims().len() > claims);
        let id = plan.lake().claims().pop().expect("a claim");
        let is_there = || match point {
            "it is taken up" => asked(&plan).contains(&id),
            "files are made anew" => has_file(Path::new(plan.lake().place()), &format!("{id}-erased-")),
            _ => erasures(&plan.lake().commits()) > before,
        };
        // After the last point there may be nothing left to come.
        let (began, is_last) = (Instant::now(), round % points.len() + 1 == points.len());
        while !is_last && !is_there() && requests(&plan) > 0 && began.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(2));
        }
        let delay = if is_last { 4000 } else { 30 };
        thread::sleep(Duration::from_millis(rng.below(delay)));
        run.signal_all("KILL");
        run.wait(Duration::from_secs(20));
        let erased = erasures(&plan.lake().commits());
        println!("round {round}: {point}: {}; {erased} tables erased, {} requests", is_there(), requests(&plan));
        plan.verify();
    }
    let claims = plan.lake().claims().len();
    let run = plan.start(1, 1);
    wait_until("nothing waits any more", A_LOOK, || requests(&plan) == 0 && plan.lake().claims().len() > claims);
    run.interrupt();
    asking.wait().expect("it ends");
    plan.drain(2, 1);
    whole.drain(1, 2);
    compare(&plan, &whole, 4);
    // Nobody said its name.
    for entry in std::fs::read_dir(plan.dir()).expect("a folder").filter_map(Result::ok) {
        let is_log = entry.file_name().to_string_lossy().starts_with("process-");
        let text = if is_log { std::fs::read_to_string(entry.path()).expect("a log") } else { String::new() };
        assert!(!text.contains(VEHICLE), "{}", entry.path().display());
    }
}

#[test]
fn a_vehicle_is_forgotten_beside_a_run_on_kafka_and_s3() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "erasure", 1);
    // Days come within a second, one topic after the other: whoever is behind is waited for.
    let lake = || Plan::kafka_to_s3(&servers, &topics).flag("max-hold", "72h").flag("idle", "1h");
    let plan = lake().flag("epoch", "50ms").flag("commit-interval", "200ms");
    let whole = lake().flag("compact", "off");
    let produce = |days: std::ops::Range<u32>| {
        let mut feed = topics.feed();
        let mut emit = |topic: &str, second: f64, value: Value| {
            let index = ["vehicle", "gps", "traffic", "weather", "emergency"].iter().position(|name| *name == topic);
            let time = JsonLog::START * 1000 + (second * 1000.0) as i64;
            // The key of a record is its device, as producers have it.
            let key = value["deviceId"].as_str().map(str::as_bytes);
            feed.send_raw(index.expect("a topic"), 0, time, key, Some(value.to_string().as_bytes()));
        };
        days.for_each(|n| day(n, &mut emit));
        feed.finish();
    };
    produce(0..3);
    plan.drain(1, 2);
    let run = plan.start(2, 1);
    let asking = begin(&plan, &["--wait"]);
    wait_until("a commit erases", A_LOOK, || erasures(&plan.lake().commits()) > 0);
    produce(3..5);
    let (done, code, heard) = answer(&asking.wait_with_output().expect("it ends"));
    assert!(code == 0 && done["proof"]["left"] == json!([]), "{code} {done} {heard}");
    assert!(done["proof"]["objects"].as_u64() > Some(100) && done["keeps_versions"] == json!(false), "{done}");
    run.interrupt();
    plan.drain(1, 2);
    whole.drain(1, 1);
    compare(&plan, &whole, 3);
}
