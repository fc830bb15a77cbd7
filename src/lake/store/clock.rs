//! What time it is for a lake, and how long its writers wait: the machine's, or what a simulation says.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::BoxFuture;

/// See the module.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock, in milliseconds since 1970.
    fn now_ms(&self) -> i64;

    /// The time since some moment, which never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits so long.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's, since this moment.
#[derive(Debug)]
pub(super) struct Machine(pub(super) Instant);

impl Clock for Machine {
    #[allow(clippy::disallowed_methods)] // A commit says when it was proposed; that decides nothing.
    fn now_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time).boxed()
    }
}
