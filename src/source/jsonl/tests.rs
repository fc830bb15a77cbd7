//! The contract of every source, and what is particular about files.
#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use citystream_dataflows::time::LOG_TIMES;
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_wire::PerTopic;
use tempfile::TempDir;

use super::tail::{KEPT, LONGEST};
use super::{JsonlCatalog, JsonlOptions, JsonlReader, JsonlWriter, WriteError};
use crate::source::contract::{self, Kept, TestLog, keep, nothing, until_drained};
use crate::source::{Catalog, Reader, SourceError};

const P: Partition = Partition { topic: Topic::GPS, index: 0 };
const Q: Partition = Partition { topic: Topic::GPS, index: 1 };

fn topics() -> PerTopic<String> {
    PerTopic::new(|topic| format!("{}_data", topic.name()))
}

/// A log in a directory of its own, with two partitions a topic.
struct Log {
    dir: TempDir,
    writer: Option<JsonlWriter>,
}

impl Log {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let writer = Some(JsonlWriter::open(dir.path(), &topics(), 2).unwrap());
        Log { dir, writer }
    }

    fn options(&self) -> JsonlOptions {
        JsonlOptions::new(self.dir.path().to_owned(), topics(), false)
    }

    fn path(&self, partition: Partition) -> PathBuf {
        self.options().path(partition)
    }

    fn raw(&self, bytes: &[u8]) {
        OpenOptions::new().append(true).open(self.path(P)).unwrap().write_all(bytes).unwrap();
    }

    fn reopen(&mut self, partitions: u32) {
        self.writer = None;
        self.writer = Some(JsonlWriter::open(self.dir.path(), &topics(), partitions).unwrap());
    }

    fn reader_at(&mut self, next: NextOffset) -> JsonlReader {
        let mut reader = self.reader();
        reader.add(P, next).unwrap();
        reader
    }
}

impl TestLog for Log {
    type Reader = JsonlReader;

    fn partitions(&self) -> Vec<Partition> {
        vec![P, Q]
    }

    fn first(&self, partition: Partition) -> NextOffset {
        let all = JsonlCatalog::new(self.options()).discover().unwrap();
        all.iter().find(|a| a.partition == partition).unwrap().low
    }

    fn append(&mut self, partition: Partition, ts_ms: i64, key: Option<&str>, value: Option<&str>) {
        let key: Option<String> = key.map(|json| serde_json::from_str(json).unwrap());
        let writer = self.writer.as_mut().unwrap();
        writer.append(partition, ts_ms, key.as_deref(), value.map(str::as_bytes)).unwrap();
        writer.flush().unwrap();
    }

    fn reader(&mut self) -> JsonlReader {
        JsonlReader::new(self.options())
    }
}

fn all(reader: &mut JsonlReader) -> Vec<Kept> {
    let mut kept = Vec::new();
    reader
        .poll(P, &mut |record| {
            kept.push(keep(record));
            ControlFlow::Continue(())
        })
        .unwrap();
    kept
}

fn lost(reader: &mut JsonlReader) -> String {
    thread::sleep(Duration::from_millis(600));
    match reader.poll(P, &mut |_| ControlFlow::Continue(())) {
        Err(SourceError::Lost(what)) => what,
        other => panic!("{other:?}"),
    }
}

contract::every_promise!(Some(Log::new()));

#[test]
fn a_line_without_newline_is_not_there_yet() {
    let mut log = Log::new();
    let first = log.first(P);
    let mut reader = log.reader_at(first);
    log.raw(b"{\"ts\":1,\"value\":");
    nothing(&mut reader, P);
    assert!(reader.drained(P), "what is not there is not waited for");
    log.raw(b"7");
    assert!(!reader.drained(P), "what was appended has not been looked at");
    nothing(&mut reader, P);
    log.raw(b"}\n{\"ts\":");
    let kept = all(&mut reader);
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].offset, kept[0].payload.as_deref()), (first.0, Some(&b"7"[..])));
    assert!(reader.drained(P));
    let high = JsonlCatalog::new(log.options()).discover().unwrap().iter().find(|a| a.partition == P).unwrap().high;
    assert_eq!(high, kept[0].next);
}

