//! What is in reach: by region the pings that weather may still govern anew, and the records that may govern pings. What is
//! final is freed (D3).

use std::collections::VecDeque;

use super::{Drive, Joined, Late, Observation, WEATHER_REACH};
use crate::held::{Amount, Balance, Kind};
use crate::operators::numbers::Slab;
use crate::operators::references::{Reference, References, Span};
use crate::operators::stage::Outputs;
use crate::operators::timeline::{Stamped, Timeline};
use crate::records::hash::IdMap;
use crate::records::{Ping, Reading, Stamp, Weather};
use crate::time::closes::EpochClose;
use crate::time::every::Every;
use crate::time::{MINUTE, Micros};

/// One unit of fuel pays for so many pings that a late record governs: the more at once, the fewer tellings for a cell.
const GOVERNED: usize = 8;

/// See the module.
pub struct State {
    regions: IdMap<u64, Region>,
    kept: Slab<Observation>,
    /// Of which regions records govern pings that were told without them: what is left to be told.
    late: VecDeque<(u64, Span)>,
    /// Cells and times of the pings that one of them governs: kept for its memory.
    found: Vec<(u64, Micros)>,
    /// Pings held.
    pings: Amount,
    /// When what is final is freed.
    freeing: Every,
}

impl Default for State {
    fn default() -> Self {
        State {
            regions: IdMap::default(),
            kept: Slab::default(),
            late: VecDeque::new(),
            found: Vec::new(),
            pings: Amount::default(),
            freeing: Every::new(MINUTE),
        }
    }
}

/// A cell of resolution 5.
struct Region {
    weather: References,
    pings: Timeline<Held>,
    /// What governed the last ping: mostly it governs the next one.
    last: Span,
}

impl Default for Region {
    fn default() -> Self {
        Region { weather: References::default(), pings: Timeline::default(), last: Span::NEVER }
    }
}

/// A ping in 32 bytes: who holds it is told by its cell and time.
#[derive(Clone, Copy, Debug)]
struct Held {
    time: Micros,
    c8: u64,
    speed: Reading,
    /// The number of the record that governs it.
    weather: u32,
}

const _: () = assert!(size_of::<Held>() == 32);

impl Stamped for Held {
    fn stamp(&self) -> Stamp {
        Stamp { time: self.time, ..Stamp::default() }
    }
}

impl State {
    /// Takes up weather records.
    pub fn learn_weather(&mut self, mut records: Vec<Weather>) {
        records.sort_unstable_by_key(|record| (record.c5, record.stamp));
        for run in records.chunk_by(|a, b| a.c5 == b.c5) {
            let kept: Vec<_> = run.iter().map(|record| (record.stamp, self.kept.keep(record.into()))).collect();
            let region = self.regions.entry(run[0].c5).or_default();
            let spans = region.weather.learn(&kept, WEATHER_REACH);
            let last = region.pings.last();
            self.late.extend(spans.into_iter().filter(|span| last >= Some(span.from)).map(|span| (run[0].c5, span)));
            region.last = Span::NEVER;
        }
    }

    /// Takes up pings, and tells what governs each.
    pub fn learn_pings(&mut self, pings: &[Ping], out: &mut Outputs<Joined, Drive>) {
        self.pings += Amount::of::<Held>(pings.len(), 0);
        out.rows.reserve(pings.len());
        for run in pings.chunk_by(|a, b| a.c5 == b.c5) {
            let Region { weather, pings, last } = self.regions.entry(run[0].c5).or_default();
            for ping in run {
                let (time, c8, speed) = (ping.stamp.time, ping.c8, ping.speed);
                if !last.holds(time) {
                    *last = weather.at(time, WEATHER_REACH);
                }
                let governing = self.kept.get(last.id);
                out.side.extend(Drive::of((ping.c5, time, speed), governing, 1));
                out.rows.push(Joined::Ping(*ping, governing.copied()));
                pings.insert(Held { time, c8, speed, weather: last.id });
            }
        }
    }

    /// Tells what records that came late govern, while there is fuel.
    pub fn correct(&mut self, fuel: &mut usize, out: &mut Outputs<Joined, Drive>) {
        while *fuel > 0
            && let Some((c5, span)) = self.late.pop_front()
        {
            *fuel -= 1;
            let Some(region) = self.regions.get_mut(&c5) else { continue };
            let next = region.govern(c5, span, &self.kept, &mut self.found, fuel, out);
            let weather = *self.kept.at(span.id);
            self.found.sort_unstable();
            for pings in self.found.chunk_by(|a, b| a.0 == b.0) {
                let ((c8, from), until) = (pings[0], pings[pings.len() - 1].1 + 1);
                out.rows.push(Joined::Late(Late { c8, c5, from, until, weather }));
            }
            self.found.clear();
            if let Some(from) = next {
                self.late.push_front((c5, Span { from, ..span }));
            }
        }
    }

    /// Closes an epoch; false while something is left to be told.
    pub fn close(&mut self, close: &EpochClose) -> bool {
        if !self.late.is_empty() {
            return false;
        }
        // Once a minute is often enough: it visits every region.
        if let Some(horizon) = close.horizon.filter(|horizon| self.freeing.is_due(*horizon)) {
            self.free_before(horizon);
        }
        true
    }

    fn free_before(&mut self, horizon: Micros) {
        self.pings = Amount::default();
        self.regions.retain(|_, region| {
            region.pings.free_before(horizon);
            region.weather.free_before(horizon - WEATHER_REACH, &mut self.kept);
            region.last = Span::NEVER;
            self.pings += Amount { count: region.pings.len(), bytes: region.pings.bytes() };
            !region.pings.is_empty() || !region.weather.is_empty()
        });
    }

    /// Tells what is held: of pings as of the last time that all of them were seen, and what came since. They are counted
    /// where they are enriched.
    pub fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Pings, Amount::bytes(self.pings.bytes));
        let mut references = self.kept.held();
        // Each has a reference by time to it.
        references += Amount::bytes(references.count * size_of::<Reference>());
        balance.set(Kind::References, references);
    }
}

impl Region {
    /// Has a record govern the pings of a span while there is fuel, and finds those that it governs now: their cells and
    /// times. Where to go on if the fuel ran out.
    fn govern(
        &mut self,
        c5: u64,
        Span { from, until, id }: Span,
        kept: &Slab<Observation>,
        found: &mut Vec<(u64, Micros)>,
        fuel: &mut usize,
        out: &mut Outputs<Joined, Drive>,
    ) -> Option<Micros> {
        let (mut last, mut left) = (Micros::MAX, *fuel * GOVERNED);
        let new = kept.at(id);
        for held in self.pings.range_mut(from, until) {
            if left == 0 && last < held.time {
                *fuel = 0;
                return Some(held.time);
            }
            left = left.saturating_sub(1);
            last = held.time;
            let old = kept.get(held.weather);
            if old.is_some_and(|old| old.stamp >= new.stamp) {
                continue;
            }
            found.push((held.c8, held.time));
            held.weather = id;
            if old.and_then(|old| old.rain) != new.rain {
                let drive = |weather, diff| Drive::of((c5, held.time, held.speed), weather, diff);
                out.side.extend(drive(old, -1));
                out.side.extend(drive(Some(new), 1));
            }
        }
        *fuel = left / GOVERNED;
        None
    }
}
