//! Records in the wire format, and what is to become of each: worked out here, independently of the program.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use super::Rng;

/// The tables of the five topics, in the order of [`super::Topics::names`].
pub(crate) const TABLES: [&str; 5] = ["raw_vehicle", "raw_gps", "raw_traffic", "raw_weather", "raw_emergency"];

const LATENESS_MS: i64 = 600_000;

/// One record to produce.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// Which of the five topics.
    pub(crate) topic: usize,
    /// Which of its partitions.
    pub(crate) partition: i32,
    /// Its Kafka timestamp.
    pub(crate) time_ms: i64,
    /// Its key.
    pub(crate) key: String,
    /// Its JSON.
    pub(crate) json: String,
    id: String,
    event_ms: i64,
}

/// What kinds of records are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Partitions of each topic.
    pub(crate) partitions: u64,
    /// Share of records that are late.
    pub(crate) late: f64,
    /// Share of records that repeat one of their partition.
    pub(crate) repeated: f64,
    /// Share of records whose event time is before that of their predecessors, but in time.
    pub(crate) disordered: f64,
}

impl Shape {
    /// Some of each kind, over four partitions.
    pub(crate) fn mixed() -> Shape {
        Shape { partitions: 4, late: 0.01, repeated: 0.01, disordered: 0.05 }
    }
}

/// Makes records, and keeps account of what is to come of them.
#[derive(Debug)]
pub(crate) struct Generator {
    rng: Rng,
    shape: Shape,
    clocks: BTreeMap<(usize, i32), i64>,
    recent: BTreeMap<(usize, i32), Made>,
    on_time: HashSet<(usize, i32, String, i64)>,
    /// The id of every record made, by table, repeated ones more than once.
    pub(crate) ids: Vec<(usize, String)>,
    /// The number of records by table and disposition.
    pub(crate) expected: BTreeMap<(&'static str, &'static str), u64>,
}

impl Generator {
    /// Makes records of this shape.
    pub(crate) fn new(rng: Rng, shape: Shape) -> Generator {
        Generator {
            rng,
            shape,
            clocks: BTreeMap::new(),
            recent: BTreeMap::new(),
            on_time: HashSet::new(),
            ids: Vec::new(),
            expected: BTreeMap::new(),
        }
    }

    /// The next record that Kafka is to receive at `time_ms`; its partition's times must not go back by much.
    pub(crate) fn next(&mut self, time_ms: i64) -> Made {
        let topic = if self.rng.chance(0.6) { 1 } else { self.rng.below(5) as usize };
        let partition = self.rng.below(self.shape.partitions) as i32;
        self.next_in(topic, partition, time_ms)
    }

    /// The next record of one partition.
    pub(crate) fn next_in(&mut self, topic: usize, partition: i32, time_ms: i64) -> Made {
        let repeat = self.rng.chance(self.shape.repeated).then(|| self.recent.get(&(topic, partition)).cloned());
        let made = match repeat.flatten() {
            Some(earlier) => Made { time_ms, ..earlier },
            None => self.fresh(topic, partition, time_ms),
        };
        self.account(&made);
        made
    }

    fn fresh(&mut self, topic: usize, partition: i32, time_ms: i64) -> Made {
        let back = if self.rng.chance(self.shape.late) {
            LATENESS_MS + 1 + self.rng.below(3_600_000) as i64
        } else if self.rng.chance(self.shape.disordered) {
            self.rng.below(LATENESS_MS as u64 - 60_000) as i64
        } else {
            self.rng.below(2_000) as i64
        };
        let event_ms = time_ms - back;
        let id = self.rng.uuid();
        let device = format!("vehicle-{:05}", self.rng.below(500));
        let json = json(&mut self.rng, topic, &id, &device, event_ms);
        let made = Made { topic, partition, time_ms, key: device, json, id, event_ms };
        self.recent.insert((topic, partition), made.clone());
        made
    }

    /// Late, then duplicate, then on time, by the log alone (DESIGN: a record is late if Kafka received it more than
    /// L after the time it carries).
    fn account(&mut self, made: &Made) {
        let place = (made.topic, made.partition);
        let clock = self.clocks.entry(place).or_insert(i64::MIN);
        *clock = made.time_ms.max(*clock);
        let disposition = if made.event_ms < *clock - LATENESS_MS {
            "late"
        } else if self.on_time.insert((made.topic, made.partition, made.id.clone(), made.event_ms)) {
            "on_time"
        } else {
            "duplicate"
        };
        *self.expected.entry((TABLES[made.topic], disposition)).or_default() += 1;
        self.ids.push((made.topic, made.id.clone()));
    }

    /// The ids made so far as lines `table<TAB>id`, for [`super::Lake::check_ids`].
    pub(crate) fn id_lines(&self) -> String {
        let mut text = String::with_capacity(self.ids.len() * 50);
        for (topic, id) in &self.ids {
            let _ = writeln!(text, "{}\t{id}", TABLES[*topic]);
        }
        text
    }
}

/// ISO 8601 without a zone, as the original producer writes it.
pub(crate) fn iso(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).expect("a time").to_zoned(jiff::tz::TimeZone::UTC);
    time.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}

fn json(rng: &mut Rng, topic: usize, id: &str, device: &str, event_ms: i64) -> String {
    let time = iso(event_ms);
    let (lat, lon) = (rng.between(51.5, 52.5), rng.between(-1.9, -0.1));
    let speed = rng.between(0.0, 110.0);
    let place = format!("\"({lat:.6}, {lon:.6})\"");
    let head = format!(r#"{{"id": "{id}", "deviceId": "{device}", "timestamp": "{time}""#);
    match topic {
        0 => format!(
            r#"{head}, "location": {place}, "speed": {speed:.2}, "direction": "North", "make": "BMW", "model": "C500", "year": 2024, "fuelType": "Hybrid", "fuelLevel": 61.5, "engineStatus": "Running", "odometer": 12045.7}}"#
        ),
        1 => format!(
            r#"{head}, "speed": {speed:.2}, "direction": "North-West", "vehicleType": "private", "coordinates": "{lat:.6},{lon:.6}"}}"#
        ),
        2 => format!(
            r#"{head}, "cameraId": "UK-CAM-001", "location": {place}, "snapshot": "s", "trafficLevel": "LIGHT", "currentSpeed": {speed:.1}, "freeFlowSpeed": 96.0, "confidence": 0.93, "roadClosure": false}}"#
        ),
        3 => format!(
            r#"{head}, "location": {place}, "temperature": 7.5, "weatherCondition": "Rain", "precipitation": 0.4, "windSpeed": 5.5, "humidity": 87, "airQualityIndex": 42, "pressure": 1009.0, "visibility": 9000}}"#
        ),
        _ => format!(
            r#"{head}, "location": {place}, "hasIncident": false, "type": "None", "status": "None", "description": "No incidents reported"}}"#
        ),
    }
}
