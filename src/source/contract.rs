//! The same tests for every source: what [`Reader`] promises, over a log that a test can append to.
//!
//! Compiled into the unit tests here and, by path, into integration tests; hence `super::`.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros, clippy::unwrap_used)] // Not every program uses all of it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::{NextOffset, Partition};

use super::{Reader, Record};

/// A test of each promise, over a new log; nothing where there is none, as there is no server.
macro_rules! every_promise {
    ($log:expr) => {
        contract::every_promise!($log;
            yields_each_record_once_in_order, goes_on_after_a_break, starts_at_any_next, a_null_payload_is_a_record,
            drained_means_drained, caught_up_means_an_end_told_lately, partitions_are_independent);
    };
    ($log:expr; $($name:ident),*) => { $(
        #[test]
        fn $name() {
            let Some(mut log) = $log else { return };
            contract::$name(&mut log);
        }
    )* };
}
pub(crate) use every_promise;

/// A log to append to, with at least two empty partitions that nobody else writes.
pub trait TestLog {
    /// Its reader.
    type Reader: Reader;

    /// The partitions.
    fn partitions(&self) -> Vec<Partition>;

    /// The first offset of a partition.
    fn first(&self, partition: Partition) -> NextOffset;

    /// Appends one record; on return it can be read. `key` and `value` are JSON; no value is a null payload.
    fn append(&mut self, partition: Partition, ts_ms: i64, key: Option<&str>, value: Option<&str>);

    /// A new reader without partitions.
    fn reader(&mut self) -> Self::Reader;
}

/// How long anything may take to arrive.
const SOON: Duration = Duration::from_secs(15);

/// A record as a test keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its offset.
    pub offset: i64,
    /// The next offset.
    pub next: NextOffset,
    /// Its log time.
    pub log_time: i64,
    /// Whether it has a key.
    pub keyed: bool,
    /// Its payload.
    pub payload: Option<Vec<u8>>,
}

/// Copies a record.
pub fn keep(record: Record<'_>) -> Kept {
    Kept {
        offset: record.offset,
        next: record.next,
        log_time: record.log_time,
        keyed: record.key.is_some(),
        payload: record.payload.map(<[u8]>::to_vec),
    }
}

