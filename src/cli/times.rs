//! Times as the user writes them, and where simulated time starts.

use std::time::Duration;

use citystream_simulator::default_start;

use crate::config::parse_duration;
use crate::error::RunError;
use crate::produce::simulate::wall_ms;

/// Where simulated time starts: after what a log holds already; now, if it runs as fast as the wall clock.
pub(super) fn start_after(last: Option<i64>, time_scale: f64) -> i64 {
    let now = wall_ms();
    let new = if time_scale <= 1.0 { now } else { default_start(now) };
    last.map_or(new, |last| new.max(last + 1))
}

/// A time such as `30s`.
pub(super) fn time(text: &str) -> Result<Duration, RunError> {
    parse_duration(text).ok_or_else(|| RunError::Usage(format!("{text}: expected a time such as 30s or 5m")))
}
