//! What the derived tables are made of: on-time records as plain numbers. Texts are [`TextId`]s, so that every type here
//! is a flat value that moves between workers by copying.

pub mod changes;
pub mod hash;
pub mod measures;
pub mod reason;

pub use citystream_wire::{IncidentKind, Level, Phase, Severity, Source};
use serde::{Deserialize, Serialize};

use citystream_wire::Micros;
use citystream_wire::Topic;

/// The id of a text: a 128-bit hash of it under a key that each run draws anew, so nothing that is written may depend on
/// an id's value or order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TextId(pub u128);

impl TextId {
    /// No text.
    pub const NONE: TextId = TextId(0);

    /// Spreads ids over workers.
    pub fn spread(self) -> u64 {
        hash::spread(self.0 as u64)
    }
}

/// When a record happened and where it stands in its topic: the order in which ties go to the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Its event time.
    pub time: Micros,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// A place on the globe, WGS-84, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Latitude.
    pub lat: f64,
    /// Longitude.
    pub lon: f64,
}

/// A measured value that may be missing. Compared by its bits, so that equal rows are equal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reading(f64);

impl Reading {
    /// No value.
    pub const NONE: Reading = Reading(f64::NAN);

    /// A value; not finite is none.
    pub fn new(value: f64) -> Reading {
        if value.is_finite() { Reading(value) } else { Reading::NONE }
    }

    /// The value, if there is one.
    pub fn get(self) -> Option<f64> {
        (!self.0.is_nan()).then_some(self.0)
    }
}

impl From<Reading> for Option<f64> {
    fn from(value: Reading) -> Option<f64> {
        value.get()
    }
}

impl From<Option<f64>> for Reading {
    fn from(value: Option<f64>) -> Reading {
        value.map_or(Reading::NONE, Reading::new)
    }
}

impl Default for Reading {
    fn default() -> Reading {
        Reading::NONE
    }
}

impl PartialEq for Reading {
    fn eq(&self, other: &Reading) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Reading {}

/// A GPS ping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ping {
    /// When and where in the log.
    pub stamp: Stamp,
    /// The device.
    pub vehicle: TextId,
    /// Where.
    pub at: Point,
    /// Speed in km/h.
    pub speed: Reading,
    /// The H3 cell at resolution 8.
    pub c8: u64,
    /// The H3 cell at resolution 5.
    pub c5: u64,
}

/// A traffic record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// When and where in the log.
    pub stamp: Stamp,
    /// Where.
    pub at: Point,
    /// The H3 cell at resolution 8.
    pub c8: u64,
    /// Current speed in km/h.
    pub current: Reading,
    /// Free-flow speed in km/h, at least 1.
    pub free_flow: Reading,
    /// The level.
    pub level: Option<Level>,
    /// Whether the road is closed.
    pub closure: Option<bool>,
    /// Where it came from.
    pub source: Option<Source>,
}

/// A weather record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weather {
    /// When and where in the log.
    pub stamp: Stamp,
    /// Where.
    pub at: Point,
    /// The H3 cell at resolution 5.
    pub c5: u64,
    /// The condition's word.
    pub condition: TextId,
    /// What that word means for a road.
    pub sky: Sky,
    /// The measures, by [`Measure`].
    pub measures: [Reading; Measure::COUNT],
    /// Where it came from.
    pub source: Option<Source>,
}

/// What falls from the sky.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sky {
    /// Rain, Drizzle or Thunderstorm.
    Rain,
    /// Snow.
    Snow,
    /// Neither, or not said.
    #[default]
    Other,
}

impl Sky {
    /// What a condition's word means.
    pub fn of(condition: &str) -> Sky {
        match condition {
            "Rain" | "Drizzle" | "Thunderstorm" => Sky::Rain,
            "Snow" => Sky::Snow,
            _ => Sky::Other,
        }
    }
}

impl Weather {
    /// Whether a road is wet with rain under this weather; `None` if it is neither rain nor dry.
    pub fn is_rain(&self) -> Option<bool> {
        let falls = self.measures[Measure::Precipitation as usize].get().is_some_and(|mm| mm > 0.0);
        match self.sky {
            Sky::Rain => Some(true),
            _ if falls => Some(true),
            Sky::Snow => None,
            Sky::Other => Some(false),
        }
    }
}

/// The measures of a weather record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// deg C.
    Temperature,
    /// mm.
    Precipitation,
    /// m/s.
    Wind,
    /// %.
    Humidity,
    /// An index.
    AirQuality,
    /// hPa.
    Pressure,
    /// m.
    Visibility,
}

impl Measure {
    /// How many there are.
    pub const COUNT: usize = 7;

    /// All measures, in the order of their discriminants.
    pub const ALL: [Measure; Measure::COUNT] = [
        Measure::Temperature,
        Measure::Precipitation,
        Measure::Wind,
        Measure::Humidity,
        Measure::AirQuality,
        Measure::Pressure,
        Measure::Visibility,
    ];

    /// The column of a weather record that holds it.
    pub fn column(self) -> &'static str {
        match self {
            Measure::Temperature => "temperature_c",
            Measure::Precipitation => "precipitation_mm",
            Measure::Wind => "wind_speed_ms",
            Measure::Humidity => "humidity_pct",
            Measure::AirQuality => "air_quality_index",
            Measure::Pressure => "pressure_hpa",
            Measure::Visibility => "visibility_m",
        }
    }

    /// Its unit, empty where it has none.
    pub fn unit(self) -> &'static str {
        match self {
            Measure::Temperature => "deg C",
            Measure::Precipitation => "mm",
            Measure::Wind => "m/s",
            Measure::Humidity => "%",
            Measure::AirQuality => "",
            Measure::Pressure => "hPa",
            Measure::Visibility => "m",
        }
    }
}

/// A vehicle record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VehicleRecord {
    /// When and where in the log.
    pub stamp: Stamp,
    /// The device.
    pub vehicle: TextId,
    /// Fuel level in %.
    pub fuel: Reading,
    /// Odometer in km.
    pub odometer: Reading,
}

/// A status of an incident: an emergency record with `hasIncident`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When and where in the log.
    pub stamp: Stamp,
    /// The incident: its `incidentId`, or the record's id.
    pub incident: TextId,
    /// Where.
    pub at: Point,
    /// How far it has come.
    pub phase: Option<Phase>,
    /// What it is; `None` for the word None as well.
    pub kind: Option<IncidentKind>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// Where it came from.
    pub source: Option<Source>,
}

/// What became of one record of any topic that is not missed: for data quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Delivery {
    /// Its topic.
    pub topic: Topic,
    /// The start of the window in which it counts.
    pub window: Micros,
    /// What it became.
    pub outcome: Outcome,
    /// Log time less event time, in whole seconds within a day either way; 0 for a dead letter.
    pub delay_s: i32,
}

/// What a record became: `0..4` is a disposition, above that a dead letter's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outcome(pub u8);
