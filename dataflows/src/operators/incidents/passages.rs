//! Who passed a circle, in 16 bytes for a vehicle and a quarter of an hour.
//!
//! Single pings are not kept. What may be taken back is whole quarters of an hour, from one of them on
//! ([`CircleChange::stands_until`](super::CircleChange::stands_until)); who passed in what is left of the first of these is
//! told anew. Quarters that are final are joined.

use serde::{Deserialize, Serialize};

use super::BEFORE;
use crate::time::Micros;

/// What is taken back at once, in microseconds: pings of so long before the horizon are still here, to be told anew.
pub const QUARTER: u32 = BEFORE as u32;
/// Bits of the number of pings; those above hold the least distance.
const PINGS: u32 = 11;
/// The most pings of a passage; a vehicle that has more has several.
const MOST_PINGS: u32 = (1 << PINGS) - 1;
/// So many come before they are sorted.
const UNSORTED: usize = 64;

/// What pings of a vehicle in a circle add up to. Times are microseconds since the circle is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Passage {
    /// The vehicle's number.
    pub vehicle: u32,
    first: u32,
    last: u32,
    distance_and_pings: u32,
}

const _: () = assert!(size_of::<Passage>() == 16);

impl Passage {
    /// One ping, at a distance in millimetres of less than two kilometres.
    pub fn new(vehicle: u32, since_active: Micros, distance_mm: i64) -> Passage {
        let time = since_active as u32;
        Passage { vehicle, first: time, last: time, distance_and_pings: (distance_mm as u32) << PINGS | 1 }
    }

    fn pings(&self) -> u32 {
        self.distance_and_pings & MOST_PINGS
    }

    /// Takes up a later one of the same vehicle, if there is room for its pings.
    fn join(&mut self, later: &Passage) -> bool {
        let pings = self.pings() + later.pings();
        if pings > MOST_PINGS {
            return false;
        }
        let distance = (self.distance_and_pings >> PINGS).min(later.distance_and_pings >> PINGS);
        self.last = self.last.max(later.last);
        self.distance_and_pings = distance << PINGS | pings;
        true
    }

    /// Takes up a later one, if the two are taken back together or never.
    fn take_up(&mut self, later: &Passage, final_before: u32) -> bool {
        let is_together = self.first / QUARTER == later.first / QUARTER || later.first < final_before;
        self.vehicle == later.vehicle && is_together && self.join(later)
    }
}

/// What all passages of a vehicle add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The first time.
    pub first: Micros,
    /// The last.
    pub last: Micros,
    /// The least distance in millimetres.
    pub distance_mm: i64,
    /// Pings.
    pub pings: u64,
}

impl Total {
    /// Of the passages of one vehicle by a circle that is active since `active`; `None` if there are none.
    pub fn of(passages: &[Passage], active: Micros) -> Option<Total> {
        Some(Total {
            first: active + Micros::from(passages.iter().map(|passage| passage.first).min()?),
            last: active + Micros::from(passages.iter().map(|passage| passage.last).max()?),
            distance_mm: passages.iter().map(|passage| passage.distance_and_pings >> PINGS).min()?.into(),
            pings: passages.iter().map(|passage| u64::from(passage.pings())).sum(),
        })
    }
}

/// Passages that come in any order: those of a vehicle and quarter are joined now and then.
#[derive(Clone, Debug, Default)]
pub struct Passages {
    all: Vec<Passage>,
    /// So many of them are sorted, and joined.
    sorted: usize,
}

impl Passages {
    /// Adds one.
    pub fn add(&mut self, passage: Passage) {
        if self.all.len() >= 2 * self.sorted + UNSORTED {
            self.sort();
        }
        if self.all.len() == self.all.capacity() {
            // Less than a vector takes by itself: these are most of the memory where many are at one place.
            self.all.reserve_exact(self.all.len() / 4 + 4);
        }
        self.all.push(passage);
    }

    /// Makes room for so many, and no more.
    pub fn reserve(&mut self, count: usize) {
        self.all.reserve_exact(count);
    }

    /// Takes back those of quarters that begin at a time or later.
    pub fn keep_before(&mut self, time: u32) {
        self.all.retain(|passage| passage.first < time);
        self.sorted = 0;
    }

    /// All of them, in order.
    pub fn into_sorted(mut self) -> Vec<Passage> {
        self.sort();
        self.all
    }

    fn sort(&mut self) {
        self.all.sort_unstable();
        self.all.dedup_by(|later, held| held.take_up(later, 0));
        self.sorted = self.all.len();
    }

