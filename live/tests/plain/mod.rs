//! What the collections are, said plainly: all records so far are looked at anew for every epoch.

use std::collections::{BTreeMap, BTreeSet};

use citystream_dataflows::operators::incidents::LifeId;
use citystream_dataflows::records::{Level, Phase, Ping, Status, Traffic};
use citystream_dataflows::time::Micros;
use citystream_live::rows::{Cell, Cluster, Congestion, Crowd, Flow, Incident, Key, Place, Row, Vehicle, Worst};
use h3o::CellIndex;

use crate::driver::Cut;
use crate::world::{HOUR, MINUTE, Record};

/// All records so far.
#[derive(Default)]
pub struct Plain {
    records: Vec<Record>,
    floor: Option<Micros>,
    /// Since when each cell has its level: the one thing that remembers.
    since: BTreeMap<u64, (Level, Micros)>,
    flows: Vec<Flow>,
}

impl Plain {
    /// Goes on to the end of an epoch.
    pub fn close(&mut self, cut: &Cut) {
        self.records.extend(cut.records.iter().copied());
        self.floor = cut.close.horizon.map(|horizon| horizon - horizon.rem_euclid(MINUTE));
        let mut since = BTreeMap::new();
        let mut flows = Vec::new();
        for record in latest(self.in_reach().filter_map(traffic), |record| record.c8) {
            let speed = |it: Option<f64>| it.map(|kmh| (kmh * 1e6).round() as i64);
            let (current, free_flow) = (speed(record.current.get()), speed(record.free_flow.get()));
            let is_closed = record.closure == Some(true);
            let (cell, stamp) = (record.c8, record.stamp);
            let mut flow = Flow { cell, stamp, current, free_flow, is_closed, level: None };
            let share = flow.ratio().map(|thousandths| f64::from(thousandths) / 1000.0);
            let level = share.map(|it| {
                if it < 0.5 {
                    Level::Heavy
                } else if it < 0.8 {
                    Level::Moderate
                } else {
                    Level::Light
                }
            });
            let level = if is_closed { Some(Level::Heavy) } else { level };
            if let Some(level) = level {
                let held = self.since.get(&cell).filter(|(held, _)| *held == level);
                let first = held.map_or(stamp.time, |(_, since)| *since);
                since.insert(cell, (level, first));
                flow.level = Some(Congestion { level, since: first });
            }
            flows.push(flow);
        }
        (self.since, self.flows) = (since, flows);
    }

