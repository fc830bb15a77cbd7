//! What an outside observer sees: the endpoints over a real socket.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use axum::Router;
use citystream_dataflows::time::bindings::NextOffset;

use super::*;
use crate::lake::history::commit::Kind;
use crate::lake::history::commit::Outcomes;

fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

const POLICY: TimePolicy = TimePolicy { lateness: 1_000_000, slack: 500_000, max_ahead: 0, max_hold: 3_600_000_000 };

fn commit() -> Commit {
    let partition = Partition { topic: Topic::GPS, index: 3 };
    use citystream_dataflows::time::bindings::Standing;
    let position =
        Position { partition, next: NextOffset(42), log_clock: Some(7_000_000), standing: Standing::Drained };
    let ledger = Ledger {
        read: 15,
        on_time: 5,
        late: 4,
        expired: 3,
        duplicate: 2,
        dead: 1,
        missed: Outcomes { late: 2, ..Outcomes::default() },
    };
    Commit {
        version: None,
        seq: 9,
        kind: Kind::Data,
        run: String::new(),
        previous: String::new(),
        time_ms: 1_700_000_000_500,
        epoch: 77,
        horizon: Some(3_000_000),
        positions: vec![position],
        topics: BTreeMap::new(),
        epochs: Vec::new(),
        added: BTreeMap::new(),
        removed: BTreeMap::new(),
        origin: None,
        tidy: vec![tidy(TidyKind::Pack), tidy(TidyKind::Keep), tidy(TidyKind::Erase)],
        pin: None,
        packed: None,
        collected: None,
        base: None,
        ledger: BTreeMap::from([(Topic::GPS, ledger)]),
        views: Default::default(),
        alerts: Vec::new(),
        told: None,
    }
}

/// What took ten rows of a table and left four.
fn tidy(what: TidyKind) -> Tidy {
    let (removed, added) = (Vec::new(), Vec::new());
    let table = "raw_gps".to_owned();
    Tidy { what, table, removed, added, rows_removed: 10, rows_added: 4, request: None, expired: None, erased: None }
}

#[test]
fn everything_is_there_to_be_scraped() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let metrics = Arc::new(Metrics::new(POLICY, Duration::ZERO).unwrap());
    let server = runtime.block_on(serve(&address, Arc::clone(&metrics), Router::new())).unwrap();
    assert_eq!(get(&address, "/healthz"), (200, "alive\n".to_owned()));
    assert_eq!(get(&address, "/readyz"), (503, "waiting for the other processes\n".to_owned()));
    metrics.read.inc_by(15);
    metrics.health.closed(77);
    metrics.committed(&commit());
    metrics.commit_seconds.observe(0.2);
    metrics.uncommitted.set(1234);
    metrics.lag(Partition { topic: Topic::WEATHER, index: 1 }).set(17);
    let (status, text) = get(&address, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "citystream_read_total 15",
        "citystream_records_total{outcome=\"on_time\",topic=\"gps\"} 5",
        "citystream_records_total{outcome=\"dead_letter\",topic=\"gps\"} 1",
        "citystream_missed_total{topic=\"gps\"} 2",
        "citystream_epoch 77",
        "citystream_horizon_seconds 3",
        "citystream_commit_seq 9",
        "citystream_commit_time_seconds 1700000000",
        "citystream_commit_seconds_count 1",
        "citystream_uncommitted_bytes 1234",
        "citystream_log_clock_seconds{partition=\"3\",topic=\"gps\"} 7",
        "citystream_next_offset{partition=\"3\",topic=\"gps\"} 42",
        "citystream_drained{partition=\"3\",topic=\"gps\"} 1",
        "citystream_horizon_lag_seconds 4",
        "citystream_horizon_holder{partition=\"3\",topic=\"gps\"} 1",
        "citystream_lag_offsets{partition=\"1\",topic=\"weather\"} 17",
        "citystream_dropped_rows_total{reason=\"retention\",table=\"raw_gps\"} 6",
        "citystream_dropped_rows_total{reason=\"erasure\",table=\"raw_gps\"} 6",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    assert_eq!(metrics.committed_records(), 15);
    metrics.health.frontier.reach(78);
    assert_eq!(get(&address, "/readyz"), (200, "ready\n".to_owned()));
    let taken = runtime.block_on(serve(&address, metrics, Router::new())).unwrap_err();
    assert!(taken.to_string().starts_with(&format!("cannot serve metrics on {address}")), "{taken}");
    assert_eq!(get(&address, "/nothing").0, 404);
    runtime.block_on(server.stop(Duration::from_secs(5)));
}

#[test]
fn a_server_that_is_stopped_hangs_up_on_who_waits_and_ends_in_time() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = runtime
        .block_on(serve(&address, Arc::new(Metrics::new(POLICY, Duration::ZERO).unwrap()), Router::new()))
        .unwrap();
    // One that has had its answer and keeps the connection, and one that never finishes its question.
    let mut idle = TcpStream::connect(&address).unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut stalled = TcpStream::connect(&address).unwrap();
    write!(stalled, "GET /metrics HTTP/1.1\r\nHo").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let asked = Instant::now();
    runtime.block_on(server.stop(Duration::from_secs(2)));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert!(TcpStream::connect(&address).is_err(), "it listens no longer");
    idle.read_to_end(&mut Vec::new()).expect("the connection is closed in order");
    drop(stalled);
}
