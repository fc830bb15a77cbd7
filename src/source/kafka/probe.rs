//! Asking the leaders where partitions end, so that "drained" is a fact and not a guess.
//!
//! One thread a process, on a connection of its own: a fetch that waits would hold up the question behind it.
//! Partitions are asked leader by leader, so that one lost broker makes only its own partitions undrained.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use citystream_dataflows::bindings::Partition;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::super::SourceError;
use super::context::Context;
use super::offsets::{self, Which};
use super::settings::KafkaSettings;

/// How often each leader is asked: shorter than the default epoch of 250 ms.
const EVERY: Duration = Duration::from_millis(200);
/// How long one leader may take. A few silent leaders still leave a round below [`FRESH`].
const TIMEOUT: Duration = Duration::from_millis(400);
/// How long a leader that did not answer is left alone.
const BACK_OFF: Duration = Duration::from_millis(1500);
/// How old the knowledge of who leads may grow.
const LEADERS: Duration = Duration::from_secs(30);
/// How old an answer may be, counted from the question.
pub(super) const FRESH: Duration = Duration::from_secs(2);

/// An end, and when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// The partition's end as its leader said.
    pub(super) end: i64,
    /// When the question was sent.
    pub(super) asked: Instant,
}

/// The watched partitions and their latest answers. Dropping it ends the thread.
pub(super) struct Prober {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    watched: BTreeMap<Partition, Option<Probe>>,
    stop: bool,
    now: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prober {
    /// Starts the thread.
    pub(super) fn start(
        consumer: Arc<BaseConsumer<Context>>,
        settings: Arc<KafkaSettings>,
    ) -> Result<Self, SourceError> {
        let shared = Arc::new(Shared::default());
        let worker = Worker { shared: shared.clone(), consumer, settings, leaders: Leaders::default() };
        std::thread::Builder::new()
            .name("kafka-probe".into())
            .spawn(move || worker.run())
            .map_err(|e| SourceError::Unusable(format!("kafka: no thread can be started: {e}")))?;
        Ok(Prober { shared })
    }

    /// Asks for this partition's end from now on.
    pub(super) fn watch(&self, partition: Partition) {
        let mut state = self.shared.state();
        state.watched.entry(partition).or_insert(None);
        state.now = true;
        self.shared.wake.notify_one();
    }

    /// The latest answer.
    pub(super) fn latest(&self, partition: Partition) -> Option<Probe> {
        self.shared.state().watched.get(&partition).copied().flatten()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.shared.state().stop = true;
        self.shared.wake.notify_one();
    }
}

/// Who leads what, and who did not answer.
#[derive(Default)]
struct Leaders {
    of: BTreeMap<Partition, i32>,
    known: Option<Instant>,
    silent: BTreeMap<i32, Instant>,
}

struct Worker {
    shared: Arc<Shared>,
    consumer: Arc<BaseConsumer<Context>>,
    settings: Arc<KafkaSettings>,
    leaders: Leaders,
}

impl Worker {
    fn run(mut self) {
        while let Some(partitions) = self.wait() {
            // Serves the client's log and error events.
            let _ = self.consumer.poll(Duration::ZERO);
            self.round(&partitions);
        }
    }

    /// Waits for the next round; `None` ends the thread.
    fn wait(&self) -> Option<Vec<Partition>> {
        let state = self.shared.state();
        let (mut state, _) = self
            .shared
            .wake
            .wait_timeout_while(state, EVERY, |s| !s.stop && !s.now)
            .unwrap_or_else(PoisonError::into_inner);
        state.now = false;
        (!state.stop).then(|| state.watched.keys().copied().collect())
    }

    fn round(&mut self, partitions: &[Partition]) {
        let old = self.leaders.known.is_none_or(|at| at.elapsed() > LEADERS);
        if old || partitions.iter().any(|p| !self.leaders.of.contains_key(p)) {
            self.find_leaders(partitions);
        }
        let mut by_leader: BTreeMap<i32, Vec<Partition>> = BTreeMap::new();
        for partition in partitions {
            if let Some(leader) = self.leaders.of.get(partition) {
                by_leader.entry(*leader).or_default().push(*partition);
            }
        }
        for (leader, partitions) in by_leader {
            if self.leaders.silent.get(&leader).is_some_and(|at| at.elapsed() < BACK_OFF) {
                continue;
            }
            self.ask(leader, &partitions);
        }
    }

    fn ask(&mut self, leader: i32, partitions: &[Partition]) {
        let names: Vec<_> = partitions.iter().map(|p| (self.settings.name(p.topic), p.index)).collect();
        let asked = Instant::now();
        match offsets::list(&self.consumer, &names, Which::End, TIMEOUT) {
            Ok(ends) => {
                self.leaders.silent.remove(&leader);
                let mut state = self.shared.state();
                for (partition, end) in partitions.iter().zip(ends) {
                    state.watched.insert(*partition, Some(Probe { end, asked }));
                }
            }
            Err(error) => {
                tracing::debug!(target: "kafka", leader, "ends not confirmed: {error}");
                self.leaders.silent.insert(leader, Instant::now());
                self.leaders.known = None;
            }
        }
    }

    /// Reads the leaders anew; what is not known now is asked again in the next round.
    fn find_leaders(&mut self, partitions: &[Partition]) {
        let mut topics: Vec<_> = partitions.iter().map(|p| p.topic).collect();
        topics.dedup();
        for topic in topics {
            let Ok(metadata) = self.consumer.fetch_metadata(Some(self.settings.name(topic)), TIMEOUT) else {
                return;
            };
            self.leaders.of.retain(|p, _| p.topic != topic);
            for found in metadata.topics().iter().flat_map(|t| t.partitions()) {
                if found.leader() >= 0 {
                    self.leaders.of.insert(Partition { topic, index: found.id() }, found.leader());
                }
            }
        }
        self.leaders.known = Some(Instant::now());
    }
}