#[test]
fn a_torn_line_is_cut_off_by_the_next_writer_and_never_read() {
    let mut log = Log::new();
    let first = log.first(P);
    log.append(P, 1, None, Some("1"));
    log.raw(b"{\"ts\":2,\"value\":\"torn and long enough to be behind the next line\"");
    let mut reader = log.reader_at(first);
    assert_eq!(all(&mut reader).len(), 1);
    log.reopen(2);
    log.append(P, 3, None, Some("3"));
    let kept = all(&mut reader);
    assert_eq!(kept.iter().map(|k| k.payload.clone().unwrap()).collect::<Vec<_>>(), [b"3"]);
    until_drained(&mut reader, P);
}

#[test]
fn what_is_no_envelope_is_handed_on_whole_at_the_last_log_time() {
    let mut log = Log::new();
    let first = log.first(P);
    log.raw(b"not json\n{\"ts\":1700000000005,\"value\":5}\n{\"ts\":9}\n{\"ts\":5,\"value\":6}\n\n");
    let kept = all(&mut log.reader_at(first));
    let got: Vec<_> = kept.iter().map(|k| (k.log_time, k.payload.as_deref().unwrap())).collect();
    let (first, then) = (LOG_TIMES.start, 1_700_000_000_005_000);
    let expected: [(i64, &[u8]); 5] =
        [(first, b"not json"), (then, b"5"), (then, b"{\"ts\":9}"), (5000, b"6"), (then, b"")];
    assert_eq!(got, expected, "a time that is none is passed on, and not taken over");
    // A reader that starts in between knows the same.
    for (i, record) in kept.iter().enumerate() {
        assert_eq!(all(&mut log.reader_at(record.next)), kept[i + 1..], "after record {i}");
    }
}

#[test]
fn the_last_log_time_is_found_however_far_back() {
    let mut log = Log::new();
    log.append(P, 1_700_000_000_007, None, Some("1"));
    log.raw(format!("{}\n", "x".repeat(1000)).repeat(1000).as_bytes());
    let end = NextOffset(fs::metadata(log.path(P)).unwrap().len() as i64);
    let mut reader = log.reader_at(end);
    log.raw(b"last\n");
    assert_eq!(all(&mut reader)[0].log_time, 1_700_000_000_007_000);
}

#[test]
fn a_line_longer_than_a_block_is_one_record() {
    let mut log = Log::new();
    let first = log.first(P);
    let long = format!("\"{}\"", "x".repeat(3 << 20));
    log.append(P, 1, Some("\"k\""), Some(&long));
    log.append(P, 2, None, Some("2"));
    let kept = all(&mut log.reader_at(first));
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0].payload.as_deref(), Some(long.as_bytes()));
}

#[test]
fn a_file_that_shrank_is_a_lost_offset() {
    let mut log = Log::new();
    let first = log.first(P);
    log.append(P, 1, None, Some("1"));
    log.append(P, 2, None, Some("2"));
    let mut reader = log.reader_at(first);
    let kept = all(&mut reader);
    OpenOptions::new().write(true).open(log.path(P)).unwrap().set_len(kept[1].offset as u64).unwrap();
    assert!(!reader.drained(P));
    assert!(lost(&mut reader).contains("it shrank to"));
    let again = log.reader().add(P, kept[1].next).unwrap_err();
    assert!(matches!(&again, SourceError::Lost(what) if what.contains("it shrank to")), "{again}");
}

#[test]
fn another_log_at_the_same_place_is_a_lost_offset() {
    let mut log = Log::new();
    let first = log.first(P);
    log.append(P, 1, None, Some("1"));
    let mut reader = log.reader_at(first);
    all(&mut reader);
    let copy = fs::read(log.path(P)).unwrap();
    fs::remove_file(log.path(P)).unwrap();
    assert!(lost(&mut reader).contains("it was removed"));
    fs::write(log.path(P), copy).unwrap();
    assert!(lost(&mut reader).contains("another file has taken its place"));
    let inside = log.reader().add(P, NextOffset(first.0 + 1)).unwrap_err();
    assert!(matches!(&inside, SourceError::Lost(what) if what.contains("no line starts at")), "{inside}");
    let before = log.reader().add(P, NextOffset(0)).unwrap_err();
    assert!(matches!(&before, SourceError::Lost(what) if what.contains("before its first record")), "{before}");
    let missing = log.reader().add(Partition { index: 9, ..P }, first).unwrap_err();
    assert!(matches!(missing, SourceError::Lost(_)), "{missing}");
}

