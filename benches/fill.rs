//! Fills five topics of four partitions with records for the other benchmarks, in equal shares, keyed by id.
//!
//! `cargo bench --bench fill -- BROKERS RECORDS [PREFIX]`; the topics are `<PREFIX>vehicle_data` and so on, created
//! if they are not there, with the producer's timestamps and no retention.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/kafka.rs"]
mod kafka;

use std::time::{Duration, Instant};

use citystream_wire::PerTopic;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

fn main() {
    let arguments = kafka::arguments();
    let [brokers, records, rest @ ..] = arguments.as_slice() else {
        println!("usage: fill BROKERS RECORDS [PREFIX]");
        return;
    };
    let names = kafka::topic_names(rest.first().map_or("", String::as_str));
    create(brokers, &names);
    let start = Instant::now();
    let records: u64 = records.parse().unwrap();
    produce(brokers, &names, records);
    println!("{records} records in {:.1} s to {}", start.elapsed().as_secs_f64(), names.values().join(" "));
}

fn create(brokers: &str, names: &PerTopic<String>) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let topics: Vec<NewTopic<'_>> = names
        .values()
        .iter()
        .map(|name| {
            NewTopic::new(name, kafka::PARTITIONS, TopicReplication::Fixed(1))
                .set("retention.ms", "-1")
                .set("message.timestamp.type", "CreateTime")
                .set("message.timestamp.after.max.ms", "9223372036854775807")
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for result in runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap() {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, error)) => panic!("{name}: {error}"),
        }
    }
}

fn produce(brokers: &str, names: &PerTopic<String>, records: u64) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "50")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "200000")
        .create()
        .unwrap();
    let mut random = common::Random(7);
    for number in 0..records {
        let (topic, key, payload) = common::record(&mut random, number);
        let partition = (number / 5 % kafka::PARTITIONS as u64) as i32;
        let millis = (common::START + number as i64 * 100) / 1000;
        let mut record =
            BaseRecord::to(&names[topic]).key(&key).payload(&payload).partition(partition).timestamp(millis);
        while let Err((error, back)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), "{error}");
            std::thread::sleep(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}
