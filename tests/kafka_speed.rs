//! How fast the reader is against the plain consumer of `rdkafka`, on a real broker. Run by hand, for figures:
//! `KAFKA_BOOTSTRAP_SERVERS=... CITYSTREAM_SPEED=3000000 cargo test --release --test kafka_speed -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use citystream::parts::{FULL_QUEUE, KafkaSettings, Reader, Record};
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_wire::PerTopic;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

#[path = "../src/source/contract.rs"]
mod contract;
mod kafka_log;

use kafka_log::KafkaLog;

fn partitions() -> Vec<Partition> {
    Topic::all().flat_map(|topic| (0..2).map(move |index| Partition { topic, index })).collect()
}

fn fill(log: &KafkaLog, count: u64) {
    let producer = kafka_log::producer(
        &log.settings,
        &[("acks", "1"), ("linger.ms", "50"), ("batch.size", "500000"), ("queue.buffering.max.messages", "1000000")],
    );
    let all = partitions();
    let pad = "x".repeat(270);
    for i in 0..count {
        let p = all[(i % all.len() as u64) as usize];
        let value = format!(r#"{{"id":"r{i:010}","pad":"{pad}"}}"#);
        let mut record = BaseRecord::<str, str>::to(log.settings.name(p.topic)).partition(p.index).payload(&value);
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// Fills in a process of its own, so that the producer's memory is not counted.
fn fill_elsewhere(log: &KafkaLog, count: u64) {
    let program = std::env::current_exe().unwrap();
    let filled = std::process::Command::new(program)
        .env("CITYSTREAM_SPEED_FILL", log.settings.topics.values().join(","))
        .env("CITYSTREAM_SPEED", count.to_string())
        .arg("fill_for_another_process")
        .status();
    assert!(filled.unwrap().success());
}

#[test]
fn fill_for_another_process() {
    let Ok(names) = std::env::var("CITYSTREAM_SPEED_FILL") else { return };
    let mut names = names.split(',').map(str::to_owned);
    let settings = KafkaSettings::new(kafka_log::servers().unwrap(), PerTopic::new(|_| names.next().unwrap()));
    fill(&KafkaLog::over(settings), std::env::var("CITYSTREAM_SPEED").unwrap().parse().unwrap());
}

/// One partition with a backlog, the others idle at their end.
fn one_behind(log: &KafkaLog, count: u64) -> f64 {
    let mut reader = log.catalog.reader(FULL_QUEUE).unwrap();
    let (all, count) = (partitions(), count / 10);
    for p in &all[1..] {
        reader.add(*p, NextOffset(count as i64)).unwrap();
        contract::until_drained(&mut reader, *p);
    }
    let start = Instant::now();
    reader.add(all[0], NextOffset(0)).unwrap();
    let mut n = 0;
    while n < count {
        let before = n;
        let mut count_one = |_: Record<'_>| {
            n += 1;
            ControlFlow::Continue(())
        };
        reader.poll(all[0], &mut count_one).unwrap();
        if n == before {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    count as f64 / start.elapsed().as_secs_f64()
}

fn ours(log: &KafkaLog, count: u64) -> f64 {
    let mut reader = log.catalog.reader(FULL_QUEUE).unwrap();
    for p in partitions() {
        reader.add(p, NextOffset(0)).unwrap();
    }
    let (start, mut n, mut bytes) = (Instant::now(), 0_u64, 0_usize);
    while n < count {
        let before = n;
        for p in partitions() {
            let mut some = 0;
            reader
                .poll(p, &mut |r: Record<'_>| {
                    n += 1;
                    some += 1;
                    bytes += r.payload.map_or(0, <[u8]>::len);
                    if some == 4096 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .unwrap();
        }
        if n == before {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    assert!(bytes > 0);
    n as f64 / start.elapsed().as_secs_f64()
}

fn plain(log: &KafkaLog, count: u64, split: bool) -> f64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &log.settings.bootstrap_servers)
        .set("group.id", "plain")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .unwrap();
    let consumer = Arc::new(consumer);
    let mut list = TopicPartitionList::new();
    let mut queues = Vec::new();
    for p in partitions() {
        let name = log.settings.name(p.topic);
        if split {
            queues.push(consumer.split_partition_queue(name, p.index).unwrap());
        }
        list.add_partition_offset(name, p.index, Offset::Offset(0)).unwrap();
    }
    consumer.incremental_assign(&list).unwrap();
    let (start, mut n, mut bytes) = (Instant::now(), 0_u64, 0_usize);
    while n < count {
        if split {
            let before = n;
            for queue in &queues {
                for _ in 0..4096 {
                    let Some(message) = queue.poll(Duration::ZERO) else { break };
                    bytes += message.unwrap().payload_len();
                    n += 1;
                }
            }
            if n == before {
                std::thread::sleep(Duration::from_micros(500));
            }
        } else if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            bytes += message.unwrap().payload_len();
            n += 1;
        }
    }
    assert!(bytes > 0);
    n as f64 / start.elapsed().as_secs_f64()
}

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS")).collect::<Vec<_>>().join(" ")
}

#[test]
fn speed() {
    let Some(count) = std::env::var("CITYSTREAM_SPEED").ok().and_then(|n| n.parse().ok()) else { return };
    let Some(servers) = kafka_log::servers() else { return };
    let log = KafkaLog::new(&servers);
    fill_elsewhere(&log, count);
    println!("nothing read: {}", memory());
    {
        let mut reader = log.catalog.reader(FULL_QUEUE).unwrap();
        for p in partitions() {
            reader.add(p, NextOffset(0)).unwrap();
        }
        std::thread::sleep(Duration::from_secs(3));
        println!("10 full queues, unread: {}", memory());
    }
    println!("one behind: {:.0} records/s; {}", one_behind(&log, count), memory());
    for _ in 0..3 {
        for (name, run) in [
            ("ours", &(|| ours(&log, count)) as &dyn Fn() -> f64),
            ("rdkafka split", &|| plain(&log, count, true)),
            ("rdkafka one queue", &|| plain(&log, count, false)),
        ] {
            let before = cpu();
            let rate = run();
            let cpu = (cpu() - before) / count as f64 * 1e9;
            println!("{name:20} {:>9.0} records/s, {cpu:>5.0} ns CPU a record; {}", rate, memory());
        }
    }
}
