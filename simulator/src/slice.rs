//! A slice of simulated time: all steps in it, in order. Vehicles know nothing of each other, so shards of them may be
//! driven by as many threads; the order is that of time and vehicle, whatever the shards.

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use crate::city::{City, Scene};
use crate::draw::Draw;
use crate::options::Options;
use crate::overlay::{Nothing, Overlay};
use crate::report;
use crate::trouble::Mishap;
use crate::vehicle::Vehicle;

/// About how many steps are driven at once; more where vehicles are many, as each is looked at in every slice.
const STEPS: i64 = 2_048;
const VEHICLES_A_STEP: i64 = 16;
/// The longest slice, in milliseconds.
const LONGEST_MS: i64 = 3_600_000;
/// The same with an overlay: what it knows must not be old when it is sent.
const LONGEST_LAID_MS: i64 = 1_000;

/// A vehicle's step, and where its records are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) at_ms: i64,
    pub(crate) vehicle: u32,
    pub(crate) event_us: i64,
    /// What is wrong with its clock.
    pub(crate) clock: Mishap,
    pub(crate) in_crowd: bool,
    /// The incident that it reports.
    pub(crate) incident: Option<u64>,
    /// For what becomes of the records.
    pub(crate) draw: Draw,
    /// The number of its first record in its shard.
    first: usize,
}

/// What some of the vehicles have reported.
#[derive(Debug, Default)]
struct Shard {
    bytes: Vec<u8>,
    /// Where each record ends: the next one begins there.
    ends: Vec<usize>,
    steps: Vec<Step>,
}

/// The steps of a slice. Its memory is used again for the next one.
#[derive(Debug)]
pub(crate) struct Slice {
    shards: Vec<Shard>,
    /// Shard and number of each step, in order.
    order: Vec<(u32, u32)>,
    next: usize,
    length_ms: i64,
    until_ms: i64,
    overlay: Arc<dyn Overlay>,
}

impl Slice {
    /// Nothing yet, from the start on.
    pub(crate) fn new(options: &Options, threads: usize) -> Slice {
        let (vehicles, mean_ms) = (i64::from(options.vehicles), (options.step_ms.0 + options.step_ms.1) / 2);
        let steps = STEPS.max(vehicles / VEHICLES_A_STEP);
        Slice {
            shards: (0..threads.max(1)).map(|_| Shard::default()).collect(),
            order: Vec::new(),
            next: 0,
            length_ms: (steps * mean_ms / vehicles).clamp(1, LONGEST_MS),
            until_ms: options.start_ms,
            overlay: Arc::new(Nothing),
        }
    }

    /// Lays known values over the records of the slices to come.
    pub(crate) fn lay(&mut self, overlay: Arc<dyn Overlay>) {
        self.overlay = overlay;
        self.length_ms = self.length_ms.min(LONGEST_LAID_MS);
    }

    /// The next step, of the next slice if this one is at its end.
    pub(crate) fn peek(&mut self, city: &City, vehicles: &mut [Vehicle], step_ms: (i64, i64)) -> (usize, Step) {
        while self.next == self.order.len() {
            self.drive(city, vehicles, step_ms);
        }
        let (shard, step) = self.order[self.next];
        (shard as usize, self.shards[shard as usize].steps[step as usize])
    }

    /// Goes to the next step.
    pub(crate) fn pass(&mut self) {
        self.next += 1;
    }

    /// Where a record of a step is among its shard's bytes: the one of that number in the order of [`crate::topics::TOPICS`].
    pub(crate) fn range(&self, shard: usize, step: &Step, number: usize) -> Range<usize> {
        let (ends, at) = (&self.shards[shard].ends, step.first + number);
        at.checked_sub(1).map_or(0, |before| ends[before])..ends[at]
    }

    /// The bytes of a record.
    pub(crate) fn record(&self, shard: usize, range: Range<usize>) -> &[u8] {
        &self.shards[shard].bytes[range]
    }

    /// Drives all vehicles through the next stretch of time.
    fn drive(&mut self, city: &City, vehicles: &mut [Vehicle], step_ms: (i64, i64)) {
        let (from_ms, until_ms) = (self.until_ms, self.until_ms + self.length_ms);
        let scene = city.scene(from_ms, until_ms);
        let size = vehicles.len().div_ceil(self.shards.len());
        let overlay = &*self.overlay;
        let mut parts: Vec<_> = self.shards.iter_mut().zip(vehicles.chunks_mut(size)).collect();
        thread::scope(|scope| {
            let mine = parts.pop();
            for (shard, vehicles) in parts {
                scope.spawn(|| shard.drive(&scene, vehicles, until_ms, step_ms, overlay));
            }
            if let Some((shard, vehicles)) = mine {
                shard.drive(&scene, vehicles, until_ms, step_ms, overlay);
            }
        });
        self.sort();
        self.until_ms = until_ms;
    }

    fn sort(&mut self) {
        let Slice { shards, order, .. } = self;
        order.clear();
        for (shard, number) in shards.iter().zip(0..) {
            order.extend((0..shard.steps.len() as u32).map(|step| (number, step)));
        }
        order.sort_unstable_by_key(|(shard, step)| {
            let step = &shards[*shard as usize].steps[*step as usize];
            (step.at_ms, step.vehicle)
        });
        self.next = 0;
    }
}

impl Shard {
    fn drive(
        &mut self,
        scene: &Scene<'_>,
        vehicles: &mut [Vehicle],
        until_ms: i64,
        step_ms: (i64, i64),
        overlay: &dyn Overlay,
    ) {
        self.bytes.clear();
        self.ends.clear();
        self.steps.clear();
        for vehicle in vehicles {
            while vehicle.next_ms < until_ms {
                self.step(scene, vehicle, step_ms, overlay);
            }
        }
    }

    fn step(&mut self, scene: &Scene<'_>, vehicle: &mut Vehicle, step_ms: (i64, i64), overlay: &dyn Overlay) {
        let at_ms = vehicle.next_ms;
        let (conditions, draw) = vehicle.step(scene, step_ms);
        let (clock, ahead_ms) = vehicle.model.clock;
        let event_us = (at_ms + ahead_ms) * 1000 + draw.of(0).between(0, 999);
        let first = self.ends.len();
        let to = (&mut self.bytes, &mut self.ends);
        report::write(to, vehicle, &conditions, event_us, draw.of(1), overlay);
        self.steps.push(Step {
            at_ms,
            vehicle: vehicle.number,
            event_us,
            clock,
            in_crowd: vehicle.model.in_crowd,
            incident: conditions.seen.map(|(incident, _)| incident.number),
            draw: draw.of(2),
            first,
        });
    }
}