    fn in_reach(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| self.floor.is_none_or(|floor| record.time() >= floor))
    }

    /// All rows now.
    pub fn rows(&self) -> BTreeMap<Key, Row> {
        let vehicles = self.vehicles();
        let mut rows: Vec<Row> = self.cells(&vehicles).into_iter().map(Row::Cell).collect();
        rows.extend(vehicles.into_iter().map(Row::Vehicle));
        rows.extend(self.incidents().into_iter().map(Row::Incident));
        rows.extend(self.clusters().into_iter().map(Row::Cluster));
        rows.extend(self.worst().into_iter().map(Row::Worst));
        rows.into_iter().map(|row| (row.key(), row)).collect()
    }

    fn vehicles(&self) -> Vec<Vehicle> {
        let pings: Vec<Ping> = self.in_reach().filter_map(ping).collect();
        let row = |last: Ping| {
            let earlier = pings.iter().filter(|it| it.vehicle == last.vehicle && it.stamp < last.stamp);
            let before = earlier.max_by_key(|it| it.stamp);
            let place =
                |it: &Ping| Place { lat: (it.at.lat * 1e6).round() as i32, lon: (it.at.lon * 1e6).round() as i32 };
            let bearing = before.filter(|before| place(before) != place(&last)).map(|before| {
                let (from, to) = (place(before), place(&last));
                let middle = (f64::from(from.lat) + f64::from(to.lat)) / 2e6;
                let (north, east) =
                    (f64::from(to.lat - from.lat), f64::from(to.lon - from.lon) * middle.to_radians().cos());
                ((90.0 - north.atan2(east).to_degrees()).round() as i32).rem_euclid(360) as u16
            });
            let speed = last.speed.get().map(|kmh| (kmh * 1e6).round() as i64);
            Vehicle { vehicle: last.vehicle, stamp: last.stamp, at: place(&last), speed, bearing, cell: last.c8 }
        };
        latest(pings.iter().copied(), |ping| ping.vehicle).into_iter().map(row).collect()
    }

    fn cells(&self, vehicles: &[Vehicle]) -> Vec<Cell> {
        let flows = self.flows.iter().map(|flow| flow.cell);
        let cells: BTreeSet<u64> = vehicles.iter().map(|vehicle| vehicle.cell).chain(flows).collect();
        let row = |cell: u64| {
            let here: Vec<&Vehicle> = vehicles.iter().filter(|vehicle| vehicle.cell == cell).collect();
            let speeds: Vec<i64> = here.iter().filter_map(|vehicle| vehicle.speed).collect();
            let (measured, speed) = (speeds.len() as u64, speeds.iter().sum());
            let crowd = Crowd { vehicles: here.len() as u64, measured, speed };
            Cell { cell, crowd, flow: self.flows.iter().find(|flow| flow.cell == cell).copied() }
        };
        cells.into_iter().map(row).collect()
    }

    fn incidents(&self) -> Vec<Incident> {
        let mut statuses: Vec<Status> = self.records.iter().filter_map(status).collect();
        statuses.sort_by_key(|status| (status.incident, status.stamp));
        let mut lives: Vec<Vec<Status>> = Vec::new();
        for status in statuses {
            match lives.last_mut().filter(|life| {
                life[0].incident == status.incident && status.stamp.time < life[0].stamp.time + 24 * HOUR
            }) {
                Some(life) => life.push(status),
                None => lives.push(vec![status]),
            }
        }
        lives.iter().filter_map(|life| self.incident(life)).collect()
    }

    fn incident(&self, life: &[Status]) -> Option<Incident> {
        let (first, last) = (life.first()?, life.last()?);
        let until = (last.stamp.time + 6 * HOUR).min(first.stamp.time + 24 * HOUR);
        let is_resolved = life.iter().any(|status| status.phase == Some(Phase::Resolved));
        if is_resolved || self.floor.is_some_and(|floor| until <= floor) {
            return None;
        }
        Some(Incident {
            life: LifeId { incident: first.incident, first: first.stamp },
            at: first.at.into(),
            kind: life.iter().rev().find_map(|status| status.kind),
            severity: life.iter().rev().find_map(|status| status.severity),
            responded: life.iter().find(|status| status.phase == Some(Phase::Responding)).map(|it| it.stamp.time),
            last: last.stamp.time,
            statuses: life.len() as u64,
        })
    }

    /// Sets of cells that grow together while two of them touch.
    fn clusters(&self) -> Vec<Cluster> {
        let level = |cell: &u64| self.since[cell];
        let congested = self.since.iter().filter(|(_, (level, _))| *level >= Level::Moderate);
        let mut sets: Vec<BTreeSet<u64>> = Vec::new();
        for (cell, _) in congested {
            let (touching, apart): (Vec<_>, Vec<_>) =
                sets.into_iter().partition(|set: &BTreeSet<u64>| set.iter().any(|other| steps(*cell, *other) <= 1));
            sets = apart;
            sets.push(touching.into_iter().flatten().chain([*cell]).collect());
        }
        let describe = |set: &BTreeSet<u64>| {
            let heaviest = set.iter().map(|cell| level(cell).0).max().unwrap();
            let heavy = set.iter().filter(|cell| level(cell).0 == heaviest);
            let head = *heavy.min_by_key(|cell| (level(cell).1, **cell)).unwrap();
            Cluster {
                id: *set.first().unwrap(),
                cells: set.len() as u32,
                since: set.iter().map(|cell| level(cell).1).min().unwrap(),
                head,
                tail: farthest(set, head),
            }
        };
        sets.iter().map(describe).collect()
    }

    fn worst(&self) -> Vec<Worst> {
        let row = |flow: &Flow| {
            let (ratio, current) = (flow.ratio()?, flow.current?);
            Some(Worst { rank: 0, cell: flow.cell, ratio, current, is_closed: flow.is_closed })
        };
        let mut rows: Vec<Worst> = self.flows.iter().filter_map(row).collect();
        rows.sort_by_key(|row| (row.ratio, row.cell));
        rows.truncate(20);
        (1..).zip(rows).map(|(rank, row)| Worst { rank, ..row }).collect()
    }
}

/// The cell that is reached last, ring by ring; of several the least.
fn farthest(set: &BTreeSet<u64>, head: u64) -> u64 {
    let (mut left, mut ring) = (set.clone(), BTreeSet::from([head]));
    loop {
        left = left.difference(&ring).copied().collect();
        let next: BTreeSet<u64> =
            left.iter().copied().filter(|cell| ring.iter().any(|other| steps(*cell, *other) == 1)).collect();
        if next.is_empty() {
            return *ring.first().unwrap();
        }
        ring = next;
    }
}

fn steps(one: u64, other: u64) -> i32 {
    let cell = |it: u64| CellIndex::try_from(it).unwrap();
    cell(one).grid_distance(cell(other)).unwrap()
}

fn latest<R: Copy + Stamped, K: Ord>(records: impl Iterator<Item = R>, key: impl Fn(&R) -> K) -> Vec<R> {
    let mut records: Vec<R> = records.collect();
    records.sort_by_key(|record| record.at());
    let by_key: BTreeMap<K, R> = records.into_iter().map(|record| (key(&record), record)).collect();
    by_key.into_values().collect()
}

trait Stamped {
    fn at(&self) -> (Micros, i32, i64);
}

impl Stamped for Ping {
    fn at(&self) -> (Micros, i32, i64) {
        (self.stamp.time, self.stamp.partition, self.stamp.offset)
    }
}

impl Stamped for Traffic {
    fn at(&self) -> (Micros, i32, i64) {
        (self.stamp.time, self.stamp.partition, self.stamp.offset)
    }
}

fn ping(record: &Record) -> Option<Ping> {
    if let Record::Ping(it) = record { Some(*it) } else { None }
}

fn traffic(record: &Record) -> Option<Traffic> {
    if let Record::Traffic(it) = record { Some(*it) } else { None }
}

fn status(record: &Record) -> Option<Status> {
    if let Record::Status(it) = record { Some(*it) } else { None }
}
