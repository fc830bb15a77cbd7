//! A producer that goes on while something else happens, and stops also when that fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Generator, Rng, Shape, Topics};

/// Some hundred bursts of `burst` records a minute with the time of day, until `during` is over; gives the account.
pub(crate) fn while_producing(topics: &Topics, shape: Shape, burst: usize, during: impl FnOnce()) -> Generator {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let producer = scope.spawn(|| produce_until(topics, shape, burst, &stop));
        let stopper = Stopper(&stop);
        during();
        drop(stopper);
        producer.join().expect("the producer")
    })
}

/// Says stop when dropped: a scope waits for its threads even when it panics.
struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn produce_until(topics: &Topics, shape: Shape, burst: usize, stop: &AtomicBool) -> Generator {
    let mut made = Generator::new(Rng::from_environment(), shape);
    let mut feed = topics.feed();
    while !stop.load(Ordering::Relaxed) {
        let now = now_ms();
        (0..burst).for_each(|_| feed.send(&made.next(now)));
        thread::sleep(Duration::from_millis(20));
    }
    feed.finish();
    made
}

/// The time of day in milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}
