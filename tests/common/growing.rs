//! A log of a city whose days pass in seconds, that goes on growing while something else happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::json_log::{JsonLog, merge, record};

/// Batches a day: they come in pairs.
pub(crate) const A_DAY: u32 = 40;

/// Appends records of all topics, one of them out of order, one that is none, and a status of an incident. The second batch of
/// a pair corrects what the first has shown.
pub(crate) fn batch(log: &JsonLog, n: u32) {
    let minute = n / 2 * 72 + n % 2 * 4;
    log.minute(minute, 2);
    let second = f64::from(60 * (minute + 1));
    let incident = format!("INC-{}", n / 8);
    let status = json!({"hasIncident": true, "incidentId": incident, "status": "Active", "type": "Fire"});
    log.with("emergency", "unit-1", second, &status);
    log.with("traffic", "loop-1", second, &json!({"currentSpeed": 10.0, "freeFlowSpeed": 50.0}));
    log.with("gps", "bus-1", second + 30.0, &json!({"speed": 30.0}));
    log.append("gps", 0, second + 30.0, &json!(7));
    let mut earlier = record(&format!("loop-2-{n}"), "loop-2", second - 100.0);
    merge(&mut earlier, json!({"currentSpeed": 20.0, "freeFlowSpeed": 50.0}));
    log.append("traffic", 0, second + 30.0, &earlier);
}

/// Appends a batch after each pause, from the n-th on, until `during` is over; the number of the next.
pub(crate) fn while_growing(log: &JsonLog, n: u32, pause: Duration, during: impl FnOnce()) -> u32 {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let growing = scope.spawn(|| {
            let mut next = n;
            while !is_over.load(Ordering::Relaxed) {
                batch(log, next);
                next += 1;
                thread::sleep(pause);
            }
            next
        });
        let over = Over(&is_over);
        during();
        drop(over);
        growing.join().expect("batches")
    })
}

/// Says so when dropped: a scope waits for its threads even when it panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
