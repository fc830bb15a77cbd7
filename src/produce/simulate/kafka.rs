//! Kafka as a sink: idempotent, acknowledged by all replicas, compressed, with the records' own timestamps.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use citystream_simulator::Message;
use citystream_wire::PerTopic;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::sink::{Sink, SinkError};
use crate::source::Catalog;
use crate::source::kafka::{KafkaCatalog, KafkaSettings, Rarely};

/// How long the last records may take to arrive.
const ARRIVE: Duration = Duration::from_secs(120);
/// How many records are sent between two looks at what was delivered.
const LOOK: u32 = 256;

const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "citystream-simulate"),
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("compression.type", "lz4"),
    ("linger.ms", "20"),
    ("batch.size", "1000000"),
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
    ("allow.auto.create.topics", "false"),
];

/// Produces to all topics.
pub struct KafkaSink {
    producer: BaseProducer<Deliveries>,
    topics: PerTopic<String>,
    partitions: PerTopic<u64>,
    failure: Arc<Mutex<Option<String>>>,
    unseen: u32,
}

/// Keeps the first failed delivery.
#[derive(Clone)]
struct Deliveries {
    failure: Arc<Mutex<Option<String>>>,
    log: Rarely,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.log.warn(&format!("kafka: {error}: {reason}"));
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| error.to_string());
        }
    }
}

impl KafkaSink {
    /// Connects, and looks up the partitions of all topics, which must exist.
    pub fn connect(settings: KafkaSettings) -> Result<Self, SinkError> {
        let (topics, log) = (settings.topics.clone(), settings.log.clone());
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning).set("bootstrap.servers", &settings.bootstrap_servers);
        for (key, value) in DEFAULTS {
            config.set(*key, *value);
        }
        for (key, value) in &settings.extra {
            config.set(key, value);
        }
        let failure = Arc::default();
        let context = Deliveries { failure: Arc::clone(&failure), log };
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(context).map_err(|e| SinkError::Kafka(format!("kafka settings: {e}")))?;
        let mut partitions = PerTopic::new(|_| 0);
        for available in KafkaCatalog::connect(settings)?.discover()? {
            partitions[available.partition.topic] += 1;
        }
        Ok(KafkaSink { producer, topics, partitions, failure, unseen: 0 })
    }

    fn failed(&self) -> Result<(), SinkError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |e| Err(SinkError::Kafka(format!("kafka did not take a record: {e}"))))
    }
}

impl Sink for KafkaSink {
    fn send(&mut self, message: &Message<'_>) -> Result<(), SinkError> {
        let topic = message.topic;
        let partition = (message.partition_hash % self.partitions[topic]) as i32;
        let mut record = BaseRecord::<str, [u8]>::to(&self.topics[topic])
            .partition(partition)
            .key(message.key)
            .timestamp(message.log_time_ms);
        record.payload = message.value;
        self.unseen += 1;
        if self.unseen >= LOOK {
            self.unseen = 0;
            self.producer.poll(Duration::ZERO);
            self.failed()?;
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                // The broker is slower than we are: wait for it.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                    record = unsent;
                    self.producer.poll(Duration::from_millis(20));
                    self.failed()?;
                }
                Err((error, _)) => return Err(SinkError::Kafka(format!("kafka did not take a record: {error}"))),
            }
        }
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        self.producer.poll(Duration::ZERO);
        self.failed()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let end = Instant::now() + ARRIVE;
        while self.producer.in_flight_count() > 0 && Instant::now() < end {
            // Short, so that a failure is said when it happens.
            let _ = self.producer.flush(Duration::from_millis(500));
            self.failed()?;
        }
        match self.producer.in_flight_count() {
            0 => self.failed(),
            left => Err(SinkError::Kafka(format!("{left} records did not reach Kafka within {} s", ARRIVE.as_secs()))),
        }
    }
}