    /// Their memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<Passage>()
    }
}

/// What changes passages that are sorted.
pub struct Merge<'a> {
    /// Those that come, sorted.
    pub new: &'a [Passage],
    /// Of those held, what begins at this time or later is taken back.
    pub stands_until: u32,
    /// Quarters that begin before it are final.
    pub final_before: u32,
}

impl Merge<'_> {
    /// The passages held after the change. `tell` is given each vehicle that may have changed, with its passages before and
    /// after.
    pub fn apply(&self, mut held: &[Passage], mut tell: impl FnMut(u32, &[Passage], &[Passage])) -> Vec<Passage> {
        let mut merged = Vec::with_capacity(held.len() + self.new.len());
        let mut of_vehicle: Vec<Passage> = Vec::new();
        let mut new = self.new;
        loop {
            if self.stands_until == u32::MAX {
                // Who has not passed again has not changed.
                let next = new.first().map_or(u32::MAX, |passage| passage.vehicle);
                let same = split(&mut held, |passage| passage.vehicle < next);
                merged.extend_from_slice(same);
            }
            let Some(vehicle) = held.first().into_iter().chain(new.first()).map(|passage| passage.vehicle).min() else {
                break;
            };
            let before = split(&mut held, |passage| passage.vehicle == vehicle);
            of_vehicle.extend(before.iter().filter(|passage| passage.first < self.stands_until));
            of_vehicle.extend(split(&mut new, |passage| passage.vehicle == vehicle));
            of_vehicle.sort_unstable();
            of_vehicle.dedup_by(|later, held| held.take_up(later, self.final_before));
            tell(vehicle, before, &of_vehicle);
            merged.append(&mut of_vehicle);
        }
        merged.shrink_to_fit();
        merged
    }
}

/// Takes the first passages of a sorted slice, those for which something holds.
fn split<'a>(passages: &mut &'a [Passage], holds: impl Fn(&Passage) -> bool) -> &'a [Passage] {
    let (first, rest) = passages.split_at(passages.partition_point(holds));
    *passages = rest;
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Micros = crate::time::MINUTE;

    /// Three vehicles' pings, in no order, with some that are many.
    fn pings() -> Vec<(u32, Micros, i64)> {
        let mut random = 11_u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let ping = |_| (next(3) as u32, (next(60) as i64) * MINUTE + next(7) as i64, next(1_500_001) as i64);
        (0..20_000).map(ping).collect()
    }

    fn total(pings: &[(u32, Micros, i64)], vehicle: u32, until: Micros) -> Option<Total> {
        let its = || pings.iter().filter(|(of, time, _)| *of == vehicle && *time < until);
        Some(Total {
            first: its().map(|ping| ping.1).min()?,
            last: its().map(|ping| ping.1).max()?,
            distance_mm: its().map(|ping| ping.2).min()?,
            pings: its().count() as u64,
        })
    }

    fn totals(passages: &[Passage]) -> Vec<Option<Total>> {
        let its = |vehicle| passages.iter().filter(|passage| passage.vehicle == vehicle).copied().collect::<Vec<_>>();
        (0..3).map(|vehicle| Total::of(&its(vehicle), 0)).collect()
    }

    #[test]
    fn passages_add_up_to_what_the_pings_do_and_can_be_taken_back() {
        let pings = pings();
        let (mut held, whole) = (Vec::new(), Micros::from(u32::MAX));
        for some in pings.chunks(3000) {
            let mut passages = Passages::default();
            some.iter().for_each(|(vehicle, time, mm)| passages.add(Passage::new(*vehicle, *time, *mm)));
            assert!(passages.bytes() < 3000 * size_of::<Passage>(), "{} B", passages.bytes());
            let new = passages.into_sorted();
            held = Merge { new: &new, stands_until: u32::MAX, final_before: 0 }.apply(&held, |_, _, _| {});
        }
        let expected = |until| (0..3).map(|vehicle| total(&pings, vehicle, until)).collect::<Vec<_>>();
        assert_eq!(totals(&held), expected(whole));
        // The last half hour is taken back, once what is before it is final.
        for stands_until in [2 * QUARTER, 0] {
            let mut told = 0;
            let merge = Merge { new: &[], stands_until, final_before: 2 * QUARTER };
            held = merge.apply(&held, |_, before, after| {
                told += 1;
                assert!(!before.is_empty() && before != after);
            });
            assert_eq!((totals(&held), told), (expected(stands_until.into()), 3));
        }
        assert!(held.is_empty());
    }
}
