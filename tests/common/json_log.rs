//! A log as JSON lines, written record by record.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Plan;

const TOPICS: [&str; 5] = ["vehicle", "gps", "traffic", "weather", "emergency"];

/// A directory of topics.
pub(crate) struct JsonLog {
    dir: TempDir,
}

impl JsonLog {
    /// The second that a log begins at.
    pub(crate) const START: i64 = 1_780_300_800;

    /// Five topics of one partition each, without records.
    pub(crate) fn new() -> JsonLog {
        let log = JsonLog::without_partitions();
        TOPICS.iter().for_each(|topic| log.lines(topic, 0, ""));
        log
    }

    /// Five topics of which none has a partition.
    pub(crate) fn without_partitions() -> JsonLog {
        let log = JsonLog { dir: TempDir::with_prefix("citystream-log-").expect("a temporary folder") };
        let folder = |topic: &&str| std::fs::create_dir(log.folder().join(format!("{topic}_data")));
        TOPICS.iter().map(folder).for_each(|made| made.expect("a folder"));
        log
    }

    /// From this log into a fresh local lake.
    pub(crate) fn plan(&self) -> Plan {
        Plan::files(self.folder())
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Appends a record with a log time in seconds from the start.
    pub(crate) fn append(&self, topic: &str, partition: u32, log_time: f64, value: &Value) {
        let ts = JsonLog::START * 1000 + (log_time * 1000.0) as i64;
        self.lines(topic, partition, &format!("{}\n", json!({"ts": ts, "key": null, "value": value})));
    }

    /// Appends a record of a device to partition 0, in time, with `members` beside id, device and place.
    pub(crate) fn with(&self, topic: &str, device: &str, second: f64, members: &Value) {
        let mut value = record(&format!("{device}-{second}"), device, second);
        merge(&mut value, members.clone());
        self.append(topic, 0, second, &value);
    }

    /// Appends a minute of all topics, so many records of each, all of other devices.
    pub(crate) fn minute(&self, minute: u32, records: u32) {
        for n in 0..records {
            let second = 60.0 * (f64::from(minute) + f64::from(n) / f64::from(records));
            for topic in TOPICS {
                self.with(topic, &format!("{topic}-{n}"), second, &json!({"speed": 30.0}));
            }
        }
    }

    /// Appends records at whole seconds that carry the same time, with what `members` adds to id, device and place.
    pub(crate) fn records(&self, topic: &str, partition: u32, seconds: &[i64], members: impl Fn(i64) -> Value) {
        for second in seconds {
            let mut value = record(&format!("{partition}-{second}"), "bus", *second as f64);
            merge(&mut value, members(*second));
            self.append(topic, partition, *second as f64, &value);
        }
    }

    /// Appends text to a partition's file, which is made with its header where it is missing.
    pub(crate) fn lines(&self, topic: &str, partition: u32, text: &str) {
        let path: PathBuf = self.folder().join(format!("{topic}_data")).join(format!("{partition}.jsonl"));
        let header = if path.exists() { "" } else { "{\"topic_id\": \"00000000000000000000000000000001\"}\n" };
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("a log");
        file.write_all(format!("{header}{text}").as_bytes()).expect("a log");
    }
}

/// A record that every topic can read, of a time in seconds from the start.
pub(crate) fn record(id: &str, device: &str, event_time: f64) -> Value {
    let millis = JsonLog::START * 1000 + (event_time * 1000.0) as i64;
    let time = jiff::Timestamp::from_millisecond(millis).expect("a time");
    let place = "51.5,-0.1";
    json!({"id": id, "deviceId": device, "timestamp": time.to_string(), "coordinates": place})
}

/// Adds members to a record, or replaces them.
pub(crate) fn merge(record: &mut Value, members: Value) {
    let Value::Object(members) = members else { return };
    members.into_iter().for_each(|(name, value)| record[name] = value);
}
