//! Changes of rows, and the rows that more than one operator knows. Shapes, units and null rules: `docs/tables.md`.

use serde::{Deserialize, Serialize};

use crate::records::{IncidentKind, Level, Phase, Ping, Point, Reading, Severity, Sky, Source, Stamp, TextId};
use citystream_wire::Micros;

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
    pub condition: TextId,
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
    pub incident: TextId,
    /// Its status at that time.
    pub stamp: Stamp,
    /// From the ping, in millimetres.
    pub distance_mm: i64,
    /// Where that record came from.
    pub source: Option<Source>,
}

/// What the statuses of one life of an incident say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// The incident.
    pub incident: TextId,
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

/// A life of an incident, known by its first status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LifeId {
    /// The incident.
    pub incident: TextId,
    /// Its first status.
    pub first: Stamp,
}

/// A vehicle within 1,500 m of an incident while that was active, for an hour at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VehicleExposure {
    /// The life of the incident.
    pub life: LifeId,
    /// The vehicle.
    pub vehicle: TextId,
    /// The time of its first ping there.
    pub first: Micros,
    /// The time of its last.
    pub last: Micros,
    /// The least distance from the incident, in millimetres.
    pub distance_mm: i64,
    /// Pings.
    pub pings: u64,
}

/// A life that a run finds in the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// The life.
    pub life: LifeId,
    /// Its exposure, where that cannot change any more.
    pub exposure: Option<Exposure>,
}
