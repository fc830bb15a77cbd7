//! Rows of live views as JSON: places are [longitude, latitude], cells are in hex, times in UTC.

use citystream_dataflows::operators::enrich::NEAR_MM;
use citystream_dataflows::operators::incidents::LifeId;
use citystream_dataflows::records::TextId;
use citystream_dataflows::time::Micros;
use citystream_live::rows::{Cell, Cluster, Flow, Incident, Key, Place, Row, Vehicle, Worst};
use h3o::{CellIndex, LatLng};
use serde::Serialize;

use crate::columns::names::Reader;

/// What names a row in its view, as text.
pub fn key(key: &Key, texts: &Reader<'_>) -> String {
    match key {
        Key::Vehicle(vehicle) => text(*vehicle, texts),
        Key::Cell(cell) | Key::Cluster(cell) => hex(*cell),
        Key::Incident(LifeId { incident, first }) => format!("{}@{}", text(*incident, texts), time(first.time)),
        Key::Worst(rank) => rank.to_string(),
    }
}

/// A row.
pub fn row(row: &Row, texts: &Reader<'_>) -> String {
    match row {
        Row::Vehicle(row) => json(&vehicle(row)),
        Row::Cell(row) => json(&cell(row)),
        Row::Incident(row) => json(&incident(row, texts)),
        Row::Cluster(row) => json(&cluster(row)),
        Row::Worst(row) => json(&worst(row)),
    }
}

fn json(row: &impl Serialize) -> String {
    // Nothing in a row is refused: keys are names of fields, numbers are finite.
    serde_json::to_string(row).unwrap_or_default()
}

/// A time.
pub fn time(time: Micros) -> String {
    jiff::Timestamp::from_microsecond(time).map(|time| time.to_string()).unwrap_or_default()
}

/// A text; one that is forgotten is shown as its id.
pub fn text(id: TextId, texts: &Reader<'_>) -> String {
    texts.get(id).map_or_else(|| format!("{:032x}", id.0), str::to_owned)
}

fn hex(cell: u64) -> String {
    format!("{cell:x}")
}

/// Longitude and latitude in degrees.
type Degrees = [f64; 2];

fn at(Place { lat, lon }: Place) -> Degrees {
    [f64::from(lon) / 1e6, f64::from(lat) / 1e6]
}

fn degrees(place: LatLng) -> Degrees {
    [place.lng(), place.lat()].map(|degrees| (degrees * 1e5).round() / 1e5)
}

fn centre(cell: u64) -> Option<Degrees> {
    Some(degrees(LatLng::from(CellIndex::try_from(cell).ok()?)))
}

fn outline(cell: u64) -> Vec<Degrees> {
    let boundary = CellIndex::try_from(cell).map(|cell| cell.boundary());
    boundary.map(|it| it.iter().copied().map(degrees).collect()).unwrap_or_default()
}

/// Millionths of a km/h in km/h, to a tenth.
pub fn kmh(speed: i64) -> f64 {
    (speed as f64 / 1e5).round() / 10.0
}

pub fn share(thousandths: u32) -> f64 {
    f64::from(thousandths) / 1000.0
}

#[derive(Serialize)]
struct ShownVehicle {
    at: Degrees,
    speed_kmh: Option<f64>,
    bearing: Option<u16>,
    cell: String,
    time: String,
    /// Partition and offset of the ping.
    source: (i32, i64),
}

fn vehicle(row: &Vehicle) -> ShownVehicle {
    ShownVehicle {
        at: at(row.at),
        speed_kmh: row.speed.map(kmh),
        bearing: row.bearing,
        cell: hex(row.cell),
        time: time(row.stamp.time),
        source: (row.stamp.partition, row.stamp.offset),
    }
}

#[derive(Serialize)]
struct ShownCell {
    at: Option<Degrees>,
    outline: Vec<Degrees>,
    vehicles: u64,
    /// Mean speed of the vehicles.
    vehicles_kmh: Option<f64>,
    speed_kmh: Option<f64>,
    free_flow_kmh: Option<f64>,
    ratio: Option<f64>,
    level: Option<&'static str>,
    since: Option<String>,
    closed: bool,
}

fn cell(Cell { cell, crowd, flow }: &Cell) -> ShownCell {
    let flow = flow.as_ref();
    let level = flow.and_then(|flow| flow.level);
    ShownCell {
        at: centre(*cell),
        outline: outline(*cell),
        vehicles: crowd.vehicles,
        vehicles_kmh: (crowd.measured > 0).then(|| kmh(crowd.speed / crowd.measured as i64)),
        speed_kmh: flow.and_then(|flow| flow.current.map(kmh)),
        free_flow_kmh: flow.and_then(|flow| flow.free_flow.map(kmh)),
        ratio: flow.and_then(Flow::ratio).map(share),
        level: level.map(|it| it.level.word()),
        since: level.map(|it| time(it.since)),
        closed: flow.is_some_and(|flow| flow.is_closed),
    }
}

#[derive(Serialize)]
struct ShownIncident {
    incident: String,
    at: Degrees,
    kind: Option<&'static str>,
    severity: Option<&'static str>,
    since: String,
    responded: Option<String>,
    last: String,
    statuses: u64,
    radius_m: i64,
    /// Partition and offset of its first status.
    source: (i32, i64),
}

fn incident(row: &Incident, texts: &Reader<'_>) -> ShownIncident {
    ShownIncident {
        incident: text(row.life.incident, texts),
        at: at(row.at),
        kind: row.kind.map(|it| it.word()),
        severity: row.severity.map(|it| it.word()),
        since: time(row.life.first.time),
        responded: row.responded.map(time),
        last: time(row.last),
        statuses: row.statuses,
        radius_m: NEAR_MM / 1000,
        source: (row.life.first.partition, row.life.first.offset),
    }
}

#[derive(Serialize)]
struct ShownCluster {
    cells: u32,
    since: String,
    head: String,
    tail: String,
    head_at: Option<Degrees>,
    tail_at: Option<Degrees>,
}

fn cluster(row: &Cluster) -> ShownCluster {
    ShownCluster {
        cells: row.cells,
        since: time(row.since),
        head: hex(row.head),
        tail: hex(row.tail),
        head_at: centre(row.head),
        tail_at: centre(row.tail),
    }
}

#[derive(Serialize)]
struct ShownWorst {
    cell: String,
    at: Option<Degrees>,
    ratio: f64,
    speed_kmh: f64,
    closed: bool,
}

fn worst(row: &Worst) -> ShownWorst {
    ShownWorst {
        cell: hex(row.cell),
        at: centre(row.cell),
        ratio: share(row.ratio),
        speed_kmh: kmh(row.current),
        closed: row.is_closed,
    }
}
