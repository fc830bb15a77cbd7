//! The two clocks: epochs order what arrives, event time is data. Lateness is a
//! function of the log alone (invariants P1 and P3); what holds the horizon is said in [holding], and it is folded in [progress].

pub mod bindings;
pub mod by_epoch;
pub mod closes;
pub mod disposition;
pub mod every;
pub mod holding;
pub mod progress;
pub mod seals;
pub mod ticks;

use serde::{Deserialize, Serialize};

/// The only timely timestamp.
pub type Epoch = u64;

pub use citystream_wire::Micros;

/// A minute.
pub const MINUTE: Micros = 60_000_000;
/// An hour.
pub const HOUR: Micros = 60 * MINUTE;

/// A day.
pub const DAY: Micros = 24 * HOUR;

/// The start of the window of a length that a time is in.
pub fn window(time: Micros, length: Micros) -> Micros {
    time - time.rem_euclid(length)
}

/// 2000-01-01 to 2100-01-01: a log timestamp outside is no time.
pub const LOG_TIMES: std::ops::Range<Micros> = 946_684_800_000_000..4_102_444_800_000_000;

/// What decides lateness and the horizon, fixed for the life of a lake. All in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimePolicy {
    /// L: how long after its event time a record may reach the log.
    pub lateness: Micros,
    /// S: how far the horizon stays behind that.
    pub slack: Micros,
    /// How far an event time may run ahead of the log clock.
    pub max_ahead: Micros,
    /// How far behind the others a partition that has reached its end may hold the horizon.
    pub max_hold: Micros,
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
}
