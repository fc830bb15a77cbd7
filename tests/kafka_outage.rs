//! A broker that goes away and comes back, on the mock cluster inside librdkafka: needs no server.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use citystream::parts::{FULL_QUEUE, KafkaCatalog, KafkaReader, KafkaSettings, Reader, Record};
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
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

/// Two brokers; each leads one partition of every topic, with one record that has been read.
struct Setup {
    cluster: MockCluster<'static, DefaultProducerContext>,
    settings: KafkaSettings,
    producer: BaseProducer,
    reader: KafkaReader,
    _catalog: KafkaCatalog,
}

const HERE: Partition = Partition { topic: Topic::GPS, index: 0 };
const THERE: Partition = Partition { topic: Topic::GPS, index: 1 };

fn setup() -> Setup {
    let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(2).unwrap();
    let settings = KafkaSettings::new(cluster.bootstrap_servers(), kafka_log::fresh_names());
    for name in settings.topics.values() {
        cluster.create_topic(name, 2, 1).unwrap();
        cluster.partition_leader(name, 0, Some(1)).unwrap();
        cluster.partition_leader(name, 1, Some(2)).unwrap();
    }
    let producer = kafka_log::producer(&settings, &[]);
    let catalog = KafkaCatalog::connect(settings.clone()).unwrap();
    let mut reader = catalog.reader(FULL_QUEUE).unwrap();
    for p in [HERE, THERE] {
        send(&producer, &settings, p, "one");
        reader.add(p, NextOffset(0)).unwrap();
        assert_eq!(read(&mut reader, p, 1, usize::MAX).len(), 1);
        until_drained(&mut reader, p);
    }
    Setup { cluster, settings, producer, reader, _catalog: catalog }
}

/// For `time`: the partition whose leader answers stays drained, the other is not.
fn only_here_is_drained(reader: &mut KafkaReader, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(drained_after(reader, HERE, Duration::from_millis(100)), "its leader is there");
        assert!(!reader.drained(THERE), "nobody can confirm its end");
    }
}

#[test]
fn a_lost_broker_undrains_its_own_partitions_only_and_nothing_fails() {
    let Setup { cluster, settings, producer, mut reader, _catalog } = setup();
    cluster.broker_down(2).unwrap();
    assert!(!drained_after(&mut reader, THERE, Duration::from_millis(2600)), "nobody can confirm its end");
    only_here_is_drained(&mut reader, Duration::from_secs(6));
    send(&producer, &settings, HERE, "two");
    assert_eq!(read(&mut reader, HERE, 1, usize::MAX).len(), 1);
    until_drained(&mut reader, HERE);

    cluster.broker_up(2).unwrap();
    send(&producer, &settings, THERE, "two");
    assert_eq!(read(&mut reader, THERE, 1, usize::MAX)[0].offset, 1);
    until_drained(&mut reader, THERE);
}

#[test]
fn a_broker_that_hangs_undrains_its_own_partitions_only() {
    let Setup { cluster, settings, producer, mut reader, _catalog } = setup();
    cluster.broker_round_trip_time(2, Duration::from_secs(5)).unwrap();
    assert!(!drained_after(&mut reader, THERE, Duration::from_millis(2600)), "nobody can confirm its end");
    only_here_is_drained(&mut reader, Duration::from_secs(4));
    cluster.broker_round_trip_time(2, Duration::ZERO).unwrap();
    send(&producer, &settings, THERE, "two");
    assert_eq!(read(&mut reader, THERE, 1, usize::MAX)[0].offset, 1);
    until_drained(&mut reader, THERE);
}

/// A link to another continent, or a busy broker: slow is not lost.
#[test]
fn a_slow_broker_is_waited_for() {
    let Setup { cluster, settings, producer, mut reader, _catalog } = setup();
    cluster.broker_round_trip_time(2, Duration::from_millis(1200)).unwrap();
    send(&producer, &settings, THERE, "two");
    assert_eq!(read(&mut reader, THERE, 1, usize::MAX)[0].offset, 1);
    until_drained(&mut reader, THERE);
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        assert!(drained_after(&mut reader, THERE, Duration::from_millis(50)), "its answers are late, not missing");
        assert!(reader.drained(HERE), "its leader is not slow");
    }
}
