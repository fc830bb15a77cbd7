//! Rows of live views as JSON: places are [longitude, latitude], cells are in hex, times in UTC.

use citystream_dataflows::operators::enrich::NEAR_MM;
use citystream_dataflows::operators::incidents::LifeId;
use citystream_dataflows::records::TextId;
use citystream_dataflows::time::Micros;
use citystream_live::rows::{Cell, Cluster, Flow, Incident, Key, Place, Row, Vehicle, Worst};
use h3o::{CellIndex, LatLng};
use serde_json::{Value, json};

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
pub fn row(row: &Row, texts: &Reader<'_>) -> Value {
    match row {
        Row::Vehicle(row) => vehicle(row),
        Row::Cell(row) => cell(row),
        Row::Incident(row) => incident(row, texts),
        Row::Cluster(row) => cluster(row),
        Row::Worst(row) => worst(row),
    }
}

/// A time.
pub fn time(time: Micros) -> String {
    jiff::Timestamp::from_microsecond(time).map(|time| time.to_string()).unwrap_or_default()
}

/// A text; one that is forgotten is shown as its id.
fn text(id: TextId, texts: &Reader<'_>) -> String {
    texts.get(id).map_or_else(|| format!("{:032x}", id.0), str::to_owned)
}

fn hex(cell: u64) -> String {
    format!("{cell:x}")
}

fn at(Place { lat, lon }: Place) -> Value {
    json!([f64::from(lon) / 1e6, f64::from(lat) / 1e6])
}

fn degrees(place: LatLng) -> Value {
    let rounded = |degrees: f64| (degrees * 1e5).round() / 1e5;
    json!([rounded(place.lng()), rounded(place.lat())])
}

fn centre(cell: u64) -> Value {
    CellIndex::try_from(cell).map(|cell| degrees(LatLng::from(cell))).unwrap_or_default()
}

fn outline(cell: u64) -> Value {
    let boundary = CellIndex::try_from(cell).map(|cell| cell.boundary());
    boundary.map(|it| it.iter().copied().map(degrees).collect()).unwrap_or_default()
}

/// Millionths of a km/h in km/h, to a tenth.
fn kmh(speed: i64) -> f64 {
    (speed as f64 / 1e5).round() / 10.0
}

fn vehicle(row: &Vehicle) -> Value {
    let source = json!([row.stamp.partition, row.stamp.offset]);
    let (at, speed, time) = (at(row.at), row.speed.map(kmh), time(row.stamp.time));
    json!({ "at": at, "speed_kmh": speed, "bearing": row.bearing, "cell": hex(row.cell), "time": time, "source": source })
}

fn cell(Cell { cell, crowd, flow }: &Cell) -> Value {
    let mean = (crowd.measured > 0).then(|| kmh(crowd.speed / crowd.measured as i64));
    let level = flow.as_ref().and_then(|flow| flow.level);
    json!({
        "at": centre(*cell),
        "outline": outline(*cell),
        "vehicles": crowd.vehicles,
        "vehicles_kmh": mean,
        "speed_kmh": flow.as_ref().and_then(|flow| flow.current.map(kmh)),
        "free_flow_kmh": flow.as_ref().and_then(|flow| flow.free_flow.map(kmh)),
        "ratio": flow.as_ref().and_then(Flow::ratio).map(share),
        "level": level.map(|it| it.level.word()),
        "since": level.map(|it| time(it.since)),
        "closed": flow.as_ref().is_some_and(|flow| flow.is_closed),
    })
}

fn share(thousandths: u32) -> f64 {
    f64::from(thousandths) / 1000.0
}

fn incident(row: &Incident, texts: &Reader<'_>) -> Value {
    json!({
        "incident": text(row.life.incident, texts),
        "at": at(row.at),
        "kind": row.kind.map(|it| it.word()),
        "severity": row.severity.map(|it| it.word()),
        "since": time(row.life.first.time),
        "responded": row.responded.map(time),
        "last": time(row.last),
        "statuses": row.statuses,
        "radius_m": NEAR_MM / 1000,
    })
}

fn cluster(row: &Cluster) -> Value {
    let Cluster { cells, since, head, tail, .. } = row;
    let (since, head_at, tail_at) = (time(*since), centre(*head), centre(*tail));
    json!({ "cells": cells, "since": since, "head": hex(*head), "tail": hex(*tail), "head_at": head_at, "tail_at": tail_at })
}

fn worst(row: &Worst) -> Value {
    json!({ "cell": hex(row.cell), "at": centre(row.cell), "ratio": share(row.ratio) })
}
