//! The rows of the collections: fixed-point, so that equal rows are equal and can be ordered and hashed.

use citystream_dataflows::operators::incidents::LifeId;
use citystream_dataflows::records::changes::Life;
use citystream_dataflows::records::measures::quantised;
use citystream_dataflows::records::{IncidentKind, Level, Phase, Ping, Point, Severity, Stamp, TextId, Traffic};
use citystream_dataflows::time::Micros;
use serde::{Deserialize, Serialize};

/// A place in millionths of a degree: about a tenth of a metre.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Latitude.
    pub lat: i32,
    /// Longitude.
    pub lon: i32,
}

impl From<Point> for Place {
    fn from(Point { lat, lon }: Point) -> Place {
        let millionths = |degrees: f64| quantised(degrees) as i32;
        Place { lat: millionths(lat), lon: millionths(lon) }
    }
}

impl Place {
    /// The direction from here to another place, in whole degrees clockwise from north; none to the same place.
    pub fn bearing_to(self, to: Place) -> Option<u16> {
        let north = f64::from(to.lat - self.lat);
        let middle = (f64::from(self.lat) + f64::from(to.lat)) / 2e6;
        let east = f64::from(to.lon - self.lon) * middle.to_radians().cos();
        (self != to).then(|| east.atan2(north).to_degrees().round().rem_euclid(360.0) as u16)
    }
}

/// Where a vehicle is, as its latest ping in reach says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vehicle {
    /// The device.
    pub vehicle: TextId,
    /// The ping.
    pub stamp: Stamp,
    /// Where.
    pub at: Place,
    /// Speed in millionths of a km/h.
    pub speed: Option<i64>,
    /// The direction from the ping before, where that is in reach.
    pub bearing: Option<u16>,
    /// The cell at resolution 8.
    pub cell: u64,
}

impl Vehicle {
    /// The row of a ping, as if none were before it.
    pub fn of(ping: &Ping) -> Vehicle {
        let speed = ping.speed.get().map(quantised);
        Vehicle { vehicle: ping.vehicle, stamp: ping.stamp, at: ping.at.into(), speed, bearing: None, cell: ping.c8 }
    }
}

/// What the latest traffic record in reach says of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Flow {
    /// The cell.
    pub cell: u64,
    /// The record.
    pub stamp: Stamp,
    /// Current speed in millionths of a km/h.
    pub current: Option<i64>,
    /// Free-flow speed, likewise.
    pub free_flow: Option<i64>,
    /// Whether the road is closed.
    pub is_closed: bool,
    /// The level, and since when it is that.
    pub level: Option<Congestion>,
}

impl Flow {
    /// The row of a record, without its level.
    pub fn of(record: &Traffic) -> Flow {
        let (current, free_flow) = (record.current.get().map(quantised), record.free_flow.get().map(quantised));
        let is_closed = record.closure == Some(true);
        Flow { cell: record.c8, stamp: record.stamp, current, free_flow, is_closed, level: None }
    }

    /// With its level, which it has since it was another, or none.
    pub fn rated(self, was: Option<Congestion>) -> Flow {
        let since = |level| was.filter(|was| was.level == level).map_or(self.stamp.time, |was| was.since);
        Flow { level: self.measured().map(|level| Congestion { level, since: since(level) }), ..self }
    }

    /// Current speed in thousandths of the free flow; of a closed road none.
    pub fn ratio(&self) -> Option<u32> {
        let (current, free_flow) = (self.current?, self.free_flow.filter(|speed| *speed > 0)?);
        let ratio = i128::from(current) * 1000 / i128::from(free_flow);
        Some(if self.is_closed { 0 } else { ratio.clamp(0, i128::from(u32::MAX)) as u32 })
    }

    /// The producer's thresholds; a closed road is heavy.
    fn measured(&self) -> Option<Level> {
        let of_ratio = |ratio| match ratio {
            0..500 => Level::Heavy,
            500..800 => Level::Moderate,
            _ => Level::Light,
        };
        if self.is_closed { Some(Level::Heavy) } else { self.ratio().map(of_ratio) }
    }
}

/// How dense traffic is in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Congestion {
    /// The level.
    pub level: Level,
    /// The time of the record that brought it.
    pub since: Micros,
}

/// The vehicles of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Crowd {
    /// Vehicles.
    pub vehicles: u64,
    /// Those that have a speed.
    pub measured: u64,
    /// The sum of these, in millionths of a km/h.
    pub speed: i64,
}

/// A cell with vehicles or a traffic record in reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// The cell at resolution 8.
    pub cell: u64,
    /// Its vehicles.
    pub crowd: Crowd,
    /// Its traffic.
    pub flow: Option<Flow>,
}