#[test]
fn another_topic_id_in_the_same_file_is_a_lost_offset() {
    let mut log = Log::new();
    let first = log.first(P);
    let mut reader = log.reader_at(first);
    let text = fs::read_to_string(log.path(P)).unwrap();
    let id = &text[14..46];
    // Written into the same file, which keeps its inode.
    fs::write(log.path(P), text.replace(id, &"0".repeat(32))).unwrap();
    assert!(lost(&mut reader).contains(&format!("its topic id was {id}")));
}

#[test]
fn discovers_new_partitions_and_one_id_a_topic() {
    let mut log = Log::new();
    let catalog = JsonlCatalog::new(log.options());
    let before = catalog.discover().unwrap();
    assert_eq!(before.len(), 10);
    assert!(before.is_sorted_by_key(|a| a.partition));
    log.reopen(3);
    fs::write(log.path(Partition { index: 3, ..P }), b"{\"topic_id\"").unwrap();
    fs::write(log.path(P).with_file_name("notes.txt"), b"?").unwrap();
    let after = catalog.discover().unwrap();
    assert_eq!(after.len(), 15, "a partition without a complete header is not there yet");
    for topic in Topic::all() {
        let ids: Vec<_> = after.iter().filter(|a| a.partition.topic == topic).map(|a| &a.topic_id).collect();
        assert!(ids.iter().all(|id| *id == ids[0] && id.len() == 32));
        assert!(before.iter().any(|a| a.topic_id == *ids[0]), "going on keeps the id");
    }
    assert_eq!(catalog.group_offsets(&[P]).unwrap(), []);
    assert!(log.first(P) == log.writer.as_ref().unwrap().end(P).unwrap());
    fs::copy(log.path(Partition { topic: Topic::VEHICLE, index: 0 }), log.path(Partition { index: 3, ..P })).unwrap();
    assert!(matches!(catalog.discover(), Err(SourceError::Mistaken(what)) if what.contains("different topic ids")));
}

#[test]
fn a_missing_topic_and_a_foreign_file_are_named() {
    let mut log = Log::new();
    let catalog = JsonlCatalog::new(log.options());
    fs::write(log.path(Partition { index: 2, ..P }), b"{\"id\":1}\n").unwrap();
    let error = catalog.discover().unwrap_err();
    assert!(matches!(&error, SourceError::Mistaken(what) if what.contains("--log-clock event")), "{error}");
    log.writer = None;
    assert!(matches!(JsonlWriter::open(log.dir.path(), &topics(), 1), Err(WriteError::Foreign(_))));
    fs::remove_dir_all(log.path(P).parent().unwrap()).unwrap();
    let error = catalog.discover().unwrap_err();
    assert!(matches!(&error, SourceError::Mistaken(what) if what.contains("gps_data is missing")), "{error}");
}

#[test]
fn one_writer_at_a_time() {
    let log = Log::new();
    assert!(matches!(JsonlWriter::open(log.dir.path(), &topics(), 2), Err(WriteError::Locked(_))));
}

#[test]
fn what_cannot_be_a_line_is_refused() {
    let mut log = Log::new();
    let writer = log.writer.as_mut().unwrap();
    assert!(matches!(writer.append(P, 1, None, Some(b"{\n}")), Err(WriteError::Newline)));
    assert!(matches!(
        writer.append(Partition { index: 2, ..P }, 1, None, None),
        Err(WriteError::NoPartition("gps", 2))
    ));
    let next = writer.append(P, 1, Some("tab\t\"quote\" \\ \u{1}\n"), Some(b"{}")).unwrap();
    writer.flush().unwrap();
    let first = log.first(P);
    let mut keys = Vec::new();
    let mut reader = log.reader_at(first);
    let keep_key = &mut |record: crate::source::Record<'_>| {
        keys.push((record.key.unwrap().to_vec(), record.next));
        ControlFlow::Continue(())
    };
    reader.poll(P, keep_key).unwrap();
    assert_eq!(keys, [(b"tab\t\"quote\" \\ \x01\n".to_vec(), next)]);
}

