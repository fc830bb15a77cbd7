//! The contract of every source, over an old lake that grows; and how it is read when little may wait.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use citystream_dataflows::time::HOUR;
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use jiff::tz::TimeZone;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{OldLake, Options, OriginCatalog, OriginReader};
use crate::columns::decode::{DecodeOptions, Decoder, Incoming};
use crate::columns::text_hash::testing::hasher;
use crate::lake::history::{layout, packs};
use crate::lake::{StoreOptions, digest};
use crate::source::SourceError;
use crate::source::contract::{self, TestLog, read, until_drained};
use crate::source::{Catalog, Reader, Record};

const P: Partition = Partition { topic: Topic::GPS, index: 0 };
const Q: Partition = Partition { topic: Topic::GPS, index: 1 };
const T_MS: i64 = 1_700_000_000_000;

/// An old lake, a record a commit: offsets have gaps, and what comes next is in the bindings alone. Records are dead letters,
/// which keep their bytes.
struct Log {
    dir: TempDir,
    runtime: Runtime,
    seq: u64,
    next: BTreeMap<i32, i64>,
    /// What each partition of a reader may hold.
    share: u64,
    /// How many records a commit says that it has.
    counted: u64,
}

impl Log {
    fn new() -> Log {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let next = BTreeMap::from([(P.index, 0), (Q.index, 0)]);
        let mut log = Log { dir: TempDir::new().unwrap(), runtime, seq: 0, next, share: 16 << 20, counted: 1 };
        let time = json!({"lateness": 1, "slack": 1, "max_ahead": 1, "max_hold": 1});
        let decides = json!({"time": time, "tables": "raw", "timezone": "UTC", "log_clock": "log", "max_record": 1000,
                             "resolutions": [8, 5], "definitions": 4});
        log.put(layout::SETTINGS, json!({"format": 1, "lake": "x", "decides": decides}).to_string().as_bytes());
        log.commit(&json!([]), &json!({}));
        log
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Whoever follows sees all of it or nothing.
        let written = self.dir.path().join("being-written");
        fs::write(&written, bytes).unwrap();
        fs::rename(written, path).unwrap();
    }

    fn commit(&mut self, epochs: &Value, added: &Value) {
        let position = |(index, next): (&i32, &i64)| {
            let partition = json!({"topic": "gps", "index": index});
            json!({"partition": partition, "next": next, "log_clock": null, "standing": "behind"})
        };
        let positions: Vec<Value> = self.next.iter().map(position).collect();
        let topics = json!({"gps": {"name": "gps_data", "id": "a"}});
        let commit =
            json!({"seq": self.seq, "positions": positions, "topics": topics, "epochs": epochs, "added": added});
        self.put(&layout::commit(self.seq), commit.to_string().as_bytes());
        self.seq += 1;
    }

    fn old(&self) -> Arc<OldLake> {
        self.open().unwrap()
    }

    fn open(&self) -> Result<Arc<OldLake>, SourceError> {
        let options = Options {
            location: self.dir.path().display().to_string(),
            store: StoreOptions::default(),
            into: "elsewhere".into(),
            log_clock: "log",
            accept_loss: false,
            follows: true,
            settled: Duration::from_millis(300),
        };
        self.runtime.block_on(OldLake::open(&options))
    }
}

