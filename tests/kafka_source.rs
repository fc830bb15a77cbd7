//! The Kafka source against a real broker: the reader's contract, transactions, lost offsets, topics.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use citystream::parts::{
    Catalog, KafkaCatalog, KafkaReader, KafkaSettings, Reader, Record, SourceError, create_topics, topic_status,
};
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

#[path = "../src/source/contract.rs"]
mod contract;
mod kafka_log;

use contract::{TestLog, nothing, read, until_drained};
use kafka_log::{KafkaLog, fresh_names, producer, servers};

const P: Partition = Partition { topic: Topic::GPS, index: 1 };
const WAIT: Duration = Duration::from_secs(10);

contract::every_promise!(servers().map(|servers| KafkaLog::new(&servers)));

fn payloads(kept: &[contract::Kept]) -> Vec<String> {
    kept.iter().map(|k| String::from_utf8(k.payload.clone().unwrap()).unwrap()).collect()
}

fn admin(settings: &KafkaSettings) -> AdminClient<DefaultClientContext> {
    rdkafka::ClientConfig::new().set("bootstrap.servers", &settings.bootstrap_servers).create().unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Polls until the reader fails.
fn until_failed(reader: &mut KafkaReader, p: Partition, within: Duration) -> SourceError {
    let end = Instant::now() + within;
    loop {
        assert!(Instant::now() < end, "no error within {within:?}");
        let none = &mut |record: Record<'_>| panic!("unexpected record at {}", record.offset);
        if let Err(error) = reader.poll(p, none) {
            assert!(!error.to_string().contains('\n'), "{error}");
            return error;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn transactions_show_what_was_committed_and_drain_past_markers() {
    let Some(servers) = servers() else { return };
    let mut log = KafkaLog::new(&servers);
    let id = log.settings.topics[Topic::VEHICLE].clone();
    let txn = producer(&log.settings, &[("transactional.id", &id)]);
    txn.init_transactions(WAIT).unwrap();
    let mut reader = log.reader();
    reader.add(P, log.first(P)).unwrap();

    // A marker is last: the position is past it, one beyond the last record's next.
    txn.begin_transaction().unwrap();
    (0..3).for_each(|i| log.send(&txn, P, &format!("a{i}")));
    txn.commit_transaction(WAIT).unwrap();
    let kept = read(&mut reader, P, 3, usize::MAX);
    assert_eq!(payloads(&kept), ["a0", "a1", "a2"]);
    until_drained(&mut reader, P);
    assert_eq!((kept[2].next.0, log.range(P).1), (3, 4));
    assert_eq!(reader.end(P).map(|end| end.0), Some(4), "as the leader has said");

    // Aborted records and their marker are passed over.
    txn.begin_transaction().unwrap();
    (0..5).for_each(|i| log.send(&txn, P, &format!("b{i}")));
    txn.flush(WAIT).unwrap();
    txn.abort_transaction(WAIT).unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    nothing(&mut reader, P);
    until_drained(&mut reader, P);
    assert_eq!(log.range(P).1, 10);

    // Open: what stands behind its first record is not there yet, whoever wrote it; other partitions go on.
    txn.begin_transaction().unwrap();
    log.send(&txn, P, "c0");
    txn.flush(WAIT).unwrap();
    log.append(P, 1, None, Some("d0"));
    let other = Partition { index: 0, ..P };
    reader.add(other, log.first(other)).unwrap();
    log.append(other, 1, None, Some("e0"));
    assert_eq!(payloads(&read(&mut reader, other, 1, usize::MAX)), ["e0"]);
    std::thread::sleep(Duration::from_millis(2100));
    nothing(&mut reader, P);
    until_drained(&mut reader, P);
    assert_eq!(log.range(P).1, 10, "the end is the last stable offset");
    txn.commit_transaction(WAIT).unwrap();
    assert_eq!(payloads(&read(&mut reader, P, 2, usize::MAX)), ["c0", "d0"]);
    until_drained(&mut reader, P);
}

#[test]
fn a_restart_at_the_end_of_a_transaction_is_drained_without_a_record() {
    let Some(servers) = servers() else { return };
    let mut log = KafkaLog::new(&servers);
    let txn = producer(&log.settings, &[("transactional.id", &log.settings.topics[Topic::VEHICLE])]);
    txn.init_transactions(WAIT).unwrap();
    txn.begin_transaction().unwrap();
    log.send(&txn, P, "a");
    txn.commit_transaction(WAIT).unwrap();
    let mut reader = log.reader();
    reader.add(P, NextOffset(1)).unwrap();
    until_drained(&mut reader, P);
}

#[test]
fn an_offset_outside_the_log_is_lost() {
    let Some(servers) = servers() else { return };
    let mut log = KafkaLog::new(&servers);
    (0..5).for_each(|i| log.append(P, 1, None, Some(&format!("{i}"))));
    let mut reader = log.reader();
    reader.add(P, NextOffset(6)).unwrap();
    let error = until_failed(&mut reader, P, WAIT);
    assert!(matches!(&error, SourceError::Lost(t) if t.contains("offset 6")), "{error}");

    let mut delete = TopicPartitionList::new();
    delete.add_partition_offset(log.settings.name(P.topic), P.index, Offset::Offset(3)).unwrap();
    wait(admin(&log.settings).delete_records(&delete, &AdminOptions::new())).unwrap();
    assert_eq!(log.range(P), (3, 5));
    let mut reader = log.reader();
    reader.add(P, NextOffset(2)).unwrap();
    let error = until_failed(&mut reader, P, WAIT);
    assert!(matches!(&error, SourceError::Lost(t) if t.contains("offset 2")), "{error}");
}

#[test]
fn a_topic_deleted_or_made_anew_is_lost() {
    let Some(servers) = servers() else { return };
    let mut log = KafkaLog::new(&servers);
    (0..5).for_each(|i| log.append(P, 1, None, Some(&format!("{i}"))));
    let before = log.catalog.discover().unwrap();
    let mut reader = log.reader();
    reader.add(P, NextOffset(0)).unwrap();
    read(&mut reader, P, 5, usize::MAX);
    let name = log.settings.name(P.topic).to_string();
    wait(admin(&log.settings).delete_topics(&[&name], &AdminOptions::new())).unwrap();
    let error = until_failed(&mut reader, P, Duration::from_secs(60));
    assert!(matches!(error, SourceError::Lost(_)), "{error}");

    let missing = log.catalog.discover().unwrap_err().to_string();
    assert!(missing.contains(&name) && missing.contains("citystream topics create"), "{missing}");
    let created = create_topics(&log.settings, 2, true).unwrap();
    assert_eq!(created.iter().filter(|c| c.created).map(|c| &c.name).collect::<Vec<_>>(), [&name]);
    let after = log.catalog.discover().unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.topic_id == after.topic_id, before.partition.topic != P.topic, "{before:?} {after:?}");
        assert_eq!(before.topic_id.len(), 22, "{before:?}");
    }
}

#[test]
fn discovery_lists_partitions_in_order_also_new_ones() {
    let Some(servers) = servers() else { return };
    let mut log = KafkaLog::new(&servers);
    let found: Vec<_> = log.catalog.discover().unwrap().into_iter().map(|a| a.partition).collect();
    let expected = Topic::all().flat_map(|topic| (0..2).map(move |index| Partition { topic, index }));
    assert_eq!(found, expected.collect::<Vec<_>>());
    let mut reader = log.reader();
    reader.add(P, log.first(P)).unwrap();
    let more = [NewPartitions::new(log.settings.name(P.topic), 3)];
    wait(admin(&log.settings).create_partitions(&more, &AdminOptions::new())).unwrap().remove(0).unwrap();
    let new = Partition { index: 2, ..P };
    let end = Instant::now() + WAIT;
    while !log.catalog.discover().is_ok_and(|found| found.iter().any(|a| a.partition == new)) {
        assert!(Instant::now() < end, "the new partition is not found");
        std::thread::sleep(Duration::from_millis(50));
    }
    log.append(new, 1, None, Some("x"));
    reader.add(new, NextOffset(0)).unwrap();
    assert_eq!(payloads(&read(&mut reader, new, 1, usize::MAX)), ["x"]);
    until_drained(&mut reader, new);
}

#[test]
fn the_group_gets_what_is_reported() {
    let Some(servers) = servers() else { return };
    let mut log = KafkaLog::new(&servers);
    (0..5).for_each(|i| log.append(P, 1, None, Some(&format!("{i}"))));
    let other = Partition { topic: Topic::TRAFFIC, index: 0 };
    assert_eq!(log.catalog.group_offsets(&[P, other]).unwrap(), []);
    log.catalog.report(&[(P, NextOffset(4))]).unwrap();
    let end = Instant::now() + WAIT;
    while log.catalog.group_offsets(&[P, other]).unwrap() != [(P, NextOffset(4))] {
        assert!(Instant::now() < end, "the report has not arrived");
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = topic_status(&log.catalog).unwrap();
    assert_eq!(status.len(), 10);
    let line = status.iter().find(|s| (s.topic, s.partition.map(|p| p.0)) == (P.topic, Some(P.index))).unwrap();
    assert_eq!((line.group, line.lag), (Some(NextOffset(4)), Some(1)));
    assert_eq!(line.timestamps.as_ref().unwrap().kind, "CreateTime");
    assert_eq!(line.partition, Some((1, NextOffset(0), NextOffset(5))));
}

#[test]
fn topics_are_created_once_and_their_clocks_are_judged() {
    let Some(servers) = servers() else { return };
    let settings = KafkaSettings::new(&servers, fresh_names());
    let catalog = KafkaCatalog::connect(settings.clone()).unwrap();
    let missing = topic_status(&catalog).unwrap();
    assert!(missing.len() == 5 && missing.iter().all(|s| s.partition.is_none() && s.timestamps.is_none()));
    assert!(create_topics(&settings, 3, false).unwrap().iter().all(|c| c.created));
    assert!(create_topics(&settings, 3, false).unwrap().iter().all(|c| !c.created));
    assert_eq!(catalog.timestamp_warnings(600_000).unwrap(), Vec::<String>::new());
    let status = topic_status(&catalog).unwrap();
    assert!(status.len() == 15 && status.iter().all(|s| s.timestamps.as_ref().unwrap().kind == "LogAppendTime"));
    let simulated = KafkaLog::new(&servers);
    assert_eq!(simulated.catalog.timestamp_warnings(600_000).unwrap().len(), 5);
}

#[test]
fn a_setting_that_is_not_one_is_said_at_once() {
    let mut settings = KafkaSettings::new("127.0.0.1:1", fresh_names());
    settings.extra = vec![("no.such.setting".into(), "1".into())];
    let error = KafkaCatalog::connect(settings).err().unwrap().to_string();
    assert!(error.contains("no.such.setting") && !error.contains('\n'), "{error}");
}

#[test]
fn a_broker_that_is_not_there_is_said_in_bounded_time() {
    let catalog = KafkaCatalog::connect(KafkaSettings::new("127.0.0.1:1", fresh_names())).unwrap();
    let start = Instant::now();
    let error = catalog.discover().unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert!(error.contains("127.0.0.1:1") && error.contains("cannot be reached") && !error.contains('\n'), "{error}");
}
