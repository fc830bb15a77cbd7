//! Records in the wire format for benchmarks: 2,000 vehicles around England, all topics in equal shares.

use std::fmt::{self, Write as _};

use citystream_dataflows::time::bindings::Topic;

/// 2026-11-23T10:15:30Z in microseconds.
pub(crate) const START: i64 = 1_795_428_930_000_000;

/// A small generator of numbers (splitmix64): the same records every time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.below(1 << 40) as f64 / (1_u64 << 40) as f64)
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// One record: its topic, its id (the key) and its payload. Event time advances 100 us a record, within 2 s.
pub(crate) fn record(random: &mut Random, number: u64) -> (Topic, String, String) {
    let (topic, members) = TOPICS[number as usize % TOPICS.len()];
    let (a, b) = (random.next(), random.next());
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    );
    let micros = START + number as i64 * 100 - random.below(2_000_000) as i64;
    let time = jiff::Timestamp::from_microsecond(micros).map_or(String::new(), |t| t.to_string().replace('Z', ""));
    let (lat, lon) = (random.between(51.4, 52.6), random.between(-1.9, -0.1));
    let device = random.below(2000);
    let mut text = format!(r#"{{"id": "{id}", "deviceId": "vehicle-{device:05}", "timestamp": "{time}", "#);
    if topic == Topic::GPS {
        let _ = write!(text, r#""coordinates": "{lat:.6},{lon:.6}", "#);
    } else {
        let _ = write!(text, r#""location": "({lat:.6}, {lon:.6})", "#);
    }
    let wind = random.pick(&["North", "North-East", "East", "South-East", "South", "South-West", "West", "North-West"]);
    let moving = Moving { speed: random.between(5.0, 70.0), wind };
    let _ = members(random, &moving, device, &mut text);
    (topic, id, text)
}

/// How a vehicle moves.
struct Moving {
    speed: f64,
    wind: &'static str,
}

/// Appends what a topic's records have beside their head, and closes the object.
type Members = fn(&mut Random, &Moving, u64, &mut String) -> fmt::Result;

/// The topics, in the order in which their records come.
const TOPICS: &[(Topic, Members)] = &[
    (Topic::VEHICLE, vehicle),
    (Topic::GPS, gps),
    (Topic::TRAFFIC, traffic),
    (Topic::WEATHER, weather),
    (Topic::EMERGENCY, emergency),
];

fn vehicle(random: &mut Random, moving: &Moving, device: u64, text: &mut String) -> fmt::Result {
    let Moving { speed, wind } = moving;
    write!(
        text,
        r#""speed": {speed:.2}, "direction": "{wind}", "make": "{}", "model": "Model {}", "year": {}, "fuelType": "{}", "fuelLevel": {:.1}, "engineStatus": "Running", "odometer": {:.1}}}"#,
        random.pick(&["BMW", "Ford", "Tesla", "Vauxhall", "Toyota"]),
        device % 40,
        2010 + device % 15,
        random.pick(&["Petrol", "Diesel", "Hybrid", "Electric"]),
        random.between(0.0, 100.0),
        random.between(0.0, 200_000.0),
    )
}

fn gps(_: &mut Random, moving: &Moving, _: u64, text: &mut String) -> fmt::Result {
    let Moving { speed, wind } = moving;
    write!(text, r#""speed": {speed:.2}, "direction": "{wind}", "vehicleType": "private"}}"#)
}

fn traffic(random: &mut Random, moving: &Moving, device: u64, text: &mut String) -> fmt::Result {
    let speed = moving.speed;
    write!(
        text,
        r#""cameraId": "UK-CAM-{:03}", "snapshot": "camera_UK-CAM-{:03}_{}", "trafficLevel": "{}", "currentSpeed": {speed:.1}, "freeFlowSpeed": 96.0, "confidence": {:.2}, "roadClosure": false, "source": "{}"}}"#,
        device % 500,
        device % 500,
        random.below(1_000_000_000),
        random.pick(&["LIGHT", "MODERATE", "HEAVY"]),
        random.between(0.5, 1.0),
        random.pick(&["live", "cached", "synthetic"]),
    )
}

fn weather(random: &mut Random, _: &Moving, _: u64, text: &mut String) -> fmt::Result {
    write!(
        text,
        r#""temperature": {:.2}, "weatherCondition": "{}", "precipitation": {:.2}, "windSpeed": {:.2}, "humidity": {}, "airQualityIndex": {}, "pressure": {}, "visibility": {}}}"#,
        random.between(-5.0, 25.0),
        random.pick(&["Clear", "Clouds", "Rain", "Snow", "Mist"]),
        random.between(0.0, 5.0),
        random.between(0.0, 20.0),
        random.below(101),
        1 + random.below(5),
        980 + random.below(50),
        1000 + random.below(9000),
    )
}

fn emergency(random: &mut Random, _: &Moving, _: u64, text: &mut String) -> fmt::Result {
    if random.below(20) == 0 {
        write!(
            text,
            r#""hasIncident": true, "incidentId": "incident-{}", "type": "{}", "status": "{}", "description": "Reported by a passer-by", "nearbyServices": {}, "serviceTypes": ["police", "hospital"], "severity": "{}", "responseTime": {:.1}}}"#,
            random.below(1_000_000),
            random.pick(&["Accident", "Medical", "Fire", "Police"]),
            random.pick(&["Active", "Responding", "Resolved"]),
            random.below(9),
            random.pick(&["Low", "Medium", "High"]),
            random.between(1.0, 30.0),
        )
    } else {
        write!(
            text,
            r#""hasIncident": false, "type": "None", "status": "None", "description": "No incidents reported"}}"#
        )
    }
}
