//! What is in reach: pings by cell, and the references that may govern them. A commit writes each changed ping once (D2);
//! what is final is freed without a write (D3); what was recovered counts as written (D4).

use super::cell_references::{CellReferences, Validity, near};
use super::correct::{Act, Action, Corrections, Counting};
use super::disks::{Disks, Share};
use super::interned::Interned;
use super::pings::{Cell, Held, Matches};
use super::references::{NONE, Reference, References, Span};
use super::tallies::Tallies;
use super::{Aside, STATUS_REACH, TRAFFIC_REACH, WEATHER_REACH};
use crate::held::{Amount, Balance, Kind};
use crate::operators::incidents::{BEFORE, Circle, CircleChange, LifeId};
use crate::operators::stage::Outputs;
use crate::operators::timeline::Stamped;
use crate::records::changes::{Change, EnrichedPing};
use crate::records::hash::IdMap;
use crate::records::{Phase, Ping, Point, Stamp, Status, TextId, Traffic, Weather};
use crate::time::closes::{CloseKind, EpochClose};
use crate::time::every::Every;
use crate::time::{HOUR, MINUTE, Micros};

/// See the module.
pub struct State {
    cells: IdMap<u64, Cell>,
    regions: Vec<Region>,
    interned: Interned,
    /// The statuses of each incident in the order of their stamps.
    incidents: IdMap<TextId, Vec<(Stamp, u32)>>,
    circles: IdMap<LifeId, u32>,
    disks: Disks,
    tallies: Tallies,
    dirty: Vec<u64>,
    /// Pings held.
    pings: Amount,
    /// Bytes of what reaches cells.
    reaching: usize,
    /// How far the writing of the first dirty cell has come.
    chunk: usize,
    /// When what is final is freed, and numbers.
    freeing: Every,
    sweeping: Every,
}

/// A cell of resolution 5.
#[derive(Default)]
struct Region {
    weather: References,
    /// The cells with pings in it, and a time after which they have none.
    cells: IdMap<u64, Micros>,
}

impl State {
    /// Nothing is in reach.
    pub fn new(share: Share) -> State {
        State {
            cells: IdMap::default(),
            regions: Vec::new(),
            interned: Interned::default(),
            incidents: IdMap::default(),
            circles: IdMap::default(),
            disks: Disks::new(share),
            tallies: Tallies::default(),
            dirty: Vec::new(),
            pings: Amount::default(),
            reaching: 0,
            chunk: 0,
            freeing: Every::new(MINUTE),
            sweeping: Every::new(HOUR),
        }
    }

    /// Takes up traffic records.
    pub fn learn_traffic(&mut self, mut records: Vec<Traffic>, corrections: &mut Corrections) {
        records.sort_unstable_by_key(|record| (record.c8, record.stamp));
        for run in records.chunk_by(|a, b| a.c8 == b.c8) {
            let kept: Vec<_> = run.iter().map(|record| (record.stamp, self.interned.traffic.keep(*record))).collect();
            let cell = self.cells.entry(run[0].c8).or_default();
            let spans = cell.traffic.learn(&kept, TRAFFIC_REACH);
            if spans.first().is_some_and(|span| cell.pings.last() >= Some(span.from)) {
                corrections.govern(vec![run[0].c8], &spans, Action::Traffic);
            }
        }
    }

    /// Takes up weather records.
    pub fn learn_weather(&mut self, mut records: Vec<Weather>, corrections: &mut Corrections) {
        records.sort_unstable_by_key(|record| (record.c5, record.stamp));
        for run in records.chunk_by(|a, b| a.c5 == b.c5) {
            let kept: Vec<_> = run.iter().map(|record| (record.stamp, self.interned.weather.keep(*record))).collect();
            let region = region(&mut self.regions, &mut self.interned, run[0].c5);
            let held = &mut self.regions[region as usize];
            let spans = held.weather.learn(&kept, WEATHER_REACH);
            let Some(from) = spans.first().map(|span| span.from) else { continue };
            // Most cells have no ping as late as what has come.
            let cells = held.cells.iter().filter(|(_, last)| **last >= from).map(|(c8, _)| *c8).collect();
            corrections.govern(cells, &spans, |id| Action::Weather { region, id });
        }
    }

