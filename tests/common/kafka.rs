//! Five fresh topics on the real broker, and a plain producer for them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::Servers;
use super::records::Made;

/// Five topics that no other test uses.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    bootstrap: String,
    prefix: String,
}

const WAIT: Duration = Duration::from_secs(60);

impl Topics {
    /// Creates them with the producer's timestamps (for simulated time).
    pub(crate) fn create(servers: &Servers, test: &str, partitions: i32) -> Topics {
        let topics = Topics::absent(servers, test);
        topics.make(partitions, "CreateTime");
        topics
    }

    /// Creates them with the broker's timestamps, as `topics create` does for production.
    pub(crate) fn create_stamped_by_broker(servers: &Servers, test: &str, partitions: i32) -> Topics {
        let topics = Topics::absent(servers, test);
        topics.make(partitions, "LogAppendTime");
        topics
    }

    /// Names of topics that do not exist.
    pub(crate) fn absent(servers: &Servers, test: &str) -> Topics {
        Topics::at(&servers.kafka, test)
    }

    /// Names of topics on another broker.
    pub(crate) fn at(bootstrap: &str, test: &str) -> Topics {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("{test}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Topics { bootstrap: bootstrap.into(), prefix }
    }

    /// What the names have in common.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The broker.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Vehicle, GPS, traffic, weather, emergency.
    pub(crate) fn names(&self) -> [String; 5] {
        ["vehicle", "gps", "traffic", "weather", "emergency"].map(|name| format!("{}-{name}", self.prefix))
    }

    /// The flags that name them and their broker.
    pub(crate) fn flags(&self) -> Vec<String> {
        let flags = ["vehicle", "gps", "traffic", "weather", "emergency"].map(|topic| format!("--{topic}-topic"));
        let named = flags.iter().zip(self.names()).map(|(flag, name)| format!("{flag}={name}"));
        named.chain([format!("--bootstrap-servers={}", self.bootstrap)]).collect()
    }

    /// Creates all five.
    pub(crate) fn make(&self, partitions: i32, timestamps: &str) {
        self.create_all(partitions, None, timestamps);
    }

    /// Creates all five, each partition on the brokers that are named for it.
    pub(crate) fn make_on(&self, brokers: &[&[i32]], timestamps: &str) {
        let partitions = i32::try_from(brokers.len()).expect("some partitions");
        self.create_all(partitions, Some(brokers), timestamps);
    }

    fn create_all(&self, partitions: i32, brokers: Option<&[&[i32]]>, timestamps: &str) {
        let names = self.names();
        let topic = |name| {
            let mut topic = new_topic(name, partitions, timestamps);
            if let Some(brokers) = brokers {
                topic.replication = TopicReplication::Variable(brokers);
            }
            topic
        };
        let topics: Vec<NewTopic<'_>> = names.iter().map(|name| topic(name)).collect();
        let results = block_on(self.admin().create_topics(&topics, &options())).expect("the broker answers");
        results.into_iter().for_each(|result| drop(result.expect("a topic is created")));
    }

    /// Deletes one.
    pub(crate) fn delete(&self, topic: usize) {
        let results = block_on(self.admin().delete_topics(&[&self.names()[topic]], &options()));
        results.expect("the broker answers").into_iter().for_each(|result| drop(result.expect("a topic is deleted")));
    }

    /// Creates one again, under its old name.
    pub(crate) fn create_one(&self, topic: usize, partitions: i32) {
        let name = self.names()[topic].clone();
        let new = new_topic(&name, partitions, "CreateTime");
        super::wait_until("the topic is created anew", WAIT, || {
            let results = block_on(self.admin().create_topics([&new], &options()));
            results.is_ok_and(|results| results.iter().all(Result::is_ok))
        });
    }

    /// Gives one more partitions.
    pub(crate) fn grow(&self, topic: usize, partitions: usize) {
        let name = self.names()[topic].clone();
        let grown = block_on(self.admin().create_partitions([&NewPartitions::new(&name, partitions)], &options()));
        grown.expect("the broker answers").into_iter().for_each(|result| drop(result.expect("partitions are added")));
    }

    /// Produces records as they are, and waits until the broker has them all. Fails if it refuses one.
    pub(crate) fn produce(&self, records: impl IntoIterator<Item = Made>) {
        let mut feed = self.feed();
        for made in records {
            feed.send(&made);
        }
        feed.finish();
    }

    /// A producer for records that come bit by bit.
    pub(crate) fn feed(&self) -> Feed {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("linger.ms", "5")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "60000")
            .create()
            .expect("a producer");
        Feed { producer, names: self.names(), sent: BTreeMap::new(), before: BTreeMap::new() }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create().expect("an admin client")
    }
}

/// Sends records to the partitions that they name.
pub(crate) struct Feed {
    producer: BaseProducer,
    names: [String; 5],
    sent: BTreeMap<(usize, i32), i64>,
    before: BTreeMap<(usize, i32), i64>,
}

impl Feed {
    /// Sends one; waits while the producer's queue is full.
    pub(crate) fn send(&mut self, made: &Made) {
        self.send_raw(made.topic, made.partition, made.time_ms, Some(made.key.as_bytes()), Some(made.json.as_bytes()));
    }

    /// Sends any bytes.
    pub(crate) fn send_raw(
        &mut self,
        topic: usize,
        partition: i32,
        time_ms: i64,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
    ) {
        if !self.before.contains_key(&(topic, partition)) {
            let end = self.end(topic, partition);
            self.before.insert((topic, partition), end);
        }
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&self.names[topic]).partition(partition).timestamp(time_ms);
        record.key = key;
        record.payload = payload;
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => record = back,
                Err((error, _)) => panic!("cannot produce: {error}"),
            }
            self.producer.poll(Duration::from_millis(50));
        }
        *self.sent.entry((topic, partition)).or_default() += 1;
    }

    /// Waits until the broker has all of them, and checks that it does.
    pub(crate) fn finish(self) {
        self.producer.flush(WAIT).expect("the broker takes the records");
        for (&(topic, partition), sent) in &self.sent {
            let there = self.end(topic, partition) - self.before[&(topic, partition)];
            assert_eq!(there, *sent, "records of partition {partition} of {}", self.names[topic]);
        }
    }

    fn end(&self, topic: usize, partition: i32) -> i64 {
        // A topic just made may have no leader yet.
        let mut end = None;
        super::wait_until("the partition has a leader", WAIT, || {
            let ends = self.producer.client().fetch_watermarks(&self.names[topic], partition, WAIT);
            end = ends.ok().map(|(_, high)| high);
            end.is_some()
        });
        end.expect("the partition's end")
    }
}

fn new_topic<'a>(name: &'a str, partitions: i32, timestamps: &'a str) -> NewTopic<'a> {
    NewTopic::new(name, partitions, TopicReplication::Fixed(1))
        .set("message.timestamp.type", timestamps)
        .set("message.timestamp.after.max.ms", "9223372036854775807")
        .set("retention.ms", "-1")
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)))
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}
