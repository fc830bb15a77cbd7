//! P5 as people meet it: `lake explain`, `lake tail` and `lake dead-letters` take what one has, and what they propose can be
//! pasted into a shell.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::Plan;
use crate::common::json_log::JsonLog;

/// What a command printed, on either output, and its exit code.
fn answer(plan: &Plan, words: &[&str]) -> (String, Option<i32>) {
    let output = plan.manage(words);
    (String::from_utf8([output.stdout, output.stderr].concat()).expect("text"), output.status.code())
}

fn explained(plan: &Plan, target: &[&str]) -> String {
    let (text, code) = answer(plan, &[&["lake", "explain"], target].concat());
    assert_eq!(code, Some(0), "{target:?}: {text}");
    text
}

/// What a command that was proposed prints.
fn pasted(plan: &Plan, command: &str) -> String {
    let script = format!("citystream() {{ '{}' \"$@\"; }}; {command}", env!("CARGO_BIN_EXE_citystream"));
    let output = Command::new("bash").args(["-c", &script]).current_dir(plan.dir()).output().expect("bash");
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Three pings of a bus, an incident beside it, and what is no record; in a lake whose path a shell would read.
fn city(log: &JsonLog) -> Plan {
    for second in [0.0, 60.0, 120.0] {
        log.with("gps", "bus-7", second, &json!({"speed": 30.0}));
    }
    let status = json!({"hasIncident": true, "incidentId": "INC-7", "status": "Active", "type": "Fire"});
    log.with("emergency", "unit-1", 10.0, &status);
    log.append("gps", 0, 130.0, &"no record".into());
    let plan = log.plan();
    let lake = plan.dir().join("it's;here/lake").display().to_string();
    plan.into_lake(&lake)
}

#[test]
fn p5_explain_takes_what_people_have() {
    let log = JsonLog::new();
    let plan = city(&log);
    plan.drain(1, 1);
    let incident = explained(&plan, &["INC-7"]);
    assert!(incident.starts_with("incidents:INC-7/0/") && incident.contains("the same row"), "{incident}");
    let ping = explained(&plan, &["bus-7", "2026-06-01T08:01:10Z"]);
    assert!(ping.starts_with("enriched_pings:0/") && ping.contains("nearest to that time: 10 s away"), "{ping}");
    assert_eq!(explained(&plan, &["raw_gps:0/49"]), explained(&plan, &["gps/0/49"]));
    let window = explained(&plan, &["vehicle_15m:bus-7/2026-06-01T08:00:00Z"]);
    assert!(window.starts_with("vehicle_15m:bus-7/17803008") && window.contains("the same row"), "{window}");

    let letters = plan.manage(&["lake", "dead-letters", "--json"]);
    let letters: Value = serde_json::from_slice(&letters.stdout).expect("JSON");
    assert_eq!((&letters[0]["reason"], &letters[0]["count"]), (&json!("wrong_type"), &json!(1)), "{letters}");
    let letter = explained(&plan, &[letters[0]["examples"][0]["at"].as_str().expect("a place")]);
    assert!(
        letter.contains("a dead letter: the record is no JSON object") && letter.contains("\"no record\""),
        "{letter}"
    );
    let (by_reason, _) = answer(&plan, &["lake", "dead-letters"]);
    assert!(by_reason.starts_with("wrong_type 1: a record that is no JSON object"), "{by_reason}");

    let proposed = [ping, explained(&plan, &["gps/0/49"]), by_reason];
    let proposed: Vec<&str> =
        proposed.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("see also: ")).collect();
    assert!(proposed.len() > 4, "{proposed:?}");
    for command in proposed {
        pasted(&plan, command);
    }
}

#[test]
fn p5_what_is_not_there_is_answered_with_the_form_and_the_nearest() {
    let log = JsonLog::new();
    let plan = city(&log);
    plan.drain(1, 1);
    for (target, form, nearest) in [
        ("INC-8", "the id of an incident", "incidents:INC-7/"),
        ("trafic_5m:1/2", "table:row_key", ""),
        ("enriched_pings:0/50", "<partition>/<offset>", "enriched_pings:0/49"),
        ("vehicle_15m:bus-8/2026-06-01T08:00:00Z", "<vehicle_id>/<window_start>", "vehicle_15m:bus-7/"),
    ] {
        let (said, code) = answer(&plan, &["lake", "explain", target]);
        assert!(code == Some(2) && said.contains(form), "{target}: {said}");
        let (_, command) = said.split_once("the nearest: ").unwrap_or_else(|| panic!("{target}: {said}"));
        let command = command.lines().next().expect("a line").split(". To be").next().expect("a command");
        if nearest.is_empty() {
            assert!(command.ends_with("traffic_5m:1/2"), "{command}");
        } else {
            assert!(pasted(&plan, command).starts_with(nearest), "{command}");
        }
    }
    let (said, code) = answer(&plan, &["lake", "explain", "gps/0/50"]);
    assert!(code == Some(2) && said.contains("no record gps/0/50"), "{said}");
}

#[test]
fn tail_shows_the_newest_rows_and_those_to_come() {
    let log = JsonLog::new();
    let plan = city(&log);
    plan.drain(1, 1);
    let (rows, _) = answer(&plan, &["lake", "tail", "raw_gps", "--rows", "2", "--json"]);
    let times: Vec<Value> =
        rows.lines().map(|row| serde_json::from_str::<Value>(row).expect("JSON")["event_time"].clone()).collect();
    assert_eq!(times, ["2026-06-01T08:01:00Z", "2026-06-01T08:02:00Z"]);
    let (text, _) = answer(&plan, &["lake", "tail", "vehicle_15m_now", "--columns", "vehicle_id,pings"]);
    assert_eq!(text, "vehicle_id  pings\nbus-7       3\n");
    let (commits, _) = answer(&plan, &["lake", "tail", "commits"]);
    assert_eq!(commits.lines().count(), plan.lake().commits().len() + 1, "{commits}");
    let (unknown, code) = answer(&plan, &["lake", "tail", "raw_gps", "--columns", "sped_kmh"]);
    assert!(code == Some(2) && unknown.contains("speed_kmh, "), "{unknown}");
    let (unknown, code) = answer(&plan, &["lake", "tail", "raw_gpss"]);
    assert!(code == Some(2) && unknown.contains("raw_gps, "), "{unknown}");

    let mut tail = plan.command(&["lake", "tail", "-f", "raw_gps", "--rows", "1", "--json"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(tail.stdout.take().expect("its output")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().contains("2026-06-01T08:02:00Z"));
    log.with("gps", "bus-7", 140.0, &json!({"speed": 30.0}));
    plan.drain(1, 1);
    assert!(next().contains("2026-06-01T08:02:20Z"));
    tail.kill().and_then(|()| tail.wait()).expect("it ends");
}
