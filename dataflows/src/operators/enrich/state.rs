//! What is in reach: pings by cell, and the references that may govern them. A commit writes each changed ping once (D2);
//! what is final is sealed (F1) and freed (D3); what was recovered counts as written (D4).

use std::ops::Range;

use super::cell_references::{Active, CellReferences, Validity, near};
use super::correct::{Act, Action, Corrections, Counting, Episode};
use super::disks::{Disks, Share};
use super::interned::Interned;
use super::pings::{Cell, Held, Matches};
use super::tallies::Tallies;
use super::{Aside, STATUS_REACH, STEP, TRAFFIC_REACH};
use crate::held::{Amount, Balance, Kind};
use crate::operators::incidents::{BEFORE, Circle, CircleChange, LifeId};
use crate::operators::references::{Reference, Span};
use crate::operators::stage::Outputs;
use crate::operators::timeline::Stamped;
use crate::operators::weather_join::{Joined, Late};
use crate::records::changes::{Change, EnrichedPing};
use crate::records::hash::IdMap;
use crate::records::{Phase, Ping, Point, Stamp, Status, TextId, Traffic};
use crate::time::closes::{CloseKind, EpochClose};
use crate::time::every::Every;
use crate::time::seals::Seals;
use crate::time::{HOUR, Micros};

/// What is told of pings.
type Emits = Outputs<Change<EnrichedPing>, Aside, EnrichedPing>;

/// See the module.
pub struct State {
    cells: IdMap<u64, Cell>,
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
    seals: Seals,
    /// The cells whose pings are still to be sealed, each from a time on; `None`: nothing is being sealed.
    sealing: Option<Vec<(u64, Micros)>>,
    /// When numbers are freed.
    sweeping: Every,
}