/// Polls until `count` records have come, breaking after every `step` of them.
pub fn read(reader: &mut impl Reader, partition: Partition, count: usize, step: usize) -> Vec<Kept> {
    let mut kept = Vec::new();
    let end = Instant::now() + SOON;
    while kept.len() < count {
        assert!(Instant::now() < end, "{} of {count} records after {SOON:?}", kept.len());
        let before = kept.len();
        let mut taken = 0;
        reader
            .poll(partition, &mut |record| {
                kept.push(keep(record));
                taken += 1;
                if taken == step { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        assert!(taken <= step, "went on after a break");
        if kept.len() == before {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    kept
}

/// Polls, taking nothing, until the partition is drained.
pub fn until_drained(reader: &mut impl Reader, partition: Partition) {
    let end = Instant::now() + SOON;
    while !reader.drained(partition) {
        assert!(Instant::now() < end, "not drained after {SOON:?}");
        nothing(reader, partition);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Polls once; there must be nothing.
pub fn nothing(reader: &mut impl Reader, partition: Partition) {
    let none = &mut |record: Record<'_>| panic!("unexpected record at {}", record.offset);
    reader.poll(partition, none).unwrap();
}

fn value(i: usize) -> String {
    format!(r#"{{"id":"r{i}","n":{i}}}"#)
}

fn fill(log: &mut impl TestLog, partition: Partition, numbers: std::ops::Range<usize>) {
    for i in numbers {
        let key = format!(r#""k{i}""#);
        let key = (i % 3 != 0).then_some(key.as_str());
        log.append(partition, 1_700_000_000_000 + i as i64, key, Some(&value(i)));
    }
}

fn check(kept: &[Kept], first: NextOffset, numbers: std::ops::Range<usize>) {
    assert_eq!(kept.len(), numbers.len());
    let mut next = first;
    for (record, i) in kept.iter().zip(numbers) {
        assert!(record.offset >= next.0, "offsets go back: {record:?} after {next:?}");
        assert!(record.next.0 > record.offset, "{record:?}");
        assert_eq!(record.payload.as_deref(), Some(value(i).as_bytes()), "record {i}");
        assert_eq!(record.log_time, (1_700_000_000_000 + i as i64) * 1000, "record {i}");
        assert_eq!(record.keyed, i % 3 != 0, "record {i}");
        next = record.next;
    }
}

/// Every record once, in order, with its timestamp, key and payload; also what is appended later.
pub fn yields_each_record_once_in_order(log: &mut impl TestLog) {
    let (p, first) = (log.partitions()[0], log.first(log.partitions()[0]));
    fill(log, p, 0..500);
    let mut reader = log.reader();
    reader.add(p, first).unwrap();
    let mut kept = read(&mut reader, p, 500, usize::MAX);
    nothing(&mut reader, p);
    fill(log, p, 500..700);
    kept.extend(read(&mut reader, p, 200, usize::MAX));
    check(&kept, first, 0..700);
    until_drained(&mut reader, p);
}

/// A poll that breaks loses and repeats nothing.
pub fn goes_on_after_a_break(log: &mut impl TestLog) {
    let (p, first) = (log.partitions()[0], log.first(log.partitions()[0]));
    fill(log, p, 0..700);
    for step in [1, 7, 511, 512, 513] {
        let mut reader = log.reader();
        reader.add(p, first).unwrap();
        check(&read(&mut reader, p, 700, step), first, 0..700);
        until_drained(&mut reader, p);
    }
}

/// A new reader goes on at any `next` of an earlier one.
pub fn starts_at_any_next(log: &mut impl TestLog) {
    let (p, first) = (log.partitions()[0], log.first(log.partitions()[0]));
    fill(log, p, 0..60);
    let mut reader = log.reader();
    reader.add(p, first).unwrap();
    let kept = read(&mut reader, p, 60, usize::MAX);
    for at in [0, 1, 30, 58] {
        let mut again = log.reader();
        again.add(p, kept[at].next).unwrap();
        assert_eq!(read(&mut again, p, 59 - at, usize::MAX), kept[at + 1..]);
    }
    let mut at_end = log.reader();
    at_end.add(p, kept[59].next).unwrap();
    until_drained(&mut at_end, p);
}

/// A null payload is a record.
pub fn a_null_payload_is_a_record(log: &mut impl TestLog) {
    let (p, first) = (log.partitions()[0], log.first(log.partitions()[0]));
    log.append(p, 1_700_000_000_000, Some(r#""k""#), None);
    let mut reader = log.reader();
    reader.add(p, first).unwrap();
    let kept = read(&mut reader, p, 1, usize::MAX);
    assert_eq!((kept[0].keyed, kept[0].payload.as_deref()), (true, None));
}

/// Drained is said when all has been handed out, not before, and no more than 2 s after more has come.
pub fn drained_means_drained(log: &mut impl TestLog) {
    let (p, first) = (log.partitions()[0], log.first(log.partitions()[0]));
    let mut reader = log.reader();
    reader.add(p, first).unwrap();
    until_drained(&mut reader, p);
    fill(log, p, 0..3);
    std::thread::sleep(Duration::from_millis(2100));
    assert!(!reader.drained(p), "3 unread records for more than 2 s");
    let kept = read(&mut reader, p, 2, 1);
    assert!(!reader.drained(p), "1 record is left");
    let mut rest = kept.clone();
    rest.extend(read(&mut reader, p, 1, usize::MAX));
    check(&rest, first, 0..3);
    until_drained(&mut reader, p);
    assert!(!reader.drained(log.partitions()[1]), "never added");
}

/// Caught up is who has reached an end told within the last 2 s, though more has come since.
pub fn caught_up_means_an_end_told_lately(log: &mut impl TestLog) {
    let (p, first) = (log.partitions()[0], log.first(log.partitions()[0]));
    let mut reader = log.reader();
    reader.add(p, first).unwrap();
    until_drained(&mut reader, p);
    assert!(reader.caught_up(p), "it is at the end");
    fill(log, p, 0..3);
    assert!(reader.caught_up(p), "it was at the end a moment ago");
    let end = Instant::now() + SOON;
    while reader.caught_up(p) {
        assert!(Instant::now() < end, "3 unread records for {SOON:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    read(&mut reader, p, 3, usize::MAX);
    until_drained(&mut reader, p);
    assert!(reader.caught_up(p));
}

/// A partition that is not polled holds up no other, and loses nothing; one added later is read too.
pub fn partitions_are_independent(log: &mut impl TestLog) {
    let (p, q) = (log.partitions()[0], log.partitions()[1]);
    let (first_p, first_q) = (log.first(p), log.first(q));
    fill(log, p, 0..400);
    fill(log, q, 0..400);
    let mut reader = log.reader();
    reader.add(p, first_p).unwrap();
    let head = read(&mut reader, p, 10, 10);
    reader.add(q, first_q).unwrap();
    check(&read(&mut reader, q, 400, 100), first_q, 0..400);
    until_drained(&mut reader, q);
    assert!(!reader.drained(p), "390 records are left");
    let mut all = head;
    all.extend(read(&mut reader, p, 390, usize::MAX));
    check(&all, first_p, 0..400);
}