/// An incident that is not resolved, as its latest life says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incident {
    /// The life.
    pub life: LifeId,
    /// Where.
    pub at: Place,
    /// What it is.
    pub kind: Option<IncidentKind>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// When it was first responded to.
    pub responded: Option<Micros>,
    /// The time of its last status.
    pub last: Micros,
    /// How many statuses.
    pub statuses: u64,
}

impl Incident {
    /// The row of a life that is not resolved.
    pub fn of(life: &Life) -> Option<Incident> {
        life.since(Phase::Resolved).is_none().then(|| Incident {
            life: LifeId { incident: life.incident, first: life.first },
            at: life.at.into(),
            kind: life.kind,
            severity: life.severity,
            responded: life.since(Phase::Responding),
            last: life.last,
            statuses: life.statuses,
        })
    }
}

/// Congested cells that are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cluster {
    /// Its least cell, which names it.
    pub id: u64,
    /// How many cells.
    pub cells: u32,
    /// Since when the first of them has its level.
    pub since: Micros,
    /// Where it is held up: the cell that is heavy, or moderate, for longest.
    pub head: u64,
    /// The cell that is most steps away from the head.
    pub tail: u64,
}

/// One of the worst cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Worst {
    /// From 1.
    pub rank: u32,
    /// The cell.
    pub cell: u64,
    /// Current speed in thousandths of the free flow.
    pub ratio: u32,
    /// Current speed in millionths of a km/h.
    pub current: i64,
    /// Whether the road is closed.
    pub is_closed: bool,
}

/// A row of any view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Row {
    /// Of `vehicles`.
    Vehicle(Vehicle),
    /// Of `cells`.
    Cell(Cell),
    /// Of `incidents`.
    Incident(Incident),
    /// Of `clusters`.
    Cluster(Cluster),
    /// Of `worst`.
    Worst(Worst),
}

/// What names a row in its view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// The device.
    Vehicle(TextId),
    /// The cell.
    Cell(u64),
    /// The life.
    Incident(LifeId),
    /// The least cell.
    Cluster(u64),
    /// The rank.
    Worst(u32),
}

impl Row {
    /// What names it.
    pub fn key(&self) -> Key {
        match self {
            Row::Vehicle(row) => Key::Vehicle(row.vehicle),
            Row::Cell(row) => Key::Cell(row.cell),
            Row::Incident(row) => Key::Incident(row.life),
            Row::Cluster(row) => Key::Cluster(row.id),
            Row::Worst(row) => Key::Worst(row.rank),
        }
    }
}

/// A view: rows of one kind by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// Where vehicles are.
    Vehicles,
    /// What each cell is like.
    Cells,
    /// What has happened and is not resolved.
    Incidents,
    /// Where congestion is connected.
    Clusters,
    /// The cells where traffic is slowest.
    Worst,
}

impl View {
    /// All views.
    pub const ALL: [View; 5] = [View::Vehicles, View::Cells, View::Incidents, View::Clusters, View::Worst];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            View::Vehicles => "vehicles",
            View::Cells => "cells",
            View::Incidents => "incidents",
            View::Clusters => "clusters",
            View::Worst => "worst",
        }
    }

    /// What its rows are.
    pub fn about(self) -> &'static str {
        match self {
            View::Vehicles => "where each vehicle is, by its latest ping",
            View::Cells => "the vehicles and the traffic of each H3 cell (resolution 8)",
            View::Incidents => "incidents that are not resolved",
            View::Clusters => "congested cells that are connected",
            View::Worst => "the cells where traffic is slowest, by rank",
        }
    }

    /// The view of that name.
    pub fn named(name: &str) -> Option<View> {
        View::ALL.into_iter().find(|view| view.name() == name)
    }
}

impl Key {
    /// Its view.
    pub fn view(&self) -> View {
        match self {
            Key::Vehicle(_) => View::Vehicles,
            Key::Cell(_) => View::Cells,
            Key::Incident(_) => View::Incidents,
            Key::Cluster(_) => View::Clusters,
            Key::Worst(_) => View::Worst,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearings_are_clockwise_from_north() {
        let here = Place { lat: 51_500_000, lon: -100_000 };
        let to = |lat: i32, lon: i32| here.bearing_to(Place { lat: here.lat + lat, lon: here.lon + lon });
        let bearings = [to(100, 0), to(0, 100), to(-100, 0), to(0, -100)];
        assert_eq!(bearings, [Some(0), Some(90), Some(180), Some(270)]);
        assert_eq!(to(0, 0), None);
        assert_eq!(to(100, 161), Some(45), "a degree of longitude is shorter there");
    }
}
