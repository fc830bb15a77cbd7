//! A broker that goes away and comes back, on the mock cluster inside librdkafka: needs no server.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use citystream::source::kafka::{KafkaCatalog, KafkaReader, KafkaSettings};
use citystream::source::{Reader, Record};
use citystream_dataflows::bindings::{NextOffset, Partition, Topic};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer};

#[path = "../src/source/contract.rs"]
mod contract;
mod kafka_log;

use contract::{read, until_drained};

/// Polls for a time; what `drained` said at the end of it.
fn drained_after(reader: &mut KafkaReader, partition: Partition, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        let start = Instant::now();
        reader.poll(partition, &mut |_: Record<'_>| ControlFlow::Continue(())).unwrap();
        assert!(start.elapsed() < Duration::from_millis(500), "poll has blocked for {:?}", start.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    reader.drained(partition)
}

fn send(producer: &BaseProducer, settings: &KafkaSettings, p: Partition, value: &str) {
    use rdkafka::producer::BaseRecord;
    let record = BaseRecord::<str, str>::to(settings.name(p.topic)).partition(p.index).payload(value);
    producer.send(record).map_err(|(e, _)| e).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_lost_broker_undrains_its_own_partitions_only_and_nothing_fails() {
    let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(2).unwrap();
    let settings = KafkaSettings::new(cluster.bootstrap_servers(), kafka_log::fresh_names());
    let here = Partition { topic: Topic::Gps, index: 0 };
    let there = Partition { topic: Topic::Gps, index: 1 };
    for name in &settings.topics {
        cluster.create_topic(name, 2, 1).unwrap();
        cluster.partition_leader(name, 0, Some(1)).unwrap();
        cluster.partition_leader(name, 1, Some(2)).unwrap();
    }
    let producer = kafka_log::producer(&settings, &[]);
    for p in [here, there] {
        send(&producer, &settings, p, "one");
    }
    let catalog = KafkaCatalog::connect(settings.clone()).unwrap();
    let mut reader = catalog.reader().unwrap();
    for p in [here, there] {
        reader.add(p, NextOffset(0)).unwrap();
        assert_eq!(read(&mut reader, p, 1, usize::MAX).len(), 1);
        until_drained(&mut reader, p);
    }

    cluster.broker_down(2).unwrap();
    assert!(!drained_after(&mut reader, there, Duration::from_millis(2600)), "nobody can confirm its end");
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        assert!(drained_after(&mut reader, here, Duration::from_millis(100)), "its leader is there");
        assert!(!reader.drained(there));
    }
    send(&producer, &settings, here, "two");
    assert_eq!(read(&mut reader, here, 1, usize::MAX).len(), 1);
    until_drained(&mut reader, here);

    cluster.broker_up(2).unwrap();
    send(&producer, &settings, there, "two");
    assert_eq!(read(&mut reader, there, 1, usize::MAX)[0].offset, 1);
    until_drained(&mut reader, there);
}
