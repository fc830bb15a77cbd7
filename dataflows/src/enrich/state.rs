//! What is in reach: pings by cell, and the references that may govern them. A commit writes each changed ping once (D2);
//! what is final is freed without a write (D3); what was recalled counts as written (D4).

use super::correct::{Action, Corrections, replaced};
use super::nearby::{Episode, Nearby, cells_around, near};
use super::pings::{Cell, Held, Matches};
use super::references::{NONE, References, Slab, Span};
use super::{Aside, STATUS_REACH, TRAFFIC_REACH, WEATHER_REACH};
use crate::changes::{Change, EnrichedPing, IncidentMatch, TrafficMatch, WeatherMatch};
use crate::hash::IdMap;
use crate::incidents::{BEFORE, Circle, CircleChange, LifeId, Near};
use crate::measures::{Origin, distance_mm};
use crate::records::{Measure, Phase, Ping, Reading, Stamp, Status, Text, Traffic, Weather};
use crate::stage::Outputs;
use crate::time::{MINUTE, Micros};
use crate::timeline::Stamped;
use crate::turns::{Close, Turn};
use crate::windows::counts::Sum;

/// See the module.
#[derive(Default)]
pub struct State {
    cells: IdMap<u64, Cell>,
    regions: Vec<Region>,
    region_numbers: IdMap<u64, u32>,
    vehicles: Vec<Text>,
    vehicle_numbers: IdMap<Text, u32>,
    traffic: Slab<Traffic>,
    weather: Slab<Weather>,
    statuses: Slab<Status>,
    /// The statuses of each incident in the order of their stamps.
    incidents: IdMap<Text, Vec<(Stamp, u32)>>,
    nearby: Nearby,
    near: IdMap<(LifeId, bool), Tally>,
    dirty: Vec<u64>,
    /// How far the writing of the first dirty cell has come.
    chunk: usize,
    freed: Option<Micros>,
}

/// A cell of resolution 5.
struct Region {
    c5: u64,
    weather: References,
    /// The cells with pings in it, and a time after which they have none.
    cells: IdMap<u64, Micros>,
}

/// Who passed an incident since this was last told.
#[derive(Default)]
struct Tally {
    pings: i64,
    speed: Sum,
    vehicles: IdMap<Text, i64>,
}

impl State {
    /// Takes up traffic records.
    pub fn learn_traffic(&mut self, mut records: Vec<Traffic>, corrections: &mut Corrections) {
        records.sort_unstable_by_key(|record| (record.c8, record.stamp));
        for run in records.chunk_by(|a, b| a.c8 == b.c8) {
            let kept: Vec<_> = run.iter().map(|record| (record.stamp, self.traffic.keep(*record))).collect();
            let cell = self.cells.entry(run[0].c8).or_default();
            let spans = cell.traffic.learn(&kept, TRAFFIC_REACH);
            if spans.first().is_some_and(|span| cell.pings.last() >= Some(span.from)) {
                corrections.govern(vec![run[0].c8], spans, Action::Traffic);
            }
        }
    }

    /// Takes up weather records.
    pub fn learn_weather(&mut self, mut records: Vec<Weather>, corrections: &mut Corrections) {
        records.sort_unstable_by_key(|record| (record.c5, record.stamp));
        for run in records.chunk_by(|a, b| a.c5 == b.c5) {
            let kept: Vec<_> = run.iter().map(|record| (record.stamp, self.weather.keep(*record))).collect();
            let region = self.region(run[0].c5);
            let held = &mut self.regions[region as usize];
            let spans = held.weather.learn(&kept, WEATHER_REACH);
            let Some(from) = spans.first().map(|span| span.from) else { continue };
            // Most cells have no ping as late as what has come.
            let cells = held.cells.iter().filter(|(_, last)| **last >= from).map(|(c8, _)| *c8).collect();
            corrections.govern(cells, spans, |id| Action::Weather { region, id });
        }
    }

