//! What there is to read from Kafka, and the maker of readers. Every call here ends within [`TIMEOUT`] or little more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::{Available, Catalog, SourceError};
use super::context::Context;
use super::identity::Identities;
use super::offsets::{self, Which};
use super::probe::Prober;
use super::reader::KafkaReader;
use super::settings::{FULL_QUEUE, KafkaSettings, TIMEOUT};
use super::topic_id::{self, Described};
use super::{errors, timestamps};

/// How soon a question is asked again.
const AGAIN: Duration = Duration::from_millis(100);
/// How long no broker must be reachable before that is an error.
const UNREACHABLE: Duration = Duration::from_secs(4);
/// After how long without an answer that is said.
const SILENT: Duration = Duration::from_secs(3);
/// How long a topic must be unknown before it is missing.
const MISSING_FOR: Duration = Duration::from_secs(2);

/// The cluster as a catalog: one a process, shared by all workers.
pub struct KafkaCatalog {
    settings: Arc<KafkaSettings>,
    consumer: Arc<BaseConsumer<Context>>,
    prober: Mutex<Option<Arc<Prober>>>,
    identities: Arc<Identities>,
}

impl KafkaCatalog {
    /// Checks the settings and makes the client. Does not wait for a broker.
    pub fn connect(settings: KafkaSettings) -> Result<Self, SourceError> {
        settings.check()?;
        // What only a reader's client takes is refused here too, not later on a worker.
        settings.reader_config(FULL_QUEUE).create_native_config().map_err(errors::client)?;
        let consumer =
            settings.control_config().create_with_context(Context::new(&settings)).map_err(errors::client)?;
        Ok(KafkaCatalog {
            settings: Arc::new(settings),
            consumer: Arc::new(consumer),
            prober: Mutex::new(None),
            identities: Arc::default(),
        })
    }

    /// A reader for one worker, with a queue of at most `queue` bytes for each partition. Readers of one process share the
    /// threads that ask for the ends of partitions.
    pub fn reader(&self, queue: u64) -> Result<KafkaReader, SourceError> {
        let mut prober = self.prober.lock().unwrap_or_else(PoisonError::into_inner);
        let prober = match &*prober {
            Some(prober) => prober.clone(),
            None => {
                // A client of its own: it is asked five times a second, also while discovery waits.
                let context = Context::new(&self.settings);
                let client = self.settings.prober_config().create_with_context(context).map_err(errors::client)?;
                prober
                    .insert(Arc::new(Prober::start(Arc::new(client), self.settings.clone(), self.identities.clone())?))
                    .clone()
            }
        };
        KafkaReader::new(self.settings.clone(), queue, prober)
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &KafkaSettings {
        &self.settings
    }

    /// One line for each topic whose timestamps its producers set and nothing bounds within `lateness_ms`.
    pub fn timestamp_warnings(&self, lateness_ms: i64) -> Result<Vec<String>, SourceError> {
        timestamps::warnings(&self.settings, lateness_ms)
    }

    /// All topics as described, in the order of [`Topic::all`]; a missing one is in its `error`.
    pub(super) fn describe(&self) -> Result<Vec<Described>, SourceError> {
        let names: Vec<_> = Topic::all().map(|t| self.settings.name(t)).collect();
        let context = self.consumer.context().clone();
        context.forget_outage();
        let (asked, mut said) = (Instant::now(), false);
        let go_on = || {
            self.serve_events();
            if asked.elapsed() >= SILENT && !said && !context.is_outage() {
                said = true;
                let (servers, limit) = (&self.settings.bootstrap_servers, TIMEOUT.as_secs());
                tracing::warn!("kafka at {servers} has not answered yet: waiting up to {limit} s");
            }
            context.refused().is_none() && !(context.is_outage() && asked.elapsed() >= UNREACHABLE)
        };
        let described = topic_id::describe(&self.consumer, &names, TIMEOUT, go_on)
            .map_err(|e| self.failed("the description of the topics", &e))?;
        let order = |d: &Described| names.iter().position(|n| *n == d.name);
        let mut described: Vec<_> = described.into_iter().filter(|d| order(d).is_some()).collect();
        described.sort_by_key(order);
        if described.len() != names.len() {
            let error = KafkaError::AdminOp(RDKafkaErrorCode::BadMessage);
            return Err(self.failed("the description of the topics", &error));
        }
        Ok(described)
    }

    /// The same, all of them there: a broker that has just started may not know them yet.
    fn describe_all(&self) -> Result<Vec<Described>, SourceError> {
        let end = Instant::now() + MISSING_FOR;
        loop {
            let described = self.describe()?;
            match require_all(&described, &self.settings) {
                Err(SourceError::Mistaken(_)) if Instant::now() < end => std::thread::sleep(AGAIN),
                found => return found.map(|()| described),
            }
        }
    }

    /// The first and the end offset of partitions, in their order.
    pub(super) fn ranges(&self, partitions: &[Partition]) -> Result<Vec<(NextOffset, NextOffset)>, SourceError> {
        let names: Vec<_> = partitions.iter().map(|p| (self.settings.name(p.topic), p.index)).collect();
        let end = Instant::now() + TIMEOUT;
        let (low, high) = (self.offsets(&names, Which::First, end)?, self.offsets(&names, Which::End, end)?);
        Ok(low.into_iter().map(NextOffset).zip(high.into_iter().map(NextOffset)).collect())
    }

    /// Asks until `end`: while a leader is being elected, or a new topic is spread, a question fails for a moment.
    fn offsets(&self, names: &[(&str, i32)], which: Which, end: Instant) -> Result<Vec<i64>, SourceError> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let error = match offsets::list(&self.consumer, names, which, left.max(AGAIN)) {
                Ok(offsets) => return Ok(offsets),
                Err(error) => error,
            };
            self.serve_events();
            if Instant::now() + AGAIN >= end || self.consumer.context().refused().is_some() {
                return Err(self.failed("the offsets of the partitions", &error));
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// Waits until all topics are there with a leader for each partition.
    pub(super) fn wait_for_topics(&self) -> Result<(), SourceError> {
        let end = Instant::now() + TIMEOUT;
        loop {
            match self.discover() {
                Err(_) if Instant::now() < end => std::thread::sleep(AGAIN),
                result => return result.map(|_| ()),
            }
        }
    }

    fn failed(&self, what: &str, error: &KafkaError) -> SourceError {
        errors::asking(what, error, &self.settings, self.consumer.context())
    }

    /// Serves log, error and commit events; nothing else polls this client.
    fn serve_events(&self) {
        for _ in 0..32 {
            let _ = self.consumer.poll(Duration::ZERO);
        }
    }

    fn list(&self, offsets: impl IntoIterator<Item = (Partition, Offset)>) -> Result<TopicPartitionList, SourceError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(self.settings.name(partition.topic), partition.index, offset)
                .map_err(|e| self.failed("offsets", &e))?;
        }
        Ok(list)
    }
}

