//! The derived tables as their definitions say: plain loops over all records, nothing incremental.

mod windows;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use citystream_dataflows::records::changes::{
    EnrichedPing, Exposure, IncidentMatch, Life, LifeId, TrafficMatch, VehicleExposure, WeatherMatch,
};
use citystream_dataflows::records::measures::{distance_mm, quantised};
use citystream_dataflows::records::{
    Delivery, Measure, Phase, Ping, Point, Reading, Sky, Stamp, Status, Traffic, VehicleRecord, Weather,
};
use citystream_dataflows::tables::data_quality_15m::QualityWindow;
use citystream_dataflows::tables::environment_15m::EnvironmentWindow;
use citystream_dataflows::tables::incidents::IncidentRow;
use citystream_dataflows::tables::traffic_5m::TrafficWindow;
use citystream_dataflows::tables::vehicle_15m::VehicleWindow;
use citystream_dataflows::time::Micros;

use crate::world::{HOUR, MINUTE, Record};

/// A row of any derived table.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    Ping(EnrichedPing),
    Traffic(TrafficWindow),
    Vehicle(VehicleWindow),
    Environment(EnvironmentWindow),
    Incident(IncidentRow),
    Exposure(VehicleExposure),
    Quality(QualityWindow),
}

/// A table and the key of a row in it.
pub type Key = (&'static str, [i64; 4]);

/// All derived tables.
pub type Tables = BTreeMap<Key, Row>;

impl Row {
    pub fn key(&self) -> Key {
        match self {
            Row::Ping(row) => ("enriched_pings", [row.ping.stamp.partition.into(), row.ping.stamp.offset, 0, 0]),
            Row::Traffic(row) => ("traffic_5m", [row.c8 as i64, row.start, 0, 0]),
            Row::Vehicle(row) => ("vehicle_15m", [row.vehicle.0 as i64, row.start, 0, 0]),
            Row::Environment(row) => ("environment_15m", [row.c5 as i64, row.start, 0, 0]),
            Row::Incident(row) => {
                let Stamp { time, partition, offset } = row.life.first;
                ("incidents", [row.life.incident.0 as i64, time, partition.into(), offset])
            }
            Row::Exposure(row) => {
                let Stamp { partition, offset, .. } = row.life.first;
                ("incident_exposures", [row.vehicle.0 as i64, partition.into(), offset, 0])
            }
            Row::Quality(row) => ("data_quality_15m", [row.topic.index() as i64, row.start, 0, 0]),
        }
    }
}

/// The records of a log by their kind.
#[derive(Default)]
pub struct Kinds {
    pub vehicles: Vec<VehicleRecord>,
    pub pings: Vec<Ping>,
    pub traffic: Vec<Traffic>,
    pub weather: Vec<Weather>,
    pub statuses: Vec<Status>,
    pub deliveries: Vec<Delivery>,
}

impl Kinds {
    pub fn of<'a>(log: impl IntoIterator<Item = &'a Record>) -> Kinds {
        let mut kinds = Kinds::default();
        for record in log {
            match *record {
                Record::Vehicle(r) => kinds.vehicles.push(r),
                Record::Ping(r) => kinds.pings.push(r),
                Record::Traffic(r) => kinds.traffic.push(r),
                Record::Weather(r) => kinds.weather.push(r),
                Record::Status(r) => kinds.statuses.push(r),
                Record::Delivery(r) => kinds.deliveries.push(r),
            }
        }
        kinds
    }
}

/// The tables of a log.
pub fn tables(log: &[Record]) -> Tables {
    let kinds = Kinds::of(log);
    let pings: Vec<EnrichedPing> = kinds.pings.iter().map(|ping| enriched(ping, &kinds)).collect();
    let mut rows: Vec<Row> = pings.iter().copied().map(Row::Ping).collect();
    rows.extend(windows::traffic(&pings, &kinds.traffic).into_iter().map(Row::Traffic));
    rows.extend(windows::vehicle(&kinds.pings, &kinds.vehicles).into_iter().map(Row::Vehicle));
    rows.extend(windows::environment(&pings, &kinds.weather).into_iter().map(Row::Environment));
    let (incidents, exposures): (Vec<_>, Vec<_>) = incidents(&kinds).into_iter().unzip();
    rows.extend(incidents.into_iter().map(Row::Incident));
    rows.extend(exposures.into_iter().flatten().map(Row::Exposure));
    rows.extend(windows::quality(&kinds.deliveries).into_iter().map(Row::Quality));
    rows.into_iter().map(|row| (row.key(), row)).collect()
}

fn enriched(ping: &Ping, kinds: &Kinds) -> EnrichedPing {
    let t = ping.stamp.time;
    let traffic = kinds.traffic.iter().filter(|r| r.c8 == ping.c8 && (t - 10 * MINUTE..=t).contains(&r.stamp.time));
    let traffic = traffic.max_by_key(|r| r.stamp).map(|r| TrafficMatch {
        stamp: r.stamp,
        distance_mm: distance_mm(ping.at, r.at),
        source: r.source,
        level: r.level,
        current: r.current,
        free_flow: r.free_flow,
    });
    let weather = kinds.weather.iter().filter(|r| r.c5 == ping.c5 && (t - 30 * MINUTE..=t).contains(&r.stamp.time));
    let weather = weather.max_by_key(|r| r.stamp).map(|r| WeatherMatch {
        stamp: r.stamp,
        distance_mm: distance_mm(ping.at, r.at),
        source: r.source,
        condition: r.condition,
        sky: r.sky,
        precipitation: r.measures[Measure::Precipitation as usize],
        rain: rain(r),
    });
    EnrichedPing { ping: *ping, traffic, weather, incidents: near(ping, &kinds.statuses) }
}

