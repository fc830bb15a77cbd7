//! When rows are final (F1).
//!
//! A table's rows become final in whole steps: a commit with the horizon h seals the rows before c(h), which is h rounded
//! down to the step, but for those that a commit before it has sealed. A later record on time is not before h, so it
//! changes no row before c(h); and as the horizon stands in every commit and never goes back, these spans share out all of
//! time: each row is sealed once, whichever runs made the commits. What governs a row is freed only after it.

use std::ops::Range;

use super::closes::EpochClose;
use super::{Micros, window};

/// How far the rows of a table are sealed.
#[derive(Clone, Copy, Debug)]
pub struct Seals {
    step: Micros,
    end: Micros,
}

impl Seals {
    /// None is sealed yet.
    pub const fn new(step: Micros) -> Seals {
        Seals { step, end: Micros::MIN }
    }

    /// The times that a close makes final, if the horizon has passed a step.
    pub fn due(&self, close: &EpochClose) -> Option<Range<Micros>> {
        let end = window(close.horizon?, self.step);
        (end > self.end).then_some(self.end..end)
    }

    /// What is before a time is sealed, or was so before this run.
    pub fn pass(&mut self, end: Micros) {
        self.end = end;
    }

    /// All before it is sealed.
    pub fn end(&self) -> Micros {
        self.end
    }
}
