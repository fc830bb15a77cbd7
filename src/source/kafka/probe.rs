//! Asking the leaders where partitions end, so that "drained" is a fact and not a guess.
//!
//! One thread a process, on a connection of its own: a fetch that waits would hold up the question behind it.
//! Partitions are asked leader by leader, so that one lost broker makes only its own partitions undrained.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::{Partition, Topic};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::super::SourceError;
use super::super::ends::{End, Ends};
use super::context::Context;
use super::identity::Identities;
use super::offsets::{self, Which};
use super::settings::KafkaSettings;
use super::topic_id::describe;

/// How often each leader is asked: shorter than the default epoch of 250 ms.
const EVERY: Duration = Duration::from_millis(200);
/// How long one leader may take. A few silent leaders still leave a round below 2 s.
const TIMEOUT: Duration = Duration::from_millis(400);
/// How long a leader that did not answer is left alone.
const BACK_OFF: Duration = Duration::from_millis(1500);
/// How often it is asked whether the topics are still the same.
const COMPARE_EVERY: Duration = Duration::from_secs(2);
/// How often it is asked who leads what.
const LEADERS_EVERY: Duration = Duration::from_secs(30);
/// How soon that is asked again after a leader was unknown or silent.
const LEADERS_AGAIN: Duration = Duration::from_millis(600);
/// The watched partitions and their latest answers. Dropping it ends the thread.
pub(super) struct Prober {
    shared: Arc<Shared>,
    identities: Arc<Identities>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    watched: BTreeMap<Partition, Ends>,
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
        identities: Arc<Identities>,
    ) -> Result<Self, SourceError> {
        let shared = Arc::new(Shared::default());
        let leaders = Leaders::default();
        let (ours, theirs) = (shared.clone(), identities.clone());
        let worker = Worker { shared: ours, consumer, settings, identities: theirs, compared: None, leaders };
        std::thread::Builder::new()
            .name("kafka-probe".into())
            .spawn(move || worker.run())
            .map_err(|e| SourceError::Unusable(format!("kafka: no thread can be started: {e}")))?;
        Ok(Prober { shared, identities })
    }

    /// Asks for this partition's end from now on.
    pub(super) fn watch(&self, partition: Partition) {
        let mut state = self.shared.state();
        state.watched.entry(partition).or_default();
        state.now = true;
        self.shared.wake.notify_one();
    }

    /// Fails once a topic is found to be gone or another one.
    pub(super) fn check(&self) -> Result<(), SourceError> {
        self.identities.check()
    }

    /// The latest answer.
    pub(super) fn latest(&self, partition: Partition) -> Option<End> {
        self.shared.state().watched.get(&partition)?.latest()
    }

    /// Whether a position has reached an end that was told lately.
    pub(super) fn reached(&self, partition: Partition, position: i64) -> bool {
        self.shared.state().watched.get(&partition).is_some_and(|ends| ends.reached(position, Instant::now()))
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
    asked: Option<Instant>,
    /// Something did not fit: a leader unknown or silent.
    doubt: bool,
    silent: BTreeMap<i32, Instant>,
}

struct Worker {
    shared: Arc<Shared>,
    consumer: Arc<BaseConsumer<Context>>,
    settings: Arc<KafkaSettings>,
    identities: Arc<Identities>,
    compared: Option<Instant>,
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
        let doubt = self.leaders.doubt || partitions.iter().any(|p| !self.leaders.of.contains_key(p));
        let every = if doubt { LEADERS_AGAIN } else { LEADERS_EVERY };
        if self.leaders.asked.is_none_or(|at| at.elapsed() >= every) {
            self.find_leaders(partitions);
        }
        if self.compared.is_none_or(|at| at.elapsed() >= COMPARE_EVERY) {
            self.compare(partitions);
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
                    state.watched.entry(*partition).or_default().tell(End { at: end, asked });
                }
            }
            Err(error) => {
                tracing::debug!(target: "kafka", leader, "ends not confirmed: {error}");
                self.leaders.silent.insert(leader, Instant::now());
                self.leaders.doubt = true;
            }
        }
    }

    /// Asks who leads what. What stays unanswered is asked again soon.
    fn find_leaders(&mut self, partitions: &[Partition]) {
        self.leaders.doubt = false;
        for topic in topics(partitions) {
            let Ok(metadata) = self.consumer.fetch_metadata(Some(self.settings.name(topic)), TIMEOUT) else {
                self.leaders.doubt = true;
                break;
            };
            self.leaders.of.retain(|p, _| p.topic != topic);
            for found in metadata.topics().iter().flat_map(|t| t.partitions()).filter(|p| p.leader() >= 0) {
                self.leaders.of.insert(Partition { topic, index: found.id() }, found.leader());
            }
        }
        self.leaders.asked = Some(Instant::now());
    }

    /// Compares the topics' identities; without an answer nothing is concluded.
    fn compare(&mut self, partitions: &[Partition]) {
        let topics = topics(partitions);
        let names: Vec<_> = topics.iter().map(|t| self.settings.name(*t)).collect();
        let answer = if names.is_empty() { Ok(Vec::new()) } else { describe(&self.consumer, &names, TIMEOUT, || true) };
        let now = Instant::now();
        self.compared = Some(now);
        for described in answer.unwrap_or_default() {
            if let Some(at) = names.iter().position(|name| *name == described.name) {
                self.identities.compare(topics[at], &described, now);
            }
        }
    }
}

/// The topics of ordered partitions.
fn topics(partitions: &[Partition]) -> Vec<Topic> {
    let mut topics: Vec<_> = partitions.iter().map(|p| p.topic).collect();
    topics.dedup();
    topics
}
