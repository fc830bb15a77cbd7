//! What references that have come change in pings that are here, done in portions.

use std::collections::VecDeque;

use crate::operators::incidents::Circle;
use crate::operators::references::Span;
use crate::records::measures::Origin;
use crate::time::Micros;

/// What becomes of the pings in a span of time.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// This traffic record governs them.
    Traffic(u32),
    /// This weather record governs those of a region, but for those that a later one governs.
    Weather {
        /// The region.
        region: u32,
        /// The record.
        id: u32,
    },
    /// An incident becomes active, or is active no more.
    Incident(Episode),
    /// Those in a circle are counted.
    Near(Circle, Origin, Counting),
}

/// An episode that begins or ends: an incident is active as one of its statuses says.
#[derive(Clone, Copy, Debug)]
pub struct Episode {
    /// The number of the status.
    pub id: u32,
    /// The place.
    pub origin: Origin,
    /// Whether it begins.
    pub begins: bool,
}

/// How a ping in a circle counts.
#[derive(Clone, Copy, Debug)]
pub struct Counting {
    /// So many times more, or less, among the pings.
    pub pings: i64,
    /// Whether its vehicle is told to have passed.
    pub passages: bool,
}

/// An action on the pings at `from..until`.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// The first time.
    pub from: Micros,
    /// The first time after.
    pub until: Micros,
    /// What becomes of them.
    pub action: Action,
}

/// Actions on the pings of the same cells.
#[derive(Debug)]
pub struct Correction {
    cells: Vec<u64>,
    /// In the order of time; no two hold the same.
    acts: Vec<Act>,
    /// The time that the last cell has been corrected to.
    done: Micros,
}

/// Corrections under way, in order.
#[derive(Debug, Default)]
pub struct Corrections {
    queue: VecDeque<Correction>,
    /// Those of one cell and one act.
    single: VecDeque<(u64, Act)>,
}

impl Corrections {
    /// Adds a correction of the pings of `cells`.
    pub fn add(&mut self, cells: Vec<u64>, acts: Vec<Act>) {
        debug_assert!(acts.is_sorted_by(|one, next| one.until <= next.from), "acts at the same time");
        if !cells.is_empty() && !acts.is_empty() {
            self.queue.push_back(Correction { cells, acts, done: Micros::MIN });
        }
    }

    /// Adds one of one cell, whatever else happens to its pings.
    pub fn add_one(&mut self, c8: u64, act: Act) {
        self.single.push_back((c8, act));
    }

    /// Adds what references now govern.
    pub fn govern(&mut self, cells: Vec<u64>, spans: &[Span], action: impl Fn(u32) -> Action) {
        if !cells.is_empty() {
            let act = |span: &Span| Act { from: span.from, until: span.until, action: action(span.id) };
            self.add(cells, spans.iter().map(act).collect());
        }
    }

    /// Whether nothing is under way.
    pub fn is_done(&self) -> bool {
        self.queue.is_empty() && self.single.is_empty()
    }

    /// Goes on while there is fuel. `correct` is given a cell, the time to go on from and the acts, and tells how far it
    /// came if its fuel ran out.
    pub fn go_on(
        &mut self,
        fuel: &mut usize,
        mut correct: impl FnMut(u64, Micros, &[Act], &mut usize) -> Option<Micros>,
    ) {
        while let Some((c8, act)) = self.single.front_mut() {
            if *fuel == 0 {
                return;
            }
            if let Some(done) = correct(*c8, act.from, std::slice::from_ref(act), fuel) {
                act.from = done;
                return;
            }
            *fuel = fuel.saturating_sub(1);
            self.single.pop_front();
        }
        while let Some(correction) = self.queue.front_mut() {
            while let Some(c8) = correction.cells.last() {
                if *fuel == 0 {
                    return;
                }
                if let Some(done) = correct(*c8, correction.done, &correction.acts, fuel) {
                    correction.done = done;
                    return;
                }
                *fuel = fuel.saturating_sub(1);
                correction.done = Micros::MIN;
                correction.cells.pop();
            }
            self.queue.pop_front();
        }
    }
}