/// All topics must be there; one line names those that are not.
fn require_all(described: &[Described], settings: &KafkaSettings) -> Result<(), SourceError> {
    let missing: Vec<_> = described
        .iter()
        .filter(|d| matches!(d.error, Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)))
        .map(|d| format!("`{}`", d.name))
        .collect();
    let servers = &settings.bootstrap_servers;
    if !missing.is_empty() {
        return Err(SourceError::Mistaken(format!(
            "kafka at {servers} has no topic {}; create what is missing with `citystream topics create` (--simulated for \
             `citystream simulate`)",
            missing.join(", ")
        )));
    }
    match described.iter().find_map(|d| d.error.map(|e| (&d.name, e))) {
        None => Ok(()),
        Some((name, error @ RDKafkaErrorCode::TopicAuthorizationFailed)) => Err(SourceError::Mistaken(format!(
            "kafka at {servers} does not allow topic `{name}` to be read ({error}); ask for the rights"
        ))),
        Some((name, error)) => {
            Err(SourceError::Unusable(format!("kafka at {servers}: topic `{name}` cannot be read: {error}")))
        }
    }
}

impl Catalog for KafkaCatalog {
    fn discover(&self) -> Result<Vec<Available>, SourceError> {
        let described = self.describe_all()?;
        let mut found = Vec::new();
        for (topic, described) in Topic::all().zip(&described) {
            self.identities.first(topic, &described.id);
            found.extend(described.partitions.iter().map(|index| (Partition { topic, index: *index }, &described.id)));
        }
        let partitions: Vec<_> = found.iter().map(|(p, _)| *p).collect();
        let ranges = self.ranges(&partitions)?;
        Ok(found
            .into_iter()
            .zip(ranges)
            .map(|((partition, id), (low, high))| Available { partition, topic_id: id.clone(), low, high })
            .collect())
    }

    fn group_offsets(&self, partitions: &[Partition]) -> Result<Vec<(Partition, NextOffset)>, SourceError> {
        let asked = self.list(partitions.iter().map(|p| (*p, Offset::Invalid)))?;
        let answer = self.consumer.committed_offsets(asked, TIMEOUT).map_err(|e| {
            self.serve_events();
            self.failed("the offsets of the group", &e)
        })?;
        let mut found = Vec::new();
        for partition in partitions {
            let Some(element) = answer.find_partition(self.settings.name(partition.topic), partition.index) else {
                continue;
            };
            element.error().map_err(|e| self.failed("the offsets of the group", &e))?;
            if let Offset::Offset(next) = element.offset() {
                found.push((*partition, NextOffset(next)));
            }
        }
        Ok(found)
    }

    fn report(&self, offsets: &[(Partition, NextOffset)]) -> Result<(), SourceError> {
        self.serve_events();
        if offsets.is_empty() {
            return Ok(());
        }
        let list = self.list(offsets.iter().map(|(p, next)| (*p, Offset::Offset(next.0))))?;
        self.consumer.commit(&list, CommitMode::Async).map_err(|e| self.failed("a report of offsets", &e))
    }
}
