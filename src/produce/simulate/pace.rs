//! How fast, how long: the loop between a simulator and a sink.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use citystream_simulator::Simulator;

use super::sink::{Sink, SinkError};

/// The most records between two looks at the clock.
const BATCH: u64 = 512;
/// The length of a pause.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest time between two `pause`s of the sink.
const VISIBLE: Duration = Duration::from_millis(100);
/// How often progress is reported.
const PROGRESS: Duration = Duration::from_millis(500);

/// How fast and how long. Without any limit: as fast as it can, until it is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    /// Records a second of real time.
    pub rate: Option<f64>,
    /// Simulated seconds a second of real time, at most.
    pub time_scale: Option<f64>,
    /// Records in all.
    pub records: Option<u64>,
    /// Simulated time in all.
    pub span: Option<Duration>,
    /// Real time in all.
    pub duration: Option<Duration>,
}

impl Pace {
    /// How many records may have been sent after `elapsed`.
    fn allowed(&self, elapsed: Duration) -> u64 {
        let paced = self.rate.map_or(u64::MAX, |rate| (elapsed.as_secs_f64() * rate) as u64 + 1);
        paced.min(self.records.unwrap_or(u64::MAX))
    }

    /// The simulated time that must not be passed after `elapsed`, in milliseconds since 1970.
    fn horizon_ms(&self, start_ms: i64, elapsed: Duration, wall_ms: i64) -> i64 {
        let scaled =
            self.time_scale.map(|scale| start_ms.saturating_add((elapsed.as_secs_f64() * scale * 1000.0) as i64));
        scaled.unwrap_or(i64::MAX).min(wall_ms)
    }

    /// The last millisecond of simulated time that is sent.
    fn last_ms(&self, start_ms: i64) -> i64 {
        self.span.map_or(i64::MAX, |span| start_ms.saturating_add(span.as_millis() as i64 - 1))
    }

    fn over(&self, sent: u64, elapsed: Duration) -> bool {
        self.records.is_some_and(|records| sent >= records) || self.duration.is_some_and(|duration| elapsed >= duration)
    }
}

/// Sends records until the pace ends it or `stop` says so, and waits until they have arrived.
///
/// `progress` is called about twice a second and at the end. Simulated time never passes the wall clock: where it has
/// caught up, the simulation goes on in real time.
pub fn run(
    simulator: &mut Simulator,
    sink: &mut dyn Sink,
    pace: Pace,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(&Simulator),
) -> Result<(), SinkError> {
    let (began, start_ms, first) = (Instant::now(), simulator.now_ms(), simulator.sent());
    let last_ms = pace.last_ms(start_ms);
    let (mut visible, mut reported) = (began, began);
    loop {
        let (elapsed, sent) = (began.elapsed(), simulator.sent() - first);
        if pace.over(sent, elapsed) || stop() {
            break;
        }
        let until_ms = pace.horizon_ms(start_ms, elapsed, wall_ms());
        let most = pace.allowed(elapsed).saturating_sub(sent).min(BATCH);
        let some = send(simulator, sink, most, until_ms.min(last_ms))?;
        if some < most && until_ms >= last_ms {
            break;
        }
        if some == 0 || visible.elapsed() >= VISIBLE {
            sink.pause()?;
            visible = Instant::now();
        }
        if some == 0 {
            thread::sleep(PAUSE);
        }
        if reported.elapsed() >= PROGRESS {
            reported = Instant::now();
            progress(simulator);
        }
    }
    sink.finish()?;
    progress(simulator);
    Ok(())
}

/// Sends up to `most` records of simulated times until `until_ms`; gives how many.
fn send(simulator: &mut Simulator, sink: &mut dyn Sink, most: u64, until_ms: i64) -> Result<u64, SinkError> {
    for sent in 0..most {
        match simulator.next_until(until_ms) {
            Some(message) => sink.send(&message)?,
            None => return Ok(sent),
        }
    }
    Ok(most)
}

/// The wall clock, in milliseconds since 1970.
#[allow(clippy::disallowed_methods)] // Producers stamp their records.
pub fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_and_the_number_bound_what_may_be_sent() {
        let pace = Pace { rate: Some(1000.0), records: Some(1500), ..Pace::default() };
        assert_eq!(pace.allowed(Duration::ZERO), 1);
        assert_eq!(pace.allowed(Duration::from_millis(1200)), 1201);
        assert_eq!(pace.allowed(Duration::from_secs(9)), 1500);
        assert!(pace.over(1500, Duration::ZERO) && !pace.over(1499, Duration::from_secs(9)));
        assert_eq!(Pace::default().allowed(Duration::ZERO), u64::MAX);
        let timed = Pace { duration: Some(Duration::from_secs(1)), ..Pace::default() };
        assert!(timed.over(0, Duration::from_secs(1)) && !timed.over(9, Duration::from_millis(999)));
    }

    #[test]
    fn a_span_ends_before_its_end() {
        let pace = Pace { span: Some(Duration::from_secs(2)), ..Pace::default() };
        assert_eq!((pace.last_ms(1000), Pace::default().last_ms(1000)), (2999, i64::MAX));
    }

    #[test]
    fn simulated_time_keeps_behind_its_scale_and_the_wall_clock() {
        let pace = Pace { time_scale: Some(60.0), ..Pace::default() };
        assert_eq!(pace.horizon_ms(1000, Duration::from_secs(2), i64::MAX), 121_000);
        assert_eq!(pace.horizon_ms(1000, Duration::from_secs(2), 5), 5);
        assert_eq!(Pace::default().horizon_ms(1000, Duration::ZERO, 7), 7);
    }
}
