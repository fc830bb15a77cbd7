//! The rows: a GPS record as it was decoded, and the ping that the joins need of it.

use columnar::Columnar;
use serde::{Deserialize, Serialize};

/// A row that can be made up, and summed up so that reading it cannot be optimised away.
pub trait Sample: Clone {
    /// The row of that number.
    fn sample(number: u64) -> Self;
    /// A sum over all fields.
    fn digest(&self) -> u64;
}

/// A GPS record with its place in the log.
#[derive(Clone, Debug, Serialize, Deserialize, Columnar)]
pub struct GpsRow {
    pub id: String,
    pub device_id: String,
    pub vehicle_type: String,
    pub event_time: i64,
    pub log_time: i64,
    pub offset: i64,
    pub partition: i32,
    pub lat: f64,
    pub lon: f64,
    pub speed_kmh: f64,
    pub bearing_deg: Option<f64>,
}

/// A ping on its way to the worker of its cell.
#[derive(Clone, Debug, Serialize, Deserialize, Columnar)]
pub struct Ping {
    pub cell: u64,
    pub vehicle: u64,
    pub event_time: i64,
    pub offset: i64,
    pub partition: i32,
    pub lat: f64,
    pub lon: f64,
    pub speed_kmh: f64,
}

fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

impl Sample for GpsRow {
    fn sample(number: u64) -> GpsRow {
        let (a, b) = (mixed(number), mixed(number + (1 << 40)));
        GpsRow {
            id: format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                a >> 32,
                a >> 16 & 0xffff,
                a & 0xfff,
                b >> 52,
                b << 16 >> 16
            ),
            device_id: format!("vehicle-{:05}", a % 2000),
            vehicle_type: "private".into(),
            event_time: 1_795_428_930_000_000 + number as i64 * 100,
            log_time: 1_795_428_930_500_000 + number as i64 * 100,
            offset: number as i64,
            partition: (number % 4) as i32,
            lat: 51.4 + (a % 1_000_000) as f64 / 1e6,
            lon: -1.9 + (b % 1_000_000) as f64 / 1e6,
            speed_kmh: (b % 7000) as f64 / 100.0,
            bearing_deg: (a % 10 != 0).then_some(45.0 * (b % 8) as f64),
        }
    }

    fn digest(&self) -> u64 {
        let texts = [self.id.as_bytes(), self.device_id.as_bytes(), self.vehicle_type.as_bytes()];
        texts.iter().map(|text| text_digest(text)).sum::<u64>()
            + (self.event_time + self.log_time + self.offset) as u64
            + self.partition as u64
            + numbers_digest(&[self.lat, self.lon, self.speed_kmh, self.bearing_deg.unwrap_or(-1.0)])
    }
}

impl Sample for Ping {
    fn sample(number: u64) -> Ping {
        let (a, b) = (mixed(number), mixed(number + (1 << 40)));
        Ping {
            cell: 0x0881_94ad_0000_0000 | (a % 5000) << 12,
            vehicle: a % 2000,
            event_time: 1_795_428_930_000_000 + number as i64 * 100,
            offset: number as i64,
            partition: (number % 4) as i32,
            lat: 51.4 + (a % 1_000_000) as f64 / 1e6,
            lon: -1.9 + (b % 1_000_000) as f64 / 1e6,
            speed_kmh: (b % 7000) as f64 / 100.0,
        }
    }

    fn digest(&self) -> u64 {
        (self.cell + self.vehicle)
            .wrapping_add((self.event_time + self.offset) as u64)
            .wrapping_add(self.partition as u64 + numbers_digest(&[self.lat, self.lon, self.speed_kmh]))
    }
}

/// Length and both ends: touches a text without costing more than the encodings do.
pub fn text_digest(text: &[u8]) -> u64 {
    let end = |byte: Option<&u8>| byte.copied().map_or(0, u64::from);
    text.len() as u64 + end(text.first()) + end(text.last())
}

/// The sum of the upper halves.
pub fn numbers_digest(numbers: &[f64]) -> u64 {
    numbers.iter().map(|number| number.to_bits() >> 32).sum()
}