/// A dead letter as a file has it.
fn parquet(partition: Partition, offset: i64, log_time: i64, key: Option<&str>, payload: Option<&str>) -> Vec<u8> {
    let options = DecodeOptions { timezone: TimeZone::UTC, max_record: 1000, max_ahead: 24 * HOUR };
    let mut decoder = Decoder::new(options, hasher());
    let mut rows = decoder.rows();
    let (next, key, payload) = (NextOffset(offset + 1), key.map(str::as_bytes), payload.map(str::as_bytes));
    let record = Record { offset, next, log_time, key, payload, length: None };
    decoder.decode(Incoming::new(partition, None, record), &mut rows);
    let batch = rows.finish().remove(0).columns;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

impl TestLog for Log {
    type Reader = OriginReader;

    fn partitions(&self) -> Vec<Partition> {
        vec![P, Q]
    }

    fn first(&self, _: Partition) -> NextOffset {
        NextOffset(0)
    }

    fn append(&mut self, partition: Partition, ts_ms: i64, key: Option<&str>, value: Option<&str>) {
        let first = self.next[&partition.index];
        // The record is one of three offsets.
        let (offset, next) = (first + 1, first + 3);
        let key: Option<String> = key.map(|key| serde_json::from_str(key).unwrap());
        let bytes = parquet(partition, offset, ts_ms * 1000, key.as_deref(), value);
        let path = format!("tables/dead_letters/{}.parquet", self.seq);
        self.put(&path, &bytes);
        let file = json!({"path": path, "rows": 1, "bytes": bytes.len(), "sha256": digest(&bytes)});
        let binding = json!({"partition": partition, "first": first, "next": next, "read": self.counted, "log_clock": null,
                             "standing": "behind"});
        self.next.insert(partition.index, next);
        let epoch = json!({"epoch": self.seq, "bindings": [binding]});
        self.commit(&json!([epoch]), &json!({"dead_letters": [file]}));
    }

    fn reader(&mut self) -> OriginReader {
        OriginReader::new(self.old(), self.runtime.handle().clone(), self.share)
    }
}

contract::every_promise!(Some(Log::new()));

/// P is silent while Q delivers more than may wait; nobody polls Q, as it is too far ahead, and P's records come all the same.
#[test]
fn whoever_is_behind_is_read_though_what_waits_is_full() {
    let mut log = Log::new();
    log.share = 16 << 10;
    for round in 0..4 {
        log.append(P, T_MS + round, None, Some("p"));
        (0..200).for_each(|n| log.append(Q, T_MS + 7_200_000 + 1000 * round + n, None, Some("q")));
    }
    let mut reader = log.reader();
    reader.add(P, NextOffset(0)).unwrap();
    reader.add(Q, NextOffset(0)).unwrap();
    let first = read(&mut reader, Q, 1, 1);
    assert_eq!(read(&mut reader, P, 4, usize::MAX).len(), 4);
    until_drained(&mut reader, P);
    let rest = read(&mut reader, Q, 799, 50);
    assert!(first[0].offset < rest[0].offset && rest.is_sorted_by(|one, other| one.offset < other.offset));
    until_drained(&mut reader, Q);
    assert_eq!(reader.passed(Q), Some(NextOffset(2400)), "past the last record, to where the binding ends");
}

/// A partition that is added late was passed by portions of all others.
#[test]
fn whoever_comes_late_is_read_from_its_beginning() {
    let mut log = Log::new();
    for n in 0..150 {
        log.append(P, T_MS + n, None, Some("p"));
        log.append(Q, T_MS + n, None, Some("q"));
    }
    let mut reader = log.reader();
    reader.add(P, NextOffset(0)).unwrap();
    read(&mut reader, P, 150, usize::MAX);
    reader.add(Q, NextOffset(0)).unwrap();
    let all = read(&mut reader, Q, 150, usize::MAX);
    assert!(all.iter().map(|record| record.offset).eq((0..150).map(|n| 3 * n + 1)), "each once, in order");
    log.append(Q, T_MS + 150, None, Some("q"));
    assert_eq!(read(&mut reader, Q, 1, usize::MAX)[0].offset, 451);
}

/// Format 2 packs commits that are a day old.
#[test]
fn commits_that_are_packed_are_read() {
    let mut log = Log::new();
    (0..1050).for_each(|n| log.append(P, T_MS + n, None, Some("p")));
    let mut packed = Vec::new();
    for seq in 0..packs::COMMITS {
        let path = log.dir.path().join(layout::commit(seq));
        packed.extend(fs::read(&path).unwrap());
        packed.push(b'\n');
        fs::remove_file(path).unwrap();
    }
    log.put(&packs::path(0), &zstd::encode_all(&packed[..], 3).unwrap());
    let mut reader = log.reader();
    reader.add(P, NextOffset(0)).unwrap();
    let all = read(&mut reader, P, 1050, usize::MAX);
    assert!(all.iter().map(|record| record.offset).eq((0..1050).map(|n| 3 * n + 1)), "each once, in order");
    until_drained(&mut reader, P);
    let mut again = log.reader();
    again.add(P, all[500].next).unwrap();
    let rest = read(&mut again, P, 549, usize::MAX);
    assert!(rest.iter().zip(&all[501..]).all(|(one, other)| one.offset == other.offset), "from any place");
}

#[test]
fn a_lake_that_keeps_its_first_commits_no_longer_is_no_source() {
    let mut log = Log::new();
    log.append(P, T_MS, None, Some("p"));
    log.append(P, T_MS, None, Some("p"));
    fs::remove_file(log.dir.path().join(layout::commit(0))).unwrap();
    let error = log.open().unwrap_err().to_string();
    assert!(error.contains("its first commits are kept no longer"), "{error}");
}

/// P4: nothing is passed over silently.
#[test]
fn what_commits_count_and_is_not_there_is_lost() {
    let mut log = Log::new();
    log.append(P, T_MS, None, Some("p"));
    log.counted = 2;
    log.append(P, T_MS, None, Some("p"));
    let mut reader = log.reader();
    reader.add(P, NextOffset(0)).unwrap();
    let mut take = |_: Record<'_>| ControlFlow::Continue(());
    let lost = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        reader.poll(P, &mut take).err()
    });
    let lost = lost.expect("an error").to_string();
    assert!(lost.contains("gps/0") && lost.contains("count 3 records, and 2 are there"), "{lost}");
}

#[test]
fn a_catalog_tells_where_partitions_begin_and_end_and_whose_they_are() {
    let mut log = Log::new();
    (0..5).for_each(|n| log.append(P, T_MS + n, None, Some("p")));
    let catalog = OriginCatalog::new(log.old(), log.runtime.handle().clone());
    let found = catalog.discover().unwrap();
    let ends: Vec<_> = found.iter().map(|a| (a.partition, a.topic_id.as_str(), a.low.0, a.high.0)).collect();
    assert_eq!(ends, [(P, "a", 0, 15), (Q, "a", 0, 0)]);
    log.append(Q, T_MS, None, Some("q"));
    assert_eq!(catalog.discover().unwrap()[1].high.0, 0, "others may not know yet");
    let goes_on = (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        catalog.discover().unwrap()[1].high.0 == 3
    });
    assert!(goes_on, "they know by then");
}
