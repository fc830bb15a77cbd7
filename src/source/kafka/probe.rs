//! Asking where partitions end, so that "drained" is a fact and not a guess.
//!
//! ```text
//! this thread: who leads what, are the topics the same? --+--> one thread a leader: where do your partitions end?
//! ```
//!
//! On a connection of its own: a fetch that waits would hold up the question behind it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::{Partition, Topic};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::super::SourceError;
use super::super::ends::End;
use super::context::Context;
use super::identity::Identities;
use super::leader::Leader;
use super::patience::Patience;
use super::settings::KafkaSettings;
use super::topic_id::describe;
use super::watched::{EVERY, Shared, State};

/// How often it is asked whether the topics are still the same.
const COMPARE_EVERY: Duration = Duration::from_secs(2);
/// How often it is asked who leads what.
const LEADERS_EVERY: Duration = Duration::from_secs(30);
/// How soon that is asked again after a leader was unknown or silent.
const LEADERS_AGAIN: Duration = Duration::from_millis(600);

/// The watched partitions and their latest answers. Dropping it ends the threads.
pub(super) struct Prober {
    shared: Arc<Shared>,
    identities: Arc<Identities>,
}

impl Prober {
    /// Starts the thread.
    pub(super) fn start(
        consumer: Arc<BaseConsumer<Context>>,
        settings: Arc<KafkaSettings>,
        identities: Arc<Identities>,
    ) -> Result<Self, SourceError> {
        let shared = Arc::new(Shared::default());
        let overview = Overview {
            shared: shared.clone(),
            consumer,
            settings,
            identities: identities.clone(),
            patience: Patience::default(),
            leaders: None,
            compared: None,
        };
        std::thread::Builder::new()
            .name("kafka-probe".into())
            .spawn(move || overview.run())
            .map_err(|e| SourceError::Unusable(format!("kafka: no thread can be started: {e}")))?;
        Ok(Prober { shared, identities })
    }

    /// Asks for this partition's end from now on.
    pub(super) fn watch(&self, partition: Partition) {
        self.shared.state().watched.entry(partition).or_default();
        self.shared.wake.notify_all();
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
        self.shared.wake.notify_all();
    }
}

/// Knows who leads what, and has each leader asked.
struct Overview {
    shared: Arc<Shared>,
    consumer: Arc<BaseConsumer<Context>>,
    settings: Arc<KafkaSettings>,
    identities: Arc<Identities>,
    patience: Patience,
    /// When it asked who leads what.
    leaders: Option<Instant>,
    /// When it asked whether the topics are the same.
    compared: Option<Instant>,
}

impl Overview {
    fn run(mut self) {
        while let Some(topics) = self.wait() {
            // Serves the client's log and error events.
            let _ = self.consumer.poll(Duration::ZERO);
            if self.are_leaders_due(&self.shared.state()) {
                self.find_leaders(&topics);
            }
            self.start_leaders();
            if !is_recent(self.compared, COMPARE_EVERY) {
                self.compare(&topics);
            }
        }
    }

    /// Waits for the next round, and says which topics are watched; `None` ends the thread.
    fn wait(&self) -> Option<Vec<Topic>> {
        let state = self.shared.wait(EVERY, |state| self.are_leaders_due(state) || !state.unasked().is_empty());
        let mut topics: Vec<_> = state.watched.keys().map(|p| p.topic).collect();
        topics.dedup();
        (!state.stop).then_some(topics)
    }

    fn are_leaders_due(&self, state: &State) -> bool {
        let doubt = state.doubt || state.watched.keys().any(|p| !state.leaders.contains_key(p));
        !is_recent(self.leaders, if doubt { LEADERS_AGAIN } else { LEADERS_EVERY })
    }

    /// Asks who leads what. What stays unanswered is asked again soon.
    fn find_leaders(&mut self, topics: &[Topic]) {
        self.shared.state().doubt = false;
        for topic in topics {
            let asked = Instant::now();
            let answer = self.consumer.fetch_metadata(Some(self.settings.name(*topic)), self.patience.limit());
            let Ok(metadata) = answer else {
                self.patience.unanswered();
                self.shared.doubt();
                break;
            };
            self.patience.answered(asked.elapsed());
            let partitions = metadata.topics().iter().flat_map(|t| t.partitions());
            let led = partitions.filter(|p| p.leader() >= 0).map(|p| (p.id(), p.leader()));
            self.shared.state().lead(*topic, led);
        }
        self.leaders = Some(Instant::now());
    }

    /// Compares the topics' identities; without an answer nothing is concluded.
    fn compare(&mut self, topics: &[Topic]) {
        let names: Vec<_> = topics.iter().map(|t| self.settings.name(*t)).collect();
        let go_on = || !self.shared.state().stop;
        let answer = if names.is_empty() {
            Ok(Vec::new())
        } else {
            describe(&self.consumer, &names, self.patience.limit(), go_on)
        };
        let now = Instant::now();
        self.compared = Some(now);
        for described in answer.unwrap_or_default() {
            if let Some(at) = names.iter().position(|name| *name == described.name) {
                self.identities.compare(topics[at], &described, now);
            }
        }
    }

    /// Starts a thread for each leader of what is watched that has none. One that cannot be started is tried again the next time.
    fn start_leaders(&self) {
        let mut state = self.shared.state();
        for broker in state.unasked() {
            let (shared, consumer, settings) = (self.shared.clone(), self.consumer.clone(), self.settings.clone());
            let leader = Leader { broker, shared, consumer, settings };
            let thread = std::thread::Builder::new().name(format!("kafka-probe-{broker}"));
            if thread.spawn(move || leader.run()).is_ok() {
                state.asked.insert(broker);
            }
        }
    }
}

impl State {
    /// Leaders of what is watched that no thread asks.
    fn unasked(&self) -> BTreeSet<i32> {
        let leaders: BTreeSet<i32> = self.watched.keys().filter_map(|p| self.leaders.get(p)).copied().collect();
        &leaders - &self.asked
    }

    /// Notes who leads the partitions of a topic.
    fn lead(&mut self, topic: Topic, led: impl Iterator<Item = (i32, i32)>) {
        self.leaders.retain(|partition, _| partition.topic != topic);
        self.leaders.extend(led.map(|(index, leader)| (Partition { topic, index }, leader)));
    }
}

fn is_recent(time: Option<Instant>, within: Duration) -> bool {
    time.is_some_and(|time| time.elapsed() < within)
}
