//! What references that have come change in pings that are here, done in portions.

use std::collections::VecDeque;

use super::pings::{Held, Matches};
use super::references::Span;
use super::state::State;
use crate::incidents::Circle;
use crate::time::Micros;

/// What becomes of the pings in a span of time.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// This traffic record governs them.
    Traffic(u32),
    /// This weather record governs those of a region.
    Weather {
        /// The region.
        region: u32,
        /// The record.
        id: u32,
    },
    /// The incidents around them have changed.
    Incidents,
    /// Those in a circle count as near, or no more.
    Near(Circle, i64),
}

/// Actions, each on the pings of the same cells.
#[derive(Debug)]
struct Correction {
    cells: Vec<u64>,
    /// In the order of their beginnings.
    spans: Vec<(Micros, Micros, Action)>,
    /// How far it has come: the cell, the span, and the time in it.
    cell: usize,
    span: usize,
    time: Micros,
}

/// Corrections under way, in order.
#[derive(Debug, Default)]
pub struct Corrections {
    queue: VecDeque<Correction>,
}

impl Corrections {
    /// Adds a correction of the pings of `cells` in spans of time.
    pub fn add(&mut self, cells: Vec<u64>, mut spans: Vec<(Micros, Micros, Action)>) {
        spans.sort_by_key(|span| span.0);
        if !cells.is_empty() && !spans.is_empty() {
            self.queue.push_back(Correction { cells, spans, cell: 0, span: 0, time: Micros::MIN });
        }
    }

    /// Adds what references now govern.
    pub fn govern(&mut self, cells: Vec<u64>, spans: Vec<Span>, action: impl Fn(u32) -> Action) {
        self.add(cells, spans.into_iter().map(|span| (span.from, span.until, action(span.id))).collect());
    }

    /// Whether nothing is under way.
    pub fn is_done(&self) -> bool {
        self.queue.is_empty()
    }

    /// Goes on while there is fuel.
    pub fn go_on(&mut self, state: &mut State, fuel: &mut usize) {
        while let Some(correction) = self.queue.front_mut().filter(|_| *fuel > 0) {
            if correction.go_on(state, fuel) {
                self.queue.pop_front();
            }
        }
    }
}

impl Correction {
    /// True once it is done.
    fn go_on(&mut self, state: &mut State, fuel: &mut usize) -> bool {
        while self.cell < self.cells.len() {
            let c8 = self.cells[self.cell];
            let last = state.last_ping(c8);
            while let Some((from, until, action)) = self.spans.get(self.span).filter(|span| last >= Some(span.0)) {
                if *fuel == 0 {
                    return false;
                }
                if let Some(time) = state.correct(c8, self.time.max(*from), *until, *action, fuel) {
                    self.time = time;
                    return false;
                }
                self.span += 1;
                self.time = Micros::MIN;
            }
            *fuel = fuel.saturating_sub(1);
            self.cell += 1;
            self.span = 0;
        }
        true
    }
}

/// A ping's matches with one of them replaced.
pub fn replaced(held: &Held, action: Action, around: Option<(u16, u32)>) -> Matches {
    let old = held.matches();
    match action {
        Action::Traffic(id) => Matches { traffic: id, ..old },
        Action::Weather { region, id } if held.region == region => Matches { weather: id, ..old },
        Action::Incidents => {
            let (active, status) = around.unwrap_or((0, super::references::NONE));
            Matches { active, status, ..old }
        }
        Action::Weather { .. } | Action::Near(..) => old,
    }
}
