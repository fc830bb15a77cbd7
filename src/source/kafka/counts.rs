//! What goes wrong with brokers, counted over all clients of a process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::statistics::Statistics;

/// The counts of a process.
#[derive(Clone, Debug)]
pub struct Counts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// By librdkafka's code.
    errors: Mutex<BTreeMap<String, u64>>,
    reconnects: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        // What is there from the start is seen to grow by who looks now and then.
        let known = [Code::AllBrokersDown, Code::BrokerTransportFailure].map(|code| (format!("{code:?}"), 0));
        Counts(Arc::new(Shared { errors: Mutex::new(known.into()), reconnects: AtomicU64::new(0) }))
    }
}

impl Counts {
    /// Errors that clients were told of, by librdkafka's code.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.0.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Attempts of the client that asks for the ends of partitions to connect to a broker again.
    pub fn reconnects(&self) -> u64 {
        self.0.reconnects.load(Relaxed)
    }

    /// A client was told of an error.
    pub(super) fn error(&self, code: Code) {
        *self.0.errors.lock().unwrap_or_else(PoisonError::into_inner).entry(format!("{code:?}")).or_default() += 1;
    }

    /// The statistics of the client that asks for the ends of partitions: no other's are taken.
    pub(super) fn statistics(&self, statistics: &Statistics) {
        let again = |connects: i64| connects.saturating_sub(1).max(0) as u64;
        let all = statistics.brokers.values().filter_map(|broker| broker.connects).map(again).sum();
        self.0.reconnects.fetch_max(all, Relaxed);
    }
}
