//! Where simulated time starts.

use citystream_simulator::default_start;

use crate::produce::simulate::wall_ms;

/// Where simulated time starts: after what a log holds already; now, if it runs as fast as the wall clock.
pub(super) fn start_after(last: Option<i64>, time_scale: f64) -> i64 {
    let now = wall_ms();
    let new = if time_scale <= 1.0 { now } else { default_start(now) };
    last.map_or(new, |last| new.max(last + 1))
}