#[test]
fn bare_records_carry_their_own_log_time() {
    let dir = TempDir::new().unwrap();
    for topic in topics().values() {
        fs::create_dir(dir.path().join(topic)).unwrap();
    }
    let lines = "{\"timestamp\":\"2026-01-01T00:00:02\"}\nrubbish\n{\"timestamp\":\"2026-01-01T00:00:01Z\"}\n";
    fs::write(dir.path().join("gps_data/0.jsonl"), lines).unwrap();
    let berlin = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let options = JsonlOptions::new(dir.path().to_owned(), topics(), true).timezone(berlin);
    let found = JsonlCatalog::new(options.clone()).discover().unwrap();
    assert_eq!(
        found.iter().map(|a| (a.partition, a.low.0, a.high.0)).collect::<Vec<_>>(),
        [(P, 0, lines.len() as i64)]
    );
    let mut reader = JsonlReader::new(options);
    reader.add(P, NextOffset(0)).unwrap();
    let times: Vec<_> = all(&mut reader).iter().map(|k| k.log_time).collect();
    let new_year = 1_767_225_600_000_000;
    let two_in_berlin = new_year + 2_000_000 - 3_600_000_000;
    assert_eq!(times, [two_in_berlin, two_in_berlin, new_year + 1_000_000]);
}

/// A small generator, so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn any_cut_of_writes_and_reads_gives_the_same_records() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = Random(seed);
    for _ in 0..20 {
        let mut log = Log::new();
        let first = log.first(P);
        let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
        for i in 0..random.below(300) {
            let offset = first.0 + bytes.len() as i64;
            let padding = "x".repeat(random.below(if i % 50 == 0 { 400_000 } else { 400 }) as usize);
            let value = format!("{{\"i\":{i},\"p\":\"{padding}\"}}");
            bytes.extend(format!("{{\"ts\":{i},\"value\":{value}}}\n").bytes());
            wanted.push((offset, value));
        }
        let (mut rest, mut got) = (&bytes[..], Vec::new());
        let mut reader = log.reader_at(first);
        while !rest.is_empty() || !reader.drained(P) {
            let (now, later) = rest.split_at(random.below(rest.len() as u64 + 1) as usize);
            log.raw(now);
            rest = later;
            let mut stop = random.below(100);
            let take = &mut |record: crate::source::Record<'_>| {
                let payload = String::from_utf8(record.payload.unwrap().to_vec()).unwrap();
                got.push((record.offset, payload));
                stop = stop.saturating_sub(1);
                if stop == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            reader.poll(P, take).unwrap();
            if random.below(4) == 0 {
                let next = got.last().map_or(first, |(offset, value): &(i64, String)| {
                    NextOffset(
                        offset + value.len() as i64 + format!("{{\"ts\":{},\"value\":}}\n", got.len() - 1).len() as i64,
                    )
                });
                reader = log.reader_at(next);
            }
        }
        assert!(got == wanted, "seed {seed}: {} of {} records", got.len(), wanted.len());
    }
}

#[test]
fn of_a_line_that_is_too_long_the_beginning_is_kept_and_reading_goes_on() {
    let mut log = Log::new();
    log.raw(b"{\"ts\": 1700000000000, \"key\": null, \"value\": 1}\n");
    log.raw(&vec![b'x'; LONGEST + 5]);
    let first = log.first(P);
    let mut reader = log.reader_at(first);
    let all = |reader: &mut JsonlReader| {
        let mut found = Vec::new();
        let mut take = |record: crate::source::Record<'_>| {
            let payload = record.payload.map_or(0, <[u8]>::len);
            found.push((record.offset, record.next.0, record.log_time, payload, record.length));
            ControlFlow::Continue(())
        };
        reader.poll(P, &mut take).unwrap();
        found
    };
    let first = all(&mut reader);
    assert_eq!(first.len(), 1, "a line without newline is not there yet");
    log.raw(b"\n{\"ts\": 1700000001000, \"key\": null, \"value\": 22}\n");
    let rest = all(&mut reader);
    let (time, start, end) = (first[0].2, first[0].1, first[0].1 + LONGEST as i64 + 6);
    assert_eq!(rest[0], (start, end, time, KEPT, Some(LONGEST + 5)));
    assert_eq!((rest[1].0, rest[1].3, rest[1].4), (end, 2, None));
    let again = all(&mut log.reader_at(NextOffset(start)));
    assert_eq!(again, rest, "who starts again reads the same");
}
