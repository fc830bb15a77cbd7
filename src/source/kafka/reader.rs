//! One worker's reader of Kafka.
//!
//! Contract: that of [`Reader`]. A partition that is not polled is not read beyond its bounded queue, and holds up no
//! other. A broker that cannot be reached yields nothing and no error: its partitions are just not drained.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::{NextOffset, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::assignment::ACCEPT_FLAG;
use super::super::ends::End;
use super::super::{Reader, Record, SourceError};
use super::context::Context;
use super::errors::{self, Class, classify};
use super::probe::Prober;
use super::queue::{Item, PartitionQueue};
use super::settings::KafkaSettings;

/// How often the consumer's own queue (logs, errors) is looked at.
const EVENTS_EVERY: Duration = Duration::from_millis(50);

/// Reads the partitions that were added to it, each from a queue of its own.
pub struct KafkaReader {
    /// Before the consumer: queues go first.
    partitions: HashMap<Partition, Assigned>,
    consumer: Arc<BaseConsumer<Context>>,
    prober: Arc<Prober>,
    settings: Arc<KafkaSettings>,
    events_at: Instant,
}

struct Assigned {
    queue: PartitionQueue,
    /// The next offset to hand out, as far as records tell; for messages only.
    next: i64,
    /// The offset at which the partition ended, if nothing has been handed out since.
    end: Option<i64>,
}

impl KafkaReader {
    /// A reader without partitions. Does not wait for a broker.
    pub(super) fn new(settings: Arc<KafkaSettings>, queue: u64, prober: Arc<Prober>) -> Result<Self, SourceError> {
        let consumer: BaseConsumer<Context> =
            settings.reader_config(queue).create_with_context(Context::new(&settings)).map_err(errors::client)?;
        Ok(KafkaReader {
            partitions: HashMap::new(),
            consumer: Arc::new(consumer),
            prober,
            settings,
            events_at: Instant::now(),
        })
    }

    /// Serves logs and errors of the client as a whole.
    fn serve_events(&mut self) -> Result<(), SourceError> {
        if self.events_at.elapsed() < EVENTS_EVERY {
            return Ok(());
        }
        self.events_at = Instant::now();
        self.prober.check()?;
        // Bounded: a client in trouble must not keep a worker.
        for _ in 0..16 {
            match self.consumer.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => return Err(astray(&message)),
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    return Err(SourceError::Unusable(format!("kafka: the client has failed for good: {code}")));
                }
                // Logged by the context; what concerns a partition comes in its queue.
                Some(Err(_)) => {}
            }
        }
        Ok(())
    }
}

/// A record outside its partition's queue would be lost: never seen, never passed over.
fn astray(message: &rdkafka::message::BorrowedMessage<'_>) -> SourceError {
    use rdkafka::Message;
    SourceError::Unusable(format!(
        "kafka: {}/{} at offset {} came outside its queue; stopping rather than losing it",
        message.topic(),
        message.partition(),
        message.offset()
    ))
}

impl Reader for KafkaReader {
    fn add(&mut self, partition: Partition, next: NextOffset) -> Result<(), SourceError> {
        if self.partitions.contains_key(&partition) {
            return Ok(());
        }
        let name = self.settings.name(partition.topic);
        let unusable = |why: String| {
            SourceError::Unusable(format!("kafka: {} cannot be read: {why}", self.settings.show(partition)))
        };
        // Split first: a record fetched before would stand in the consumer's own queue.
        let queue = PartitionQueue::split(&self.consumer, name, partition.index)
            .ok_or_else(|| unusable("no such topic name".into()))?;
        let mut assignment = TopicPartitionList::with_capacity(1);
        assignment
            .add_partition_offset(name, partition.index, Offset::Offset(next.0))
            .and_then(|()| self.consumer.incremental_assign(&assignment))
            .map_err(|e| unusable(errors::one_line(&e.to_string())))?;
        self.prober.watch(partition);
        self.partitions.insert(partition, Assigned { queue, next: next.0, end: None });
        Ok(())
    }