    /// Takes up statuses of incidents.
    pub fn learn_statuses(&mut self, records: Vec<Status>, corrections: &mut Corrections) {
        for status in records {
            let id = self.statuses.keep(status);
            let held = self.incidents.entry(status.incident).or_default();
            let at = held.partition_point(|(stamp, _)| *stamp < status.stamp);
            held.insert(at, (status.stamp, id));
            let (before, next) = (at.checked_sub(1).map(|at| held[at].1), held.get(at + 1).map(|next| next.0.time));
            // It has an episode, and ends that of the one before.
            before.into_iter().for_each(|before| self.end_episode(before, status.stamp.time, corrections));
            self.begin_episode(id, next, corrections);
        }
    }

    /// Ends the episode of a status, and has the pings after that corrected.
    fn end_episode(&mut self, id: u32, until: Micros, corrections: &mut Corrections) {
        let Some(status) = self.statuses.get(id).filter(|status| is_active(status)) else { return };
        let cells = cells_around(status.at);
        self.nearby.end_episode(&cells, id, until);
        corrections.add(cells, vec![(until, status.stamp.time + STATUS_REACH + 1, Action::Incidents)]);
    }

    /// Begins the episode of a status, which lasts until the next one, and has the pings in it corrected.
    fn begin_episode(&mut self, id: u32, next: Option<Micros>, corrections: &mut Corrections) {
        let Some(status) = self.statuses.get(id).filter(|status| is_active(status)) else { return };
        let (stamp, from, origin) = (status.stamp, status.stamp.time, status.at.into());
        let last = from + STATUS_REACH + 1;
        let until = next.map_or(last, |next| next.min(last));
        if from < until {
            let cells = cells_around(status.at);
            self.nearby.add_episode(&cells, Episode { from, until, stamp, id, origin });
            corrections.add(cells, vec![(from, until, Action::Incidents)]);
        }
    }

    /// Takes up circles that have changed.
    pub fn learn_circles(&mut self, changes: Vec<CircleChange>, corrections: &mut Corrections) {
        for CircleChange { old, new } in changes {
            let Some(place) = old.or(new).map(|circle| circle.at) else { continue };
            let cells = cells_around(place);
            if let Some(old) = &old {
                self.nearby.remove_circle(&cells, old.life);
            }
            if let Some(new) = &new {
                self.nearby.add_circle(&cells, *new);
            }
            corrections.add(cells, difference(old, new));
        }
    }

    /// Takes up pings, and matches each.
    pub fn learn_pings(&mut self, mut pings: Vec<Ping>) {
        pings.sort_unstable_by_key(|ping| (ping.c8, ping.c5, ping.stamp));
        for run in pings.chunk_by(|a, b| (a.c8, a.c5) == (b.c8, b.c5)) {
            let c8 = run[0].c8;
            let mut cell = self.cells.remove(&c8).unwrap_or_default();
            self.learn_run(&mut cell, run);
            let last = cell.pings.last().unwrap_or(Micros::MIN);
            for region in &cell.regions {
                self.regions[*region as usize].cells.insert(c8, last);
            }
            if !std::mem::replace(&mut cell.dirty, true) {
                self.dirty.push(c8);
            }
            self.cells.insert(c8, cell);
        }
    }

    /// Takes up pings of one cell and one region, in the order of their stamps: what governs one mostly governs the next.
    fn learn_run(&mut self, cell: &mut Cell, run: &[Ping]) {
        let region = self.region(run[0].c5);
        if !cell.regions.contains(&region) {
            cell.regions.push(region);
        }
        let (mut traffic, mut weather) = (Span::NEVER, Span::NEVER);
        for ping in run {
            let time = ping.stamp.time;
            if !traffic.holds(time) {
                traffic = cell.traffic.at(time, TRAFFIC_REACH);
            }
            if !weather.holds(time) {
                weather = self.regions[region as usize].weather.at(time, WEATHER_REACH);
            }
            let here = self.nearby.cell(ping.c8);
            let (active, status) = here.and_then(|here| here.active(time, ping.at)).unwrap_or((0, NONE));
            for circle in here.into_iter().flat_map(|here| here.circles(time, ping.at)) {
                tally(&mut self.near, circle, time, ping.vehicle, ping.speed, 1);
            }
            let vehicle = self.vehicle(ping.vehicle);
            let matches = Matches { traffic: traffic.id, weather: weather.id, status, active };
            cell.pings.insert(Held::new(ping.stamp, ping.at, ping.speed, vehicle, region, matches));
        }
    }