/// Rain if it rains or something falls; dry if it neither rains nor snows.
fn rain(record: &Weather) -> Option<bool> {
    let wet = record.measures[Measure::Precipitation as usize].get().unwrap_or(0.0) > 0.0;
    if record.sky == Sky::Rain || wet {
        Some(true)
    } else if record.sky == Sky::Snow {
        None
    } else {
        Some(false)
    }
}

fn near(ping: &Ping, statuses: &[Status]) -> Option<IncidentMatch> {
    let t = ping.stamp.time;
    let names: BTreeSet<_> = statuses.iter().map(|s| s.incident).collect();
    let latest = |name| statuses.iter().filter(|s| s.incident == name && s.stamp.time <= t).max_by_key(|s| s.stamp);
    let active = names.into_iter().filter_map(latest).filter(|s| {
        let is_active = matches!(s.phase, Some(Phase::Active | Phase::Responding));
        is_active && s.stamp.time >= t - 6 * HOUR && distance_mm(ping.at, s.at) <= 1_500_000
    });
    let active: Vec<_> = active.collect();
    let nearest = active.iter().min_by_key(|s| (distance_mm(ping.at, s.at), Reverse(s.stamp)))?;
    Some(IncidentMatch {
        active: active.len() as u32,
        incident: nearest.incident,
        stamp: nearest.stamp,
        distance_mm: distance_mm(ping.at, nearest.at),
        source: nearest.source,
    })
}

fn incidents(kinds: &Kinds) -> Vec<(IncidentRow, Vec<VehicleExposure>)> {
    let mut statuses = kinds.statuses.clone();
    statuses.sort_by_key(|s| s.stamp);
    let names: BTreeSet<_> = statuses.iter().map(|s| s.incident).collect();
    let mut rows = Vec::new();
    for name in names {
        let mut rest: Vec<Status> = statuses.iter().copied().filter(|s| s.incident == name).collect();
        while !rest.is_empty() {
            let end = rest[0].stamp.time + 24 * HOUR;
            let (life, later) = rest.into_iter().partition::<Vec<_>, _>(|s| s.stamp.time < end);
            rows.push(incident(&life, &kinds.pings));
            rest = later;
        }
    }
    rows
}

/// The row of the statuses of one life, and those of who was near.
fn incident(statuses: &[Status], pings: &[Ping]) -> (IncidentRow, Vec<VehicleExposure>) {
    let (first, last) = (statuses[0], statuses[statuses.len() - 1]);
    let since = |phase| statuses.iter().find(|s| s.phase == Some(phase)).map(|s| s.stamp);
    let phases = [Phase::Active, Phase::Responding, Phase::Resolved].map(since);
    let life = Life {
        incident: first.incident,
        first: first.stamp,
        last: last.stamp.time,
        statuses: statuses.len() as u64,
        at: first.at,
        kind: statuses.iter().rev().find_map(|s| s.kind),
        severity: statuses.iter().rev().find_map(|s| s.severity),
        phases,
    };
    let Some(active) = phases[0].map(|s| s.time) else {
        return (IncidentRow { life, exposure: Exposure { vehicles: None, ..Exposure::default() } }, Vec::new());
    };
    let hour = active + 60 * MINUTE;
    let end = phases[2].map_or(hour, |resolved| resolved.time.min(hour));
    let during = around(first.at, active, end, pings);
    let before = around(first.at, active - 15 * MINUTE, active, pings);
    let vehicles: BTreeSet<_> = during.iter().map(|p| p.vehicle).collect();
    let exposure = Exposure {
        vehicles: Some(vehicles.len() as u64),
        during: (during.len() as u64, mean(during.iter().map(|p| p.speed))),
        before: (before.len() as u64, mean(before.iter().map(|p| p.speed))),
    };
    let id = LifeId { incident: first.incident, first: first.stamp };
    let of_vehicle = |vehicle| during.iter().filter(move |ping| ping.vehicle == vehicle);
    let exposed = |vehicle| VehicleExposure {
        life: id,
        vehicle,
        first: of_vehicle(vehicle).map(|ping| ping.stamp.time).min().unwrap(),
        last: of_vehicle(vehicle).map(|ping| ping.stamp.time).max().unwrap(),
        distance_mm: of_vehicle(vehicle).map(|ping| distance_mm(first.at, ping.at)).min().unwrap(),
        pings: of_vehicle(vehicle).count() as u64,
    };
    let exposures = vehicles.into_iter().map(exposed).collect();
    (IncidentRow { life, exposure }, exposures)
}

fn around(place: Point, from: Micros, until: Micros, pings: &[Ping]) -> Vec<Ping> {
    let is_in = |p: &&Ping| from <= p.stamp.time && p.stamp.time < until && distance_mm(place, p.at) <= 1_500_000;
    pings.iter().filter(is_in).copied().collect()
}

/// The mean of the values that are there.
pub fn mean(values: impl Iterator<Item = Reading>) -> Reading {
    let values: Vec<i128> = values.filter_map(|v| v.get()).map(|v| quantised(v).into()).collect();
    let sum: i128 = values.iter().sum();
    if values.is_empty() { Reading::NONE } else { Reading::new(sum as f64 / (values.len() as f64 * 1e6)) }
}
