//! The rows of the derived tables, and their changes. Shapes, units and null rules: `docs/tables.md`.

use serde::{Deserialize, Serialize};

use crate::bindings::Topic;
use crate::records::{IncidentKind, Level, Measure, Phase, Ping, Point, Reading, Severity, Sky, Source, Stamp, Text};
use crate::time::Micros;

/// A row that appears (+1) or goes (-1). In a commit at most one of each for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change<R> {
    /// The row.
    pub row: R,
    /// +1 or -1.
    pub diff: i8,
}

/// A ping with what held at its time and place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnrichedPing {
    /// The ping; its partition and offset are the row's key.
    pub ping: Ping,
    /// The latest traffic record of its cell in the 10 minutes before.
    pub traffic: Option<TrafficMatch>,
    /// The latest weather record of its wider cell in the 30 minutes before.
    pub weather: Option<WeatherMatch>,
    /// The active incidents within 1,500 m.
    pub incidents: Option<IncidentMatch>,
}

/// The traffic that a ping met.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrafficMatch {
    /// The record.
    pub stamp: Stamp,
    /// From the ping, in millimetres.
    pub distance_mm: i64,
    /// Where the record came from.
    pub source: Option<Source>,
    /// Its level.
    pub level: Option<Level>,
    /// Current speed in km/h.
    pub current: Reading,
    /// Free-flow speed in km/h.
    pub free_flow: Reading,
}

impl TrafficMatch {
    /// Current speed over free flow.
    pub fn speed_ratio(&self) -> Option<f64> {
        Some(self.current.get()? / self.free_flow.get()?)
    }

    /// Free flow over current speed; none where nothing moves.
    pub fn travel_time_index(&self) -> Option<f64> {
        let current = self.current.get().filter(|speed| *speed > 0.0)?;
        Some(self.free_flow.get()? / current)
    }

    /// Whether the ratio is below 0.9.
    pub fn is_congested(&self) -> Option<bool> {
        self.speed_ratio().map(|ratio| ratio < 0.9)
    }
}

/// The weather that a ping met.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeatherMatch {
    /// The record.
    pub stamp: Stamp,
    /// From the ping, in millimetres.
    pub distance_mm: i64,
    /// Where the record came from.
    pub source: Option<Source>,
    /// Its condition.
    pub condition: Text,
    /// What that means.
    pub sky: Sky,
    /// mm.
    pub precipitation: Reading,
    /// Whether it is rain; `None` for neither rain nor dry.
    pub rain: Option<bool>,
}

/// The active incidents around a ping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentMatch {
    /// How many.
    pub active: u32,
    /// The nearest one.
    pub incident: Text,
    /// Its status at that time.
    pub stamp: Stamp,
    /// From the ping, in millimetres.
    pub distance_mm: i64,
    /// Where that record came from.
    pub source: Option<Source>,
}

/// A cell of resolution 8 in five minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrafficWindow {
    /// The cell.
    pub c8: u64,
    /// The window's start.
    pub start: Micros,
    /// Pings.
    pub pings: u64,
    /// Distinct vehicles.
    pub vehicles: u64,
    /// Pings with a traffic record.
    pub with_traffic: u64,
    /// km/h.
    pub speed_mean: Reading,
    /// km/h, of pings of at least 1 km/h.
    pub speed_harmonic: Reading,
    /// Percentiles 50, 85 and 95 of whole km/h.
    pub speed_percentiles: Option<[i32; 3]>,
    /// Mean of the pings' speed ratios.
    pub ratio_mean: Reading,
    /// Least of them.
    pub ratio_min: Reading,
    /// Pings with a ratio below 0.9.
    pub congested: u64,
    /// Traffic records.
    pub records: u64,
    /// With a closed road.
    pub closures: u64,
    /// By [`Level`].
    pub levels: [u64; 3],
    /// By [`Source`].
    pub sources: [u64; 3],
}

/// A vehicle in a quarter of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VehicleWindow {
    /// The vehicle.
    pub vehicle: Text,
    /// The window's start.
    pub start: Micros,
    /// Pings.
    pub pings: u64,
    /// Vehicle records.
    pub records: u64,
    /// Steps.
    pub steps: u64,
    /// Driven, in millimetres.
    pub distance_mm: i64,
    /// In motion, in microseconds.
    pub moving_us: i64,
    /// Standing, in microseconds.
    pub idle_us: i64,
    /// Hard accelerations and brakings; `None` where no step is short enough to tell.
    pub harsh: Option<[u64; 2]>,
    /// In millionths of a percent; `None` where no two records are close enough.
    pub fuel_used: Option<i64>,
    /// In millionths of a km; likewise.
    pub odometer_gain: Option<i64>,
}

/// A cell of resolution 5 in a quarter of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentWindow {
    /// The cell.
    pub c5: u64,
    /// The window's start.
    pub start: Micros,
    /// Weather records.
    pub records: u64,
    /// Mean, least and greatest of each [`Measure`].
    pub measures: [[Reading; 3]; Measure::COUNT],
    /// Pings in rain with a speed, and their mean speed in km/h.
    pub rain: (u64, Reading),
    /// Pings on dry roads with a speed, and their mean speed in km/h.
    pub dry: (u64, Reading),
}

/// A life of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentRow {
    /// What its statuses say.
    pub life: Life,
    /// Who was near.
    pub exposure: Exposure,
}

/// What the statuses of one life of an incident say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// The incident.
    pub incident: Text,
    /// Its first status.
    pub first: Stamp,
    /// The time of its last status.
    pub last: Micros,
    /// How many statuses.
    pub statuses: u64,
    /// Where its first status says.
    pub at: Point,
    /// What the latest status that says so says.
    pub kind: Option<IncidentKind>,
    /// Likewise.
    pub severity: Option<Severity>,
    /// The first status of each [`Phase`].
    pub phases: [Option<Stamp>; 3],
}

impl Life {
    /// The time of the first status of a phase.
    pub fn since(&self, phase: Phase) -> Option<Micros> {
        self.phases[phase as usize].map(|stamp| stamp.time)
    }

    /// From the first Active to the first status of a phase, in microseconds; `None` if negative or unknown.
    pub fn until(&self, phase: Phase) -> Option<Micros> {
        Some(self.since(phase)? - self.since(Phase::Active)?).filter(|time| *time >= 0)
    }
}

/// Who was within 1,500 m of an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// Distinct vehicles while it was active, for an hour at most; `None` if it was never active.
    pub vehicles: Option<u64>,
    /// Pings then, and the mean speed in km/h of those that have one.
    pub during: (u64, Reading),
    /// The same for the quarter of an hour before.
    pub before: (u64, Reading),
}

/// What became of a topic's records in a quarter of an hour of log time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityWindow {
    /// The topic.
    pub topic: Topic,
    /// The window's start.
    pub start: Micros,
    /// Records by [`Fate`](crate::records::Fate).
    pub fates: Vec<u64>,
    /// Percentiles 50 and 99 of the rows' delay in whole seconds.
    pub delays: Option<[i32; 2]>,
}
