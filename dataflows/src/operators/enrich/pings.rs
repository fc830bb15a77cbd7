//! The pings of one cell that are in reach, each with what governs it.

use super::cell_references::{Active, CellReferences, MOST_ACTIVE};
use super::correct::{Act, Action};
use crate::operators::references::{NONE, References};
use crate::operators::timeline::{Stamped, Timeline};
use crate::records::{Point, Reading, Stamp};
use crate::time::Micros;

/// What governs a ping: numbers of kept records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matches {
    /// The traffic record.
    pub traffic: u32,
    /// The weather record.
    pub weather: u32,
    /// The status of the nearest active incident.
    pub status: u32,
    /// How many incidents are active.
    pub active: u16,
}

impl Matches {
    /// The active incidents.
    pub fn incidents(&self) -> Active {
        Active { count: self.active, nearest: self.status }
    }

    /// The same with other incidents.
    pub fn around(self, active: Active) -> Matches {
        Matches { active: active.count, status: active.nearest, ..self }
    }
}

/// A ping in 64 bytes: its cell is where it is held, its texts and its wider cell are small numbers.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    time: Micros,
    offset: i64,
    lat: f64,
    lon: f64,
    /// km/h.
    pub speed: Reading,
    /// The vehicle's number.
    pub vehicle: u32,
    /// The region's number.
    pub region: u32,
    traffic: u32,
    weather: u32,
    status: u32,
    partition: u16,
    /// The count of active incidents, and the two flags.
    active: u16,
}

const _: () = assert!(size_of::<Held>() == 64);

/// Not written yet.
const FRESH: u16 = 1 << 15;
/// Written with other matches, which stand in [`Cell::before`].
const CHANGED: u16 = 1 << 14;
const _: () = assert!(MOST_ACTIVE < CHANGED);

impl Held {
    /// A ping that is not written yet.
    pub fn new(stamp: Stamp, at: Point, speed: Reading, vehicle: u32, region: u32, matches: Matches) -> Held {
        let Stamp { time, partition, offset } = stamp;
        let mut held = Held {
            time,
            offset,
            lat: at.lat,
            lon: at.lon,
            speed,
            vehicle,
            region,
            traffic: NONE,
            weather: NONE,
            status: NONE,
            partition: partition as u16,
            active: FRESH,
        };
        held.set(matches);
        held
    }

    /// Where it was.
    pub fn at(&self) -> Point {
        Point { lat: self.lat, lon: self.lon }
    }

    /// What governs it now.
    pub fn matches(&self) -> Matches {
        let active = self.active & !(FRESH | CHANGED);
        Matches { traffic: self.traffic, weather: self.weather, status: self.status, active }
    }

    /// Sets its matches, and keeps those it was written with; true if it is changed only now.
    fn change(&mut self, new: Matches, before: &mut Vec<(Stamp, Matches)>) -> bool {
        let old = self.matches();
        if old == new {
            return false;
        }
        let is_first = self.active & (FRESH | CHANGED) == 0;
        if is_first {
            before.push((self.stamp(), old));
            self.active |= CHANGED;
        }
        self.set(new);
        is_first
    }

    fn set(&mut self, matches: Matches) {
        self.traffic = matches.traffic;
        self.weather = matches.weather;
        self.status = matches.status;
        self.active = self.active & (FRESH | CHANGED) | matches.active.min(MOST_ACTIVE);
    }
}

impl Stamped for Held {
    fn stamp(&self) -> Stamp {
        Stamp { time: self.time, partition: self.partition.into(), offset: self.offset }
    }
}

/// The pings of one cell, its traffic, and what reaches it.
#[derive(Debug, Default)]
pub struct Cell {
    /// Its pings.
    pub pings: Timeline<Held>,
    /// Its traffic records.
    pub traffic: References,
    /// What reaches it.
    pub references: CellReferences,
    /// What changed pings were written with.
    before: Vec<(Stamp, Matches)>,
    /// Whether a ping is fresh or changed.
    pub dirty: bool,
}

impl Cell {
    /// Gives the pings from a time on other matches as `acts` say, as far as there is fuel; where to go on if it ran
    /// out. Cost follows the pings and the acts that meet.
    pub fn amend(
        &mut self,
        from: Micros,
        acts: &[Act],
        fuel: &mut usize,
        mut matches: impl FnMut(&Held, &Action) -> Matches,
    ) -> Option<Micros> {
        let mut acts = &acts[acts.partition_point(|act| act.until <= from)..];
        let mut last = None;
        while let Some(act) = acts.first() {
            let mut after = None;
            for held in self.pings.range_mut(act.from.max(from), Micros::MAX) {
                if *fuel == 0 && last.is_some_and(|last| last < held.time) {
                    return Some(held.time);
                }
                if held.time >= act.until {
                    after = Some(held.time);
                    break;
                }
                *fuel = fuel.saturating_sub(1);
                last = Some(held.time);
                let new = matches(held, &act.action);
                self.dirty |= held.change(new, &mut self.before);
            }
            // Acts that no ping meets are passed over.
            let after = after?;
            acts = &acts[acts.partition_point(|act| act.until <= after)..];
        }
        None
    }

    /// Tells what is to be written of a chunk: each fresh ping, and each changed one with the matches it had.
    pub fn flush(&mut self, chunk: usize, mut tell: impl FnMut(&Held, Option<Matches>)) -> Option<usize> {
        if chunk == 0 {
            self.before.sort_unstable_by_key(|(stamp, _)| *stamp);
        }
        let held = self.pings.chunks_mut().get_mut(chunk)?;
        for held in held.iter_mut().filter(|held| held.active & (FRESH | CHANGED) != 0) {
            let stamp = held.stamp();
            let old = self.before.binary_search_by_key(&stamp, |(stamp, _)| *stamp);
            let old = old.ok().map(|index| self.before[index].1).filter(|_| held.active & FRESH == 0);
            held.active &= !(FRESH | CHANGED);
            if old != Some(held.matches()) {
                tell(held, old);
            }
        }
        Some(held.len())
    }

    /// After the last chunk.
    pub fn flushed(&mut self) {
        self.before = Vec::new();
        self.dirty = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes a ping held, where so many of a hundred come up to ten minutes late.
    fn bytes_a_ping(late: i64) -> f64 {
        let mut pings = Timeline::default();
        let matches = Matches { traffic: NONE, weather: NONE, status: NONE, active: 0 };
        for offset in 0..100_000_i64 {
            let lateness = if offset % 100 < late { offset * 7919 % 600 } else { 0 };
            let stamp = Stamp { time: (offset - lateness) * 1_000_000, partition: 0, offset };
            pings.insert(Held::new(stamp, Point { lat: 51.5, lon: 0.0 }, Reading::new(50.0), 0, 0, matches));
        }
        pings.bytes() as f64 / pings.len() as f64
    }

    #[test]
    fn a_ping_in_reach_takes_little_memory() {
        let (in_order, disordered) = (bytes_a_ping(0), bytes_a_ping(20));
        assert!(in_order < 65.0, "{in_order} B");
        assert!(disordered < 70.0, "{disordered} B");
    }
}