    /// Takes up statuses of incidents.
    pub fn learn_statuses(&mut self, records: Vec<Status>, corrections: &mut Corrections) {
        for status in records {
            let id = self.interned.statuses.keep(status);
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
        let Some(status) = self.interned.statuses.get(id).copied().filter(is_active) else { return };
        let cells = self.reach(status.at, until, |here| here.end_episode(status.incident, id, until));
        let last = status.stamp.time + STATUS_REACH + 1;
        corrections.add(cells, vec![Act { from: until, until: last, action: Action::Incidents }]);
    }

    /// Begins the episode of a status, which lasts until the next one, and has the pings in it corrected.
    fn begin_episode(&mut self, id: u32, next: Option<Micros>, corrections: &mut Corrections) {
        let Some(status) = self.interned.statuses.get(id).copied().filter(is_active) else { return };
        let (from, origin) = (status.stamp.time, status.at.into());
        let last = from + STATUS_REACH + 1;
        let until = next.map_or(last, |next| next.min(last));
        if from < until {
            let episode = Validity { from, until, id, origin };
            let cells = self.reach(status.at, from, |here| here.add_episode(status.incident, episode));
            corrections.add(cells, vec![Act { from, until, action: Action::Incidents }]);
        }
    }

    /// Takes up circles that have changed.
    pub fn learn_circles(&mut self, changes: Vec<CircleChange>, corrections: &mut Corrections) {
        for change in changes {
            let CircleChange { old, new } = change;
            let Some(place) = old.or(new).map(|circle| circle.at) else { continue };
            let gone = old.and_then(|old| self.circles.remove(&old.life));
            let come = new.map(|new| Validity {
                from: new.from(),
                until: new.until,
                id: *self.circles.entry(new.life).insert_entry(self.interned.circles.keep(new)).get(),
                origin: new.at.into(),
            });
            gone.into_iter().for_each(|id| self.interned.circles.free(id));
            let acts = recount(&change);
            let from = acts.iter().map(|act| act.from).min().unwrap_or(Micros::MAX);
            let cells = self.reach(place, from, |here| here.replace_circle(gone, come));
            acts.into_iter().for_each(|act| corrections.add(cells.clone(), vec![act]));
        }
    }

    /// Changes what reaches the cells around a place; those of them with pings from a time on.
    fn reach(&mut self, place: Point, from: Micros, change: impl Fn(&mut CellReferences)) -> Vec<u64> {
        let touched = |c8: &u64| {
            let cell = self.cells.entry(*c8).or_default();
            let before = cell.references.len();
            change(&mut cell.references);
            // What has gone is seen when all is.
            self.reaching += cell.references.len().saturating_sub(before) * size_of::<Validity>();
            cell.pings.last() >= Some(from)
        };
        self.disks.around(place).into_iter().filter(touched).collect()
    }

    /// Takes up pings, and matches each.
    pub fn learn_pings(&mut self, mut pings: Vec<Ping>) {
        self.pings += Amount::of::<Held>(pings.len(), 0);
        pings.sort_unstable_by_key(|ping| (ping.c8, ping.c5, ping.stamp));
        for run in pings.chunk_by(|a, b| (a.c8, a.c5) == (b.c8, b.c5)) {
            let c8 = run[0].c8;
            let region = region(&mut self.regions, &mut self.interned, run[0].c5);
            let cell = self.cells.entry(c8).or_default();
            if !cell.regions.contains(&region) {
                cell.regions.push(region);
            }
            learn_run(
                cell,
                &mut self.interned,
                &mut self.tallies,
                (region, &self.regions[region as usize].weather),
                run,
            );
            let last = cell.pings.last().unwrap_or(Micros::MIN);
            for region in &cell.regions {
                self.regions[*region as usize].cells.insert(c8, last);
            }
            if !std::mem::replace(&mut cell.dirty, true) {
                self.dirty.push(c8);
            }
        }
    }

    /// Corrects what is here while there is fuel.
    pub fn correct(&mut self, corrections: &mut Corrections, fuel: &mut usize) {
        corrections.go_on(fuel, |c8, from, acts, fuel| self.correct_cell(c8, from, acts, fuel));
    }

    /// Corrects the pings of a cell from a time on; where to go on if the fuel ran out.
    fn correct_cell(&mut self, c8: u64, from: Micros, acts: &[Act], fuel: &mut usize) -> Option<Micros> {
        let cell = self.cells.get_mut(&c8)?;
        let (was_dirty, here) = (cell.dirty, std::mem::take(&mut cell.references));
        let next = cell.amend(from, acts, fuel, |held, action| {
            let (old, at, time) = (held.matches(), held.at(), held.stamp().time);
            match action {
                Action::Traffic(id) => Matches { traffic: *id, ..old },
                Action::Weather { region, id } if held.region == *region => Matches { weather: *id, ..old },
                Action::Weather { .. } => old,
                Action::Incidents => {
                    let (active, status) = here.active(time, at, &self.interned.statuses).unwrap_or((0, NONE));
                    Matches { active, status, ..old }
                }
                Action::Near(circle, origin, counting) => {
                    if near(origin, at).is_some() {
                        self.tallies.add(circle, held, *counting);
                    }
                    old
                }
            }
        });
        cell.references = here;
        if cell.dirty && !was_dirty {
            self.dirty.push(c8);
        }
        next
    }

    /// Closes an epoch while there is fuel.
    pub fn close(
        &mut self,
        close: &EpochClose,
        fuel: &mut usize,
        out: &mut Outputs<Change<EnrichedPing>, Aside>,
    ) -> bool {
        let Interned { vehicles, .. } = &self.interned;
        if !self.tallies.tell(fuel, vehicles, |near| out.side.push(Aside::Near(near))) {
            return false;
        }
        if close.kind == CloseKind::Open {
            return true;
        }
        while let Some(c8) = self.dirty.last().copied() {
            if *fuel == 0 {
                return false;
            }
            self.write(c8, close.kind == CloseKind::Recovery, fuel, out);
        }
        // Once a minute is often enough: it visits every cell.
        if let Some(horizon) = close.horizon.filter(|h| self.freeing.is_due(*h)) {
            self.free_before(horizon);
            // Once an hour: it visits every ping.
            if self.sweeping.is_due(horizon) {
                self.free_numbers();
            }
        }
        true
    }

    /// Writes one chunk of a dirty cell, or tells what it recovers.
    fn write(&mut self, c8: u64, recovery: bool, fuel: &mut usize, out: &mut Outputs<Change<EnrichedPing>, Aside>) {
        let Some(cell) = self.cells.get_mut(&c8) else {
            self.dirty.pop();
            return;
        };
        let written = cell.flush(self.chunk, |held, old| {
            let row = |matches| self.interned.row(c8, held, matches);
            if recovery {
                out.side.push(Aside::Recovered(Change { row: row(held.matches()), diff: 1 }));
                return;
            }
            out.rows.extend(old.map(|old| Change { row: row(old), diff: -1 }));
            out.rows.push(Change { row: row(held.matches()), diff: 1 });
        });
        self.chunk += 1;
        if written.is_none() {
            cell.flushed();
            self.dirty.pop();
            self.chunk = 0;
        }
        *fuel = fuel.saturating_sub(written.unwrap_or(1));
    }

    /// Tells what is held: as of the last time that all of it was seen, and what came since.
    pub fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Pings, self.pings);
        let Interned { traffic, weather, statuses, .. } = &self.interned;
        let mut references = traffic.held();
        references += weather.held();
        references += statuses.held();
        // Each has a reference by time to it.
        references += Amount::bytes(references.count * size_of::<Reference>() + self.reaching);
        balance.set(Kind::References, references);
        balance.set(Kind::Names, Amount::bytes(self.interned.vehicles.bytes()));
        balance.set(Kind::Incidents, Amount::bytes(self.tallies.bytes()));
    }

    fn free_before(&mut self, horizon: Micros) {
        (self.pings, self.reaching) = (Amount::bytes(Amount::in_map::<Cell>(self.cells.len()).bytes), 0);
        self.cells.retain(|c8, cell| {
            cell.pings.free_before(horizon - BEFORE);
            cell.traffic.free_before(horizon - TRAFFIC_REACH, &mut self.interned.traffic);
            cell.references.free_before(horizon);
            self.pings += Amount { count: cell.pings.len(), bytes: cell.pings.bytes() };
            self.reaching += cell.references.bytes();
            let keep = !cell.pings.is_empty() || !cell.traffic.is_empty() || !cell.references.is_empty();
            if !keep {
                for region in &cell.regions {
                    self.regions[*region as usize].cells.remove(c8);
                }
            }
            keep
        });
        for region in &mut self.regions {
            region.weather.free_before(horizon - WEATHER_REACH, &mut self.interned.weather);
        }
        self.circles.retain(|_, id| {
            let keep = self.interned.circles.get(*id).is_some_and(|circle| circle.until > horizon);
            if !keep {
                self.interned.circles.free(*id);
            }
            keep
        });
        self.incidents.retain(|_, held| {
            // The last one before the horizon ends no episode that matters.
            let gone = held.partition_point(|(stamp, _)| stamp.time + STATUS_REACH < horizon);
            held.drain(..gone).for_each(|(_, id)| self.interned.statuses.free(id));
            !held.is_empty()
        });
    }

    /// Frees the numbers of vehicles and regions that no ping here refers to.
    fn free_numbers(&mut self) {
        let pings = self.cells.values().flat_map(|cell| cell.pings.iter());
        self.interned.vehicles.keep_only(pings.map(|held| held.vehicle));
        let regions = &mut self.regions;
        self.interned.regions.free_unused(|number| {
            let region = &mut regions[number as usize];
            let keep = !region.weather.is_empty() || !region.cells.is_empty();
            if !keep {
                *region = Region::default();
            }
            keep
        });
    }
}

