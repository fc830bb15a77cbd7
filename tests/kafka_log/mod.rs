//! Five fresh topics on a Kafka, with a producer: a log for the contract tests of `src/source/contract.rs`.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stdout)] // Shared by several test programs.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use citystream::parts::{Catalog, FULL_QUEUE, KafkaCatalog, KafkaReader, KafkaSettings, create_topics};
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_wire::PerTopic;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::contract::TestLog;

/// The broker to test against. Without one the test is not run, unless servers are required.
pub fn servers() -> Option<String> {
    let servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS").ok().filter(|s| !s.is_empty());
    if servers.is_none() {
        let required = std::env::var_os("CITYSTREAM_REQUIRE_SERVERS").is_some();
        assert!(!required, "KAFKA_BOOTSTRAP_SERVERS is not set, and CITYSTREAM_REQUIRE_SERVERS is");
        println!("NOT RUN: needs a Kafka at KAFKA_BOOTSTRAP_SERVERS (`cargo xtask test` starts one)");
    }
    servers
}

/// Names that no other test uses.
pub fn fresh_names() -> PerTopic<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let unique = format!("{now:x}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    PerTopic::new(|t| format!("test-{unique}-{}", t.name()))
}

/// The log.
pub struct KafkaLog {
    pub settings: KafkaSettings,
    pub catalog: KafkaCatalog,
    pub producer: BaseProducer,
}

impl KafkaLog {
    /// Creates the topics with two partitions each, timestamps as the producer sets them.
    pub fn new(servers: &str) -> Self {
        let mut settings = KafkaSettings::new(servers, fresh_names());
        settings.group = format!("group-of-{}", settings.topics[Topic::VEHICLE]);
        let created = create_topics(&settings, 2, true).unwrap();
        assert!(created.iter().all(|c| c.created), "{created:?}");
        KafkaLog::over(settings)
    }

    /// Over topics that exist.
    pub fn over(settings: KafkaSettings) -> Self {
        let producer = producer(&settings, &[]);
        let catalog = KafkaCatalog::connect(settings.clone()).unwrap();
        KafkaLog { settings, catalog, producer }
    }

    /// Sends one record without waiting.
    pub fn send(&self, producer: &BaseProducer, p: Partition, value: &str) {
        send(&self.settings, producer, p, None, None, Some(value));
    }

    /// The low and high offset of a partition.
    pub fn range(&self, p: Partition) -> (i64, i64) {
        let found = self.catalog.discover().unwrap();
        let found = found.iter().find(|a| a.partition == p).unwrap();
        (found.low.0, found.high.0)
    }
}

/// A producer; `extra` settings such as a transactional id.
pub fn producer(settings: &KafkaSettings, extra: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.bootstrap_servers).set("linger.ms", "0").set("acks", "all");
    for (key, value) in extra {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

fn send(
    settings: &KafkaSettings,
    producer: &BaseProducer,
    p: Partition,
    ts_ms: Option<i64>,
    key: Option<&str>,
    value: Option<&str>,
) {
    let mut record = BaseRecord::<str, str>::to(settings.name(p.topic)).partition(p.index);
    record.timestamp = ts_ms;
    record.key = key;
    record.payload = value;
    producer.send(record).map_err(|(e, _)| e).unwrap();
}

impl TestLog for KafkaLog {
    type Reader = KafkaReader;

    fn partitions(&self) -> Vec<Partition> {
        [Topic::GPS, Topic::WEATHER].map(|topic| Partition { topic, index: 1 }).to_vec()
    }

    fn first(&self, partition: Partition) -> NextOffset {
        NextOffset(self.range(partition).0)
    }

    fn append(&mut self, p: Partition, ts_ms: i64, key: Option<&str>, value: Option<&str>) {
        send(&self.settings, &self.producer, p, Some(ts_ms), key, value);
        // `flush` looks only every 100 ms.
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_millis(1));
        }
    }

    fn reader(&mut self) -> KafkaReader {
        self.catalog.reader(FULL_QUEUE).unwrap()
    }
}
