//! The two clocks: epochs order what arrives, event time is data. The log clock, lateness, the horizon and the
//! limit of an aligned backfill are pure functions of the log and its bindings (invariants P1 and P3).

use serde::{Deserialize, Serialize};

use crate::bindings::Position;

/// The only timely timestamp.
pub type Epoch = u64;

/// Microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

/// What decides lateness and the horizon, fixed for the life of a lake. All in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimePolicy {
    /// L: how long after its event time a record may reach the log.
    pub lateness: Micros,
    /// S: how far the horizon stays behind that.
    pub slack: Micros,
    /// How far an event time may run ahead of the log clock.
    pub max_ahead: Micros,
}

impl TimePolicy {
    /// Whether a record is late: the log received it more than L after the time it carries.
    pub fn is_late(&self, event_time: Micros, log_clock: Micros) -> bool {
        event_time < log_clock.saturating_sub(self.lateness)
    }

    /// Whether an event time is too far in the future to be believed.
    pub fn is_ahead(&self, event_time: Micros, log_clock: Micros) -> bool {
        event_time > log_clock.saturating_add(self.max_ahead)
    }

    /// The horizon after `positions`, never behind `previous`.
    ///
    /// The least log clock of the undrained partitions bounds it; with none, the greatest of all. An undrained
    /// partition with nothing read holds it where it is.
    pub fn horizon(&self, previous: Option<Micros>, positions: &[Position]) -> Option<Micros> {
        let mut undrained = positions.iter().filter(|p| !p.drained).peekable();
        let clock = if undrained.peek().is_some() {
            undrained.map(|p| p.log_clock).min().flatten()
        } else {
            positions.iter().filter_map(|p| p.log_clock).max()
        };
        previous.max(clock.map(|c| c.saturating_sub(self.lateness + self.slack)))
    }

    /// The log clock up to which an aligned backfill may read: the least one with unread data, plus L.
    ///
    /// `None` is no limit: nothing is unread, or a partition with unread data has not been read at all, which
    /// is itself never limited and soon sets one.
    pub fn limit(&self, positions: &[Position]) -> Option<Micros> {
        let least = positions.iter().filter(|p| !p.drained).filter_map(|p| p.log_clock).min();
        least.map(|c| c.saturating_add(self.lateness))
    }
}
