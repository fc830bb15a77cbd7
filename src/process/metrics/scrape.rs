//! What is looked at when somebody asks: ages, and what the parts of the process count themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use citystream_cluster::Vitals;

use super::health::{Health, Parts};
use super::machine;
use super::page::Page;

/// What the process is.
#[derive(Debug)]
pub struct Identity {
    /// When it began, in seconds since 1970.
    started: f64,
    /// How often `launch` has started it again.
    pub restarts: AtomicU64,
    /// The threads of its workers.
    workers: Mutex<BTreeMap<usize, PathBuf>>,
}

impl Identity {
    /// Of a process that begins now, for the first time.
    #[allow(clippy::disallowed_methods)] // Reason: it is shown, and decides nothing.
    pub fn now() -> Identity {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        Identity { started, restarts: AtomicU64::new(0), workers: Mutex::default() }
    }

    /// The thread that calls this is a worker's.
    pub fn works(&self, worker: usize) {
        if let Some(thread) = machine::this_thread() {
            self.workers().insert(worker, thread);
        }
    }

    pub(super) fn workers(&self) -> MutexGuard<'_, BTreeMap<usize, PathBuf>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes all of it.
pub fn write(page: &mut Page, identity: &Identity, health: &Health) {
    machine::write(page, identity.started, &identity.workers());
    let build = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("commit", env!("CITYSTREAM_COMMIT")),
        ("timely", env!("CITYSTREAM_TIMELY")),
    ];
    page.info("citystream_build_info", "What the program is made of", &build);
    let restarts = "How often `launch` has started this process again";
    page.counter("citystream_restarts_total", restarts, identity.restarts.load(Relaxed) as f64);
    frontiers(page, health);
    if let Some(generation) = health.generation() {
        let help = "The attempt that has brought all processes together, the same for all of them";
        page.info("citystream_generation_info", help, &[("generation", &generation)]);
    }
    health.vitals().iter().for_each(|vitals| peers(page, vitals));
    health.parts().iter().for_each(|parts| held_back(page, parts));
}

fn frontiers(page: &mut Page, health: &Health) {
    let seconds = |age: Duration| age.as_secs_f64();
    page.gauge("citystream_ready", "1 if /readyz says so", f64::from(u8::from(health.not_ready().is_none())));
    page.gauge("citystream_epoch", "The last epoch closed", health.closed.value() as f64);
    page.gauge(
        "citystream_epoch_age_seconds",
        "Since an epoch was closed on this process",
        seconds(health.closed.age()),
    );
    page.gauge(
        "citystream_frontier_age_seconds",
        "Since the frontier moved: the first epoch that is not derived yet, by all workers",
        seconds(health.frontier.age()),
    );
    page.gauge(
        "citystream_commit_age_seconds",
        "Since this process saw a commit land; before the first one, since it began",
        seconds(health.committed.age()),
    );
    page.gauge(
        "citystream_recovery_seconds",
        "From all processes being there to all being recovered that an earlier run left; so far, if that goes on",
        seconds(health.recovery()),
    );
}

fn peers(page: &mut Page, vitals: &Vitals) {
    let seconds = |(index, time): (usize, Duration)| (index, time.as_secs_f64());
    page.gauge("citystream_peers", "Other processes of the cluster", vitals.silences().count() as f64);
    page.gauges(
        "citystream_peer_silence_seconds",
        "Since a process gave a sign of life",
        "process",
        vitals.silences().map(seconds),
    );
    page.gauges(
        "citystream_worker_stillness_seconds",
        "For how long a worker has not turned",
        "worker",
        vitals.stillness().map(seconds),
    );
    page.counters(
        "citystream_exchange_sent_bytes_total",
        "Bytes of the computation sent to a process",
        "process",
        vitals.exchanged().map(|(process, sent, _)| (process, sent as f64)),
    );
    page.counters(
        "citystream_exchange_received_bytes_total",
        "Bytes of the computation received from a process",
        "process",
        vitals.exchanged().map(|(process, _, received)| (process, received as f64)),
    );
}

fn held_back(page: &mut Page, parts: &Parts) {
    let causes = [
        ("memory", parts.budget.paused_in_all()),
        ("state", parts.state.reached_in_all()),
        ("store", parts.waits.total()),
    ];
    page.counters(
        "citystream_backpressure_seconds_total",
        "For how long --memory was spent, --state-memory was reached, or somebody waited for the store",
        "cause",
        causes.map(|(cause, time)| (cause, time.as_secs_f64())),
    );
    let retries = "How often what the store did not do was tried again, over and above the tries of its client";
    page.counter("citystream_store_retries_total", retries, parts.waits.retries() as f64);
    if let Some(kafka) = &parts.kafka {
        page.counters(
            "citystream_kafka_errors_total",
            "Errors that clients of Kafka were told of, by librdkafka's code",
            "code",
            kafka.errors().into_iter().map(|(code, count)| (code, count as f64)),
        );
        page.counter(
            "citystream_kafka_reconnects_total",
            "Attempts to connect to a broker again, of the client that asks for the ends of partitions",
            kafka.reconnects() as f64,
        );
    }
}
