//! The records that govern pings: of each key the latest at or before a time, for as long as it may count.

use super::numbers::Slab;
use super::timeline::{Stamped, Timeline};
use crate::records::Stamp;
use crate::time::Micros;

/// No value.
pub const NONE: u32 = u32::MAX;

/// A kept record by its stamp.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    stamp: Stamp,
    id: u32,
}

impl Stamped for Reference {
    fn stamp(&self) -> Stamp {
        self.stamp
    }
}

/// The pings at `from..until` are governed by `id`, or by [`NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first time.
    pub from: Micros,
    /// The first time after.
    pub until: Micros,
    /// The record.
    pub id: u32,
}

impl Span {
    /// No time.
    pub const NEVER: Span = Span { from: 0, until: 0, id: NONE };

    /// Whether it is about a time.
    pub fn holds(&self, time: Micros) -> bool {
        (self.from..self.until).contains(&time)
    }
}

/// The records of one key.
#[derive(Debug, Default)]
pub struct References {
    timeline: Timeline<Reference>,
}

impl References {
    /// Takes up records; the spans that they now govern. `reach` is how long a record may count.
    pub fn learn(&mut self, new: &[(Stamp, u32)], reach: Micros) -> Vec<Span> {
        for (stamp, id) in new {
            self.timeline.insert(Reference { stamp: *stamp, id: *id });
        }
        let span = |(stamp, id): &(Stamp, u32)| {
            let next = self.timeline.neighbours(*stamp).1.map(|next| next.stamp.time);
            let last = stamp.time + reach + 1;
            Span { from: stamp.time, until: next.map_or(last, |next| next.min(last)), id: *id }
        };
        new.iter().map(span).filter(|span| span.from < span.until).collect()
    }

    /// What governs a time: a record or none, and from when until when.
    pub fn at(&self, time: Micros, reach: Micros) -> Span {
        let (held, next) = self.timeline.around(time);
        let until = next.map_or(Micros::MAX, |next| next.stamp.time);
        match held.map(|held| (held, held.stamp.time + reach + 1)) {
            Some((held, end)) if time < end => Span { from: held.stamp.time, until: until.min(end), id: held.id },
            held => Span { from: held.map_or(Micros::MIN, |(_, end)| end), until, id: NONE },
        }
    }

    /// Frees what no time from `time` on can reach.
    pub fn free_before<T>(&mut self, time: Micros, slab: &mut Slab<T>) {
        let held = self.timeline.len();
        let gone: Vec<u32> = self.timeline.range(Micros::MIN, time).map(|reference| reference.id).collect();
        self.timeline.free_before(time);
        gone[..held - self.timeline.len()].iter().for_each(|id| slab.free(*id));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.timeline.is_empty()
    }
}
