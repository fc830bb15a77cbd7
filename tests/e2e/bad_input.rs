//! Records that cannot be read become dead letters with a reason, at their offset, byte for byte; the run goes on.

use serde::Deserialize;

use crate::common::json_log::JsonLog;
use crate::common::{Generator, Plan, Rng, Servers, Shape, Topics, python};

const START: i64 = 1_790_000_000_000;
const MAX_RECORD: usize = 4096;

#[derive(Debug, Deserialize)]
struct DeadLetter {
    topic: String,
    partition: i32,
    offset: i64,
    reason: String,
    payload: Option<String>,
}

fn gps(fields: &str) -> Vec<u8> {
    format!(r#"{{"speed": 57.31, "direction": "North", "vehicleType": "private", {fields}}}"#).into_bytes()
}

/// What it is and its payload; none of them can be read.
fn bad() -> Vec<(&'static str, Option<Vec<u8>>)> {
    let (id, device) = (r#""id": "0b6f1a52-8c1e-4f0a-9f2b-5a1f0c9d7e11""#, r#""deviceId": "vehicle-00042""#);
    let (time, place) = (r#""timestamp": "2026-09-21T14:13:20.5""#, r#""coordinates": "52.012345,-0.987654""#);
    let all = |replaced: &str| gps(&format!("{id}, {device}, {time}, {place}, {replaced}"));
    vec![
        ("not JSON", Some(b"vehicle 42 says hello".to_vec())),
        ("cut short", Some(br#"{"id": "0b6f"#.to_vec())),
        ("no object", Some(b"[1, 2, 3]".to_vec())),
        ("empty", Some(Vec::new())),
        ("null payload", None),
        ("no id", Some(gps(&format!("{device}, {time}, {place}")))),
        ("no device", Some(gps(&format!("{id}, {time}, {place}")))),
        ("no time", Some(gps(&format!("{id}, {device}, {place}")))),
        ("no place", Some(gps(&format!("{id}, {device}, {time}")))),
        ("an id that is a number", Some(gps(&format!(r#""id": 17, {device}, {time}, {place}"#)))),
        ("a time that is none", Some(gps(&format!(r#"{id}, {device}, "timestamp": "yesterday", {place}"#)))),
        ("a place that is none", Some(gps(&format!(r#"{id}, {device}, {time}, "coordinates": "here""#)))),
        ("a place off the globe", Some(gps(&format!(r#"{id}, {device}, {time}, "coordinates": "95.0,-0.98""#)))),
        ("far ahead", Some(gps(&format!(r#"{id}, {device}, "timestamp": "2031-01-01T00:00:00", {place}"#)))),
        ("invalid UTF-8", Some([&gps(&format!("{id}, {device}, {time}, {place}"))[..20], b"\xff\xfe\"}"].concat())),
        (
            "Confluent wire format",
            Some([&[0, 0, 0, 0, 7][..], &gps(&format!("{id}, {device}, {time}, {place}"))].concat()),
        ),
        ("too long", Some(all(&format!(r#""note": "{}""#, "x".repeat(MAX_RECORD))))),
        (
            "a speed that is text",
            Some(String::from_utf8_lossy(&all("\"a\": 1")).replace("57.31", "\"fast\"").into_bytes()),
        ),
    ]
}

#[test]
fn what_cannot_be_read_becomes_a_dead_letter_with_its_reason() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "bad", 1);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("max-record", &MAX_RECORD.to_string());
    let shape = Shape { partitions: 1, late: 0.0, repeated: 0.0, disordered: 0.0 };
    let mut made = Generator::new(Rng::from_environment(), shape);
    let mut feed = topics.feed();
    for (n, (_, payload)) in (0..).zip(bad()) {
        feed.send(&made.next_in(1, 0, START + n * 10));
        feed.send_raw(1, 0, START + n * 10 + 5, Some(b"key"), payload.as_deref());
    }
    (0..1_000).for_each(|n| feed.send(&made.next(START + 1_000 + n)));
    feed.finish();

    plan.drain(1, 2);
    plan.verify();
    plan.lake().check(&plan, &made);
    let letters = python::run("dead_letters.py", &[plan.lake().place()]);
    let letters: Vec<DeadLetter> = serde_json::from_str(&letters).expect("dead letters");
    assert_eq!(letters.len(), bad().len(), "{letters:?}");
    for (n, ((what, payload), letter)) in (0..).zip(bad().into_iter().zip(&letters)) {
        println!("{what}: {}", letter.reason);
        assert!(letter.topic.ends_with("gps"), "{letter:?}");
        assert_eq!((letter.partition, letter.offset), (0, 2 * n + 1), "{what}");
        assert!(!letter.reason.is_empty(), "{what}");
        let bytes = payload.map(|bytes| hex(&bytes[..bytes.len().min(MAX_RECORD)]));
        assert_eq!(letter.payload, bytes, "{what}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a topic is called on the broker stands in no row: twice renamed, its dead letters still count in the windows that are open.
#[test]
fn a_renamed_topic_goes_on_with_dead_letters_in_reach() {
    let log = JsonLog::new();
    log.records("gps", 0, &[0, 60, 120], |_| serde_json::json!({}));
    (0..3).for_each(|n| log.append("gps", 0, 130.0 + f64::from(n), &"no record".into()));
    let mut plan = log.plan();
    plan.drain(1, 1);
    for (before, after) in [("gps_data", "gps_two"), ("gps_two", "gps_three")] {
        std::fs::rename(log.folder().join(before), log.folder().join(after)).expect("a folder");
        plan = plan.flag("gps-topic", after);
        plan.drain(1, 2);
    }
    let (code, said) = plan.end_of_run(&["--until-drained", "--final"]);
    assert_eq!(code, 0, "{said}");
    plan.verify();
    let start = JsonLog::START * 1_000_000;
    let explained = plan.manage(&["lake", "explain", "--json", &format!("data_quality_15m:gps/{start}")]);
    let explained: serde_json::Value = serde_json::from_slice(&explained.stdout).expect("JSON");
    assert_eq!(explained["row"]["dead_letters"], 3, "{explained}");
    assert_eq!(explained["rederived"], true, "{explained}");
}