    fn region(&mut self, c5: u64) -> u32 {
        *self.region_numbers.entry(c5).or_insert_with(|| {
            self.regions.push(Region { c5, weather: References::default(), cells: IdMap::default() });
            self.regions.len() as u32 - 1
        })
    }

    fn vehicle(&mut self, text: Text) -> u32 {
        *self.vehicle_numbers.entry(text).or_insert_with(|| {
            self.vehicles.push(text);
            self.vehicles.len() as u32 - 1
        })
    }

    /// The time of the last ping of a cell.
    pub fn last_ping(&self, c8: u64) -> Option<Micros> {
        self.cells.get(&c8)?.pings.last()
    }

    /// Corrects the pings of a cell in a span of time; where to go on if the fuel ran out.
    pub fn correct(
        &mut self,
        c8: u64,
        from: Micros,
        until: Micros,
        action: Action,
        fuel: &mut usize,
    ) -> Option<Micros> {
        let cell = self.cells.get_mut(&c8)?;
        let here = self.nearby.cell(c8);
        let circle = match action {
            Action::Near(circle, diff) => Some((circle, Origin::from(circle.at), diff)),
            _ => None,
        };
        let was_dirty = cell.dirty;
        let next = cell.amend(from, until, fuel, |held| {
            let time = held.stamp().time;
            if let Some((circle, origin, diff)) = &circle {
                if near(origin, held.at()).is_some() {
                    tally(&mut self.near, circle, time, self.vehicles[held.vehicle as usize], held.speed, *diff);
                }
                return held.matches();
            }
            let around = matches!(action, Action::Incidents).then(|| here?.active(time, held.at())).flatten();
            replaced(held, action, around)
        });
        if cell.dirty && !was_dirty {
            self.dirty.push(c8);
        }
        next
    }

    /// Closes an epoch while there is fuel.
    pub fn close(&mut self, turn: &Turn, fuel: &mut usize, out: &mut Outputs<Change<EnrichedPing>, Aside>) -> bool {
        for ((life, during), tally) in self.near.drain() {
            let Tally { pings, speed, vehicles } = tally;
            let vehicles = vehicles.into_iter().filter(|(_, pings)| *pings != 0).collect();
            out.side.push(Aside::Near(Near { life, during, pings, speed, vehicles }));
        }
        if turn.close == Close::Open {
            return true;
        }
        while let Some(c8) = self.dirty.last().copied() {
            if *fuel == 0 {
                return false;
            }
            self.write(c8, turn.close == Close::Recall, fuel, out);
        }
        // Once a minute is often enough: it visits every cell.
        let freed = self.freed;
        if let Some(horizon) = turn.horizon.filter(|h| freed.is_none_or(|freed| *h >= freed + MINUTE)) {
            self.freed = Some(horizon);
            self.free_before(horizon);
        }
        true
    }

    /// Writes one chunk of a dirty cell, or tells what it recalls.
    fn write(&mut self, c8: u64, recall: bool, fuel: &mut usize, out: &mut Outputs<Change<EnrichedPing>, Aside>) {
        let Some(mut cell) = self.cells.remove(&c8) else {
            self.dirty.pop();
            return;
        };
        let written = cell.settle(self.chunk, |held, old| {
            let row = |matches| self.row(c8, held, matches);
            if recall {
                out.side.push(Aside::Recalled(Change { row: row(held.matches()), diff: 1 }));
                return;
            }
            out.rows.extend(old.map(|old| Change { row: row(old), diff: -1 }));
            out.rows.push(Change { row: row(held.matches()), diff: 1 });
        });
        self.chunk += 1;
        if written.is_none() {
            cell.settled();
            self.dirty.pop();
            self.chunk = 0;
        }
        *fuel = fuel.saturating_sub(written.unwrap_or(1));
        self.cells.insert(c8, cell);
    }