impl State {
    /// Nothing is in reach.
    pub fn new(share: Share) -> State {
        State {
            cells: IdMap::default(),
            interned: Interned::default(),
            incidents: IdMap::default(),
            circles: IdMap::default(),
            disks: Disks::new(share),
            tallies: Tallies::default(),
            dirty: Vec::new(),
            pings: Amount::default(),
            reaching: 0,
            chunk: 0,
            seals: Seals::new(STEP),
            sealing: None,
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

    /// Takes up statuses of incidents.
    pub fn learn_statuses(&mut self, mut records: Vec<Status>, corrections: &mut Corrections) {
        records.sort_unstable_by_key(|status| (status.incident, status.stamp));
        records.dedup_by_key(|status| (status.incident, status.stamp));
        records.chunk_by(|a, b| a.incident == b.incident).for_each(|run| self.learn_incident(run, corrections));
    }

    /// Takes up statuses of one incident, in order. Each has an episode, which begins with its end known; the first of those between
    /// two that were here ends that of the one before.
    fn learn_incident(&mut self, run: &[Status], corrections: &mut Corrections) {
        let held = self.incidents.entry(run[0].incident).or_default();
        let (mut ended, mut begun, mut last) = (Vec::new(), Vec::with_capacity(run.len()), None);
        for status in run {
            let at = held.partition_point(|(stamp, _)| *stamp < status.stamp);
            let id = self.interned.statuses.keep(*status);
            held.insert(at, (status.stamp, id));
            // Those of the run that come later are not here yet.
            if let Some(before) = at.checked_sub(1).filter(|before| last != Some(*before)) {
                ended.push((held[before].1, status.stamp.time, time_of(held, at + 1)));
            }
            begun.push((at, id));
            last = Some(at);
        }
        let begun: Vec<_> = begun.into_iter().map(|(at, id)| (id, time_of(held, at + 1))).collect();
        ended.into_iter().for_each(|(id, now, next)| self.end_episode(id, now, next, corrections));
        begun.into_iter().for_each(|(id, next)| self.begin_episode(id, next, corrections));
    }

    /// Ends the episode of a status, which lasted until the next one, and has the pings in the rest of it corrected.
    fn end_episode(&mut self, id: u32, now: Micros, next: Option<Micros>, corrections: &mut Corrections) {
        let Some((status, until)) = self.episode(id, next) else { return };
        if now < until {
            let cells = self.reach(status.at, now, |here| here.end_episode(status.incident, id, now));
            let action = Action::Incident(Episode { id, origin: status.at.into(), begins: false });
            corrections.add(cells, vec![Act { from: now, until, action }]);
        }
    }

    /// Begins the episode of a status, which lasts until the next one, and has the pings in it corrected.
    fn begin_episode(&mut self, id: u32, next: Option<Micros>, corrections: &mut Corrections) {
        let Some((status, until)) = self.episode(id, next) else { return };
        let (from, origin) = (status.stamp.time, status.at.into());
        if from < until {
            let episode = Validity { from, until, id, origin };
            let cells = self.reach(status.at, from, |here| here.add_episode(status.incident, episode));
            let action = Action::Incident(Episode { id, origin, begins: true });
            corrections.add(cells, vec![Act { from, until, action }]);
        }
    }

    /// A status that says that its incident is active, and until when, if the next one comes then.
    fn episode(&self, id: u32, next: Option<Micros>) -> Option<(Status, Micros)> {
        let status = self.interned.statuses.get(id).copied().filter(is_active)?;
        let last = status.stamp.time + STATUS_REACH + 1;
        Some((status, next.map_or(last, |next| next.min(last))))
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
            self.tallies.change(&change);
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

    /// Takes up pings, and matches each; and weather that came after pings that it governs.
    pub fn learn_joined(&mut self, joined: &[Joined], corrections: &mut Corrections) {
        let mut pings: Vec<(u64, &Ping, u32)> = Vec::with_capacity(joined.len());
        for each in joined {
            match each {
                // In the order of time many pings have the same weather: it is looked up before they are sorted.
                Joined::Ping(ping, weather) => pings.push((ping.c8, ping, self.interned.weather.of(weather.as_ref()))),
                Joined::Late(late) => self.learn_late(late, corrections),
            }
        }
        self.pings += Amount::of::<Held>(pings.len(), 0);
        pings.sort_by_key(|(c8, ..)| *c8);
        for run in pings.chunk_by(|a, b| a.0 == b.0) {
            let c8 = run[0].0;
            let cell = self.cells.entry(c8).or_default();
            learn_run(cell, &mut self.interned, &mut self.tallies, run);
            if !std::mem::replace(&mut cell.dirty, true) {
                self.dirty.push(c8);
            }
        }
    }

    /// Takes up weather that came after pings that it governs.
    fn learn_late(&mut self, late: &Late, corrections: &mut Corrections) {
        let (region, id) = (self.interned.regions.of(late.c5), self.interned.weather.of(Some(&late.weather)));
        let act = Act { from: late.from, until: late.until, action: Action::Weather { region, id } };
        corrections.add_one(late.c8, act);
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
                Action::Weather { region, id } if held.region == *region => {
                    Matches { weather: self.interned.weather.later(old.weather, *id), ..old }
                }
                Action::Weather { .. } => old,
                Action::Incident(episode) => {
                    old.around(here.after(old.incidents(), episode, (time, at), &self.interned.statuses))
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
    pub fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut Emits) -> bool {
        if close.kind == CloseKind::Open {
            return true;
        }
        let Interned { vehicles, .. } = &self.interned;
        if !self.tallies.tell(fuel, vehicles, |near| out.side.push(Aside::Near(near))) {
            return false;
        }
        while let Some(c8) = self.dirty.last().copied() {
            if *fuel == 0 {
                return false;
            }
            self.write(c8, close.kind == CloseKind::Recovery, fuel, out);
        }
        // Once a step only: it visits every cell.
        let Some(due) = self.seals.due(close) else { return true };
        if close.kind == CloseKind::Seal && !self.seal(&due, fuel, &mut out.sealed) {
            return false;
        }
        self.seals.pass(due.end);
        self.free_before(due.end);
        // Once an hour: it visits every ping.
        if self.sweeping.is_due(due.end) {
            self.free_numbers();
        }
        true
    }

    /// Goes on sealing the pings of a span of time; true once all are.
    fn seal(&mut self, due: &Range<Micros>, fuel: &mut usize, out: &mut Vec<EnrichedPing>) -> bool {
        let State { cells, interned, sealing, .. } = self;
        let left = sealing.get_or_insert_with(|| cells.keys().map(|c8| (*c8, due.start)).collect());
        while let Some((c8, from)) = left.pop() {
            let Some(cell) = cells.get(&c8) else { continue };
            let mut last = None;
            for held in cell.pings.range(from, due.end) {
                let time = held.stamp().time;
                if *fuel == 0 && last.is_some_and(|last| last < time) {
                    left.push((c8, time));
                    return false;
                }
                *fuel = fuel.saturating_sub(1);
                last = Some(time);
                out.push(interned.row(c8, held, held.matches()));
            }
            if *fuel == 0 {
                return false;
            }
        }
        *sealing = None;
        true
    }

    /// Writes one chunk of a dirty cell, or tells what it recovers.
    fn write(&mut self, c8: u64, recovery: bool, fuel: &mut usize, out: &mut Emits) {
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
        references += statuses.held();
        // Each has a reference by time to it. Weather records are counted where they are joined.
        references += Amount::bytes(references.count * size_of::<Reference>() + weather.bytes() + self.reaching);
        balance.set(Kind::References, references);
        balance.set(Kind::Names, Amount::bytes(self.interned.vehicles.bytes()));
        balance.set(Kind::Incidents, Amount::bytes(self.tallies.bytes()));
    }

    /// Frees what no ping, or circle, at a time or later depends on.
    fn free_before(&mut self, horizon: Micros) {
        (self.pings, self.reaching) = (Amount::bytes(Amount::in_map::<Cell>(self.cells.len()).bytes), 0);
        self.cells.retain(|_, cell| {
            cell.pings.free_before(horizon - BEFORE);
            cell.traffic.free_before(horizon - TRAFFIC_REACH, &mut self.interned.traffic);
            cell.references.free_before(horizon);
            self.pings += Amount { count: cell.pings.len(), bytes: cell.pings.bytes() };
            self.reaching += cell.references.bytes();
            !cell.pings.is_empty() || !cell.traffic.is_empty() || !cell.references.is_empty()
        });
        self.interned.weather.free_before(horizon);
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
        let pings = || self.cells.values().flat_map(|cell| cell.pings.iter());
        self.interned.vehicles.keep_only(pings().map(|held| held.vehicle));
        self.interned.regions.keep_only(pings().map(|held| held.region));
    }
}

/// Takes up pings of one cell, each with the number of its weather, as they came: mostly in the order of time, so that what
/// governs one governs the next.
fn learn_run(cell: &mut Cell, interned: &mut Interned, tallies: &mut Tallies, pings: &[(u64, &Ping, u32)]) {
    let mut traffic = Span::NEVER;
    for &(_, ping, weather) in pings {
        let time = ping.stamp.time;
        if !traffic.holds(time) {
            traffic = cell.traffic.at(time, TRAFFIC_REACH);
        }
        let Active { count: active, nearest: status } = cell.references.active(time, ping.at, &interned.statuses);
        let (vehicle, region) = (interned.vehicles.of(ping.vehicle), interned.regions.of(ping.c5));
        let matches = Matches { traffic: traffic.id, weather, status, active };
        let held = Held::new(ping.stamp, ping.at, ping.speed, vehicle, region, matches);
        for circle in cell.references.circles(time, ping.at).filter_map(|id| interned.circles.get(id)) {
            tallies.add(circle, &held, Counting { pings: 1, passages: true });
        }
        cell.pings.insert(held);
    }
}

fn time_of(statuses: &[(Stamp, u32)], at: usize) -> Option<Micros> {
    statuses.get(at).map(|(stamp, _)| stamp.time)
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