/// The number of a cell of resolution 5.
fn region(regions: &mut Vec<Region>, interned: &mut Interned, c5: u64) -> u32 {
    let number = interned.regions.of(c5);
    if number as usize == regions.len() {
        regions.push(Region::default());
    }
    number
}

/// Takes up pings of one cell and one region, in the order of their stamps: what governs one mostly governs the next.
fn learn_run(
    cell: &mut Cell,
    interned: &mut Interned,
    tallies: &mut Tallies,
    region: (u32, &References),
    run: &[Ping],
) {
    let (mut traffic, mut weather) = (Span::NEVER, Span::NEVER);
    for ping in run {
        let time = ping.stamp.time;
        if !traffic.holds(time) {
            traffic = cell.traffic.at(time, TRAFFIC_REACH);
        }
        if !weather.holds(time) {
            weather = region.1.at(time, WEATHER_REACH);
        }
        let (active, status) = cell.references.active(time, ping.at, &interned.statuses).unwrap_or((0, NONE));
        let vehicle = interned.vehicles.of(ping.vehicle);
        let matches = Matches { traffic: traffic.id, weather: weather.id, status, active };
        let held = Held::new(ping.stamp, ping.at, ping.speed, vehicle, region.0, matches);
        for circle in cell.references.circles(time, ping.at).filter_map(|id| interned.circles.get(id)) {
            tallies.add(circle, &held, Counting { pings: 1, passages: true });
        }
        cell.pings.insert(held);
    }
}

fn is_active(status: &Status) -> bool {
    status.phase.is_some_and(Phase::is_active)
}

/// What the pings in reach count less for the old circle and more for the new one, and who passed that. Where only the end
/// moves, only what lies between the two ends is counted: what is before may have been freed.
fn recount(change: &CircleChange) -> Vec<Act> {
    let act = |from, until, circle: Circle, pings, passages| {
        let action = Action::Near(circle, circle.at.into(), Counting { pings, passages });
        (from < until).then_some(Act { from, until, action })
    };
    let acts = match (change.old, change.new) {
        (Some(old), Some(new)) if old.is_of(&new) => [
            act(new.until, old.until, old, -1, false),
            act(old.until, new.until, new, 1, true),
            act(change.stands_until(), new.until.min(old.until), new, 0, true),
        ],
        (old, new) => [
            old.and_then(|old| act(old.from(), old.until, old, -1, false)),
            new.and_then(|new| act(new.from(), new.until, new, 1, true)),
            None,
        ],
    };
    acts.into_iter().flatten().collect()
}