    fn row(&self, c8: u64, held: &Held, matches: Matches) -> EnrichedPing {
        let (stamp, at) = (held.stamp(), held.at());
        let (vehicle, c5) = (self.vehicles[held.vehicle as usize], self.regions[held.region as usize].c5);
        let ping = Ping { stamp, vehicle, at, speed: held.speed, c8, c5 };
        let traffic = self.traffic.get(matches.traffic).map(|record| TrafficMatch {
            stamp: record.stamp,
            distance_mm: distance_mm(at, record.at),
            source: record.source,
            level: record.level,
            current: record.current,
            free_flow: record.free_flow,
        });
        let weather = self.weather.get(matches.weather).map(|record| WeatherMatch {
            stamp: record.stamp,
            distance_mm: distance_mm(at, record.at),
            source: record.source,
            condition: record.condition,
            sky: record.sky,
            precipitation: record.measures[Measure::Precipitation as usize],
            rain: record.is_rain(),
        });
        let incidents = self.statuses.get(matches.status).map(|status| IncidentMatch {
            active: matches.active.into(),
            incident: status.incident,
            stamp: status.stamp,
            distance_mm: distance_mm(at, status.at),
            source: status.source,
        });
        EnrichedPing { ping, traffic, weather, incidents }
    }

    fn free_before(&mut self, horizon: Micros) {
        self.cells.retain(|c8, cell| {
            cell.pings.free_before(horizon - BEFORE);
            cell.traffic.free_before(horizon - TRAFFIC_REACH, &mut self.traffic);
            let keep = !cell.pings.is_empty() || !cell.traffic.is_empty();
            if !keep {
                for region in &cell.regions {
                    self.regions[*region as usize].cells.remove(c8);
                }
            }
            keep
        });
        for region in &mut self.regions {
            region.weather.free_before(horizon - WEATHER_REACH, &mut self.weather);
        }
        self.nearby.free_before(horizon);
        self.incidents.retain(|_, held| {
            // The last one before the horizon ends no episode that matters.
            let gone = held.partition_point(|(stamp, _)| stamp.time + STATUS_REACH < horizon);
            held.drain(..gone).for_each(|(_, id)| self.statuses.free(id));
            !held.is_empty()
        });
    }
}

fn is_active(status: &Status) -> bool {
    status.phase.is_some_and(Phase::is_active)
}

/// What the pings in reach count less for `old`, and more for `new`. Where only the end moves, only what lies between the
/// two ends is counted: what is before may have been freed.
fn difference(old: Option<Circle>, new: Option<Circle>) -> Vec<(Micros, Micros, Action)> {
    let whole = |circle: Circle, diff| (circle.from(), circle.until, Action::Near(circle, diff));
    match (old, new) {
        (Some(old), Some(new)) if (old.active, old.at, old.life) == (new.active, new.at, new.life) => {
            let (from, until) = (old.until.min(new.until), old.until.max(new.until));
            let (circle, diff) = if new.until > old.until { (new, 1) } else { (old, -1) };
            if from < until { vec![(from, until, Action::Near(circle, diff))] } else { Vec::new() }
        }
        _ => old.map(|old| whole(old, -1)).into_iter().chain(new.map(|new| whole(new, 1))).collect(),
    }
}

fn tally(
    near: &mut IdMap<(LifeId, bool), Tally>,
    circle: &Circle,
    time: Micros,
    vehicle: Text,
    speed: Reading,
    diff: i64,
) {
    let during = time >= circle.active;
    let tally = near.entry((circle.life, during)).or_default();
    tally.pings += diff;
    tally.speed.add_reading(speed, diff);
    if during {
        *tally.vehicles.entry(vehicle).or_default() += diff;
    }
}