    fn poll(
        &mut self,
        partition: Partition,
        take: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        self.serve_events()?;
        let Some(Assigned { queue, next, end }) = self.partitions.get_mut(&partition) else {
            return Err(SourceError::Unusable(format!("kafka: {} was not added", self.settings.show(partition))));
        };
        let mut failed = None;
        queue.drain(|item| match item {
            Item::Record(record) => {
                (*next, *end) = (record.next.0, None);
                take(record)
            }
            Item::End(offset) => {
                *end = Some(offset);
                ControlFlow::Continue(())
            }
            Item::Failed(code, text) => match classify(code) {
                Class::Heals => {
                    tracing::debug!(target: "kafka", "{}: {text}; trying again", self.settings.show(partition));
                    ControlFlow::Continue(())
                }
                class => {
                    failed = Some((class, code, text));
                    ControlFlow::Break(())
                }
            },
        });
        match failed {
            None => Ok(()),
            Some((class, code, text)) => Err(failure(&self.settings.show(partition), *next, class, code, &text)),
        }
    }

    fn drained(&mut self, partition: Partition) -> bool {
        let Some(assigned) = self.partitions.get(&partition) else { return false };
        is_drained(assigned.end, self.prober.latest(partition), Instant::now()) && assigned.queue.is_empty()
    }

    fn caught_up(&mut self, partition: Partition) -> bool {
        let Some(Assigned { next, end, .. }) = self.partitions.get(&partition) else { return false };
        self.prober.reached(partition, end.unwrap_or(*next))
    }

    fn passed(&self, partition: Partition) -> Option<NextOffset> {
        self.partitions.get(&partition)?.end.map(NextOffset)
    }

    fn end(&self, partition: Partition) -> Option<NextOffset> {
        self.prober.latest(partition).map(|end| NextOffset(end.at))
    }
}

/// Whether what a leader has told lately is the offset at which the queue ended.
fn is_drained(end: Option<i64>, told: Option<End>, now: Instant) -> bool {
    told.is_some_and(|told| end == Some(told.at) && told.is_fresh(now))
}

/// What cannot heal, in one line: what, where, what to do.
fn failure(shown: &str, next: i64, class: Class, code: RDKafkaErrorCode, text: &str) -> SourceError {
    let text = errors::one_line(text);
    match (class, code) {
        (
            Class::Lost,
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::LogTruncation,
        ) => SourceError::Lost(format!(
            "kafka {shown}: offset {next} is no longer in the log ({text}); {ACCEPT_FLAG} starts at what is there"
        )),
        (Class::Lost, _) => SourceError::Lost(format!(
            "kafka {shown}: the topic or partition is gone while it was read up to offset {next} ({text}); where it was \
             deleted, make it anew and start with {ACCEPT_FLAG}"
        )),
        _ => SourceError::Unusable(format!("kafka {shown} at offset {next}: {text} ({code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drained_needs_a_fresh_answer_that_equals_the_end_of_the_queue() {
        let asked = Instant::now();
        let probe = Some(End { at: 10, asked, answered: asked });
        assert!(is_drained(Some(10), probe, asked + Duration::from_millis(1999)));
        assert!(!is_drained(Some(10), probe, asked + Duration::from_millis(2001)), "stale");
        assert!(!is_drained(Some(9), probe, asked), "the log has grown");
        assert!(!is_drained(Some(11), probe, asked), "an answer from before the last record");
        assert!(!is_drained(None, probe, asked), "handed out since");
        assert!(!is_drained(Some(10), None, asked), "nobody answered yet");
    }

    #[test]
    fn a_failure_is_one_line_and_has_its_kind() {
        let lost = failure("gps/0", 7, Class::Lost, RDKafkaErrorCode::AutoOffsetReset, "a\nb");
        assert!(matches!(&lost, SourceError::Lost(t) if t.contains("gps/0") && t.contains("7") && !t.contains('\n')));
        let gone = failure("gps/0", 7, Class::Lost, RDKafkaErrorCode::UnknownTopicOrPartition, "x");
        assert!(matches!(&gone, SourceError::Lost(t) if t.contains("gone")));
        let torn = failure("gps/0", 7, Class::Unusable, RDKafkaErrorCode::BadMessage, "x");
        assert!(matches!(torn, SourceError::Unusable(_)));
    }
}
