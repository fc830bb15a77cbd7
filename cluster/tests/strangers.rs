//! P6: nobody who has not proved the cluster's secret ends a start, learns anything, or is told apart from noise.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use citystream_cluster::{ClusterError, Mesh, Options, Topology};
use common::{SOON, Start, join, listeners, run_all, with_secret};

const SECRET: &str = "the secret of these tests";

/// A start of process 0 of two, and how to let the other one join.
fn first_of_two() -> (Start, SocketAddr, impl FnOnce() -> Start) {
    let (mut sockets, addresses) = listeners(2);
    let (second, first) = (sockets.pop().unwrap(), sockets.pop().unwrap());
    let address = first.local_addr().unwrap();
    let start = join(&addresses, 1, 0, with_secret(SECRET), first);
    (start, address, move || join(&addresses, 1, 1, with_secret(SECRET), second))
}

fn they_compute(starts: [Start; 2]) {
    let meshes = starts.into_iter().map(|start| start.join().unwrap().unwrap()).collect();
    assert_eq!(run_all(meshes).len(), 2);
}

fn stranger(address: SocketAddr, says: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(says).unwrap();
    stream
}

/// All that a stranger hears until it is hung up on.
fn heard(mut stream: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it is not hung up on; it heard {heard:?}"),
        _ => heard,
    }
}

fn frame(version: u16, kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [b"CITYSTRM".as_slice(), &version.to_be_bytes(), &kind.to_be_bytes(), &length, payload].concat()
}

#[test]
fn p6_strangers_do_not_end_a_start_and_hear_nothing() {
    let (first, address, second) = first_of_two();
    let slow = stranger(address, b"CITY");
    drop(stranger(address, b""));
    for says in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(),
        &[0xff; 100],
        b"CITYSTRM\x00\x02\x00\x01\xff\xff\xff\xff",
        // What another process would say after the secret was proved.
        &frame(2, 6, &[0; 16]),
    ] {
        assert_eq!(heard(stranger(address, says)), b"", "to {says:?}");
    }
    let flood: Vec<_> = (0..400).map(|_| stranger(address, b"CITY")).collect();
    they_compute([first, second()]);
    drop((slow, flood));
}

#[test]
fn p6_who_does_not_prove_the_secret_hears_who_listens_and_no_more() {
    let (first, address, second) = first_of_two();
    let words = [1_u32, 0, 1].map(u32::to_be_bytes).concat();
    let hello = frame(2, 1, &[[1; 32].as_slice(), &words, &[0; 24]].concat());
    let guessed = heard(stranger(address, &[hello, frame(2, 5, &[0; 32])].concat()));
    assert_eq!(guessed.len(), 16 + 68, "a challenge: {guessed:?}");
    assert_eq!(guessed[..12], frame(2, 4, b"")[..12]);
    they_compute([first, second()]);
}

#[test]
fn another_release_is_told_its_version_and_ends_nothing() {
    let (first, address, second) = first_of_two();
    let answer = heard(stranger(address, &frame(1, 1, &[0; 20])));
    assert_eq!(answer, frame(2, 2, b""));
    they_compute([first, second()]);
}

/// Lets callers through to a listener, and gives what the first of them says. Each end is passed on as it comes: timely looks for
/// it behind the last message before it takes what came with that.
fn recorder(to: SocketAddr) -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (record, recorded)) = (listener.local_addr().unwrap(), channel());
    thread::spawn(move || {
        let mut record = Some(record);
        for caller in listener.incoming() {
            let (caller, record) = (caller.unwrap(), record.take());
            thread::spawn(move || pass_on(caller, TcpStream::connect(to).unwrap(), record));
        }
    });
    (address, recorded)
}

fn pass_on(mut caller: TcpStream, mut callee: TcpStream, record: Option<Sender<Vec<u8>>>) {
    let (mut back, mut answers) = (caller.try_clone().unwrap(), callee.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Write);
    });
    let mut buffer = [0; 4096];
    while let Ok(length) = caller.read(&mut buffer)
        && length > 0
    {
        if let Some(record) = &record {
            // The test has heard enough.
            let _ = record.send(buffer[..length].to_vec());
        }
        callee.write_all(&buffer[..length]).unwrap();
    }
    let _ = callee.shutdown(Shutdown::Write);
}

#[test]
fn p6_what_was_recorded_proves_nothing() {
    let (sockets, addresses) = listeners(3);
    let [first, second, third]: [TcpListener; 3] = sockets.try_into().unwrap();
    let address = first.local_addr().unwrap();
    let (recording, recorded) = recorder(address);
    let first = join(&addresses, 1, 0, with_secret(SECRET), first);
    let mut by_recorder = addresses.clone();
    by_recorder[0] = recording.to_string();
    let third = join(&by_recorder, 1, 2, with_secret(SECRET), third);
    let mut said = Vec::new();
    while said.len() < 84 + 48 + 32 {
        said.extend(recorded.recv_timeout(Duration::from_secs(10)).unwrap());
    }
    let answer = heard(stranger(address, &said));
    assert_eq!(answer.len(), 16 + 68, "a challenge, and no proof: {answer:?}");
    let second = join(&addresses, 1, 1, with_secret(SECRET), second);
    let meshes: Vec<_> = [first, second, third].into_iter().map(|start| start.join().unwrap().unwrap()).collect();
    assert_eq!(run_all(meshes).len(), 3);
}

#[test]
fn another_secret_or_none_is_named_at_both_deadlines() {
    let brief = |options: Options| Options { deadline: Duration::from_secs(1), ..options };
    for other in [with_secret("the secret of another cluster"), SOON] {
        let (mut sockets, addresses) = listeners(2);
        let second = join(&addresses, 1, 1, brief(other), sockets.pop().unwrap());
        let first = join(&addresses, 1, 0, brief(with_secret(SECRET)), sockets.pop().unwrap());
        let error = second.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("is CITYSTREAM_CLUSTER_SECRET the same for all processes?"), "{error}");
        assert!(matches!(first.join().unwrap(), Err(ClusterError::Unreachable { .. })));
    }
}

#[test]
fn without_a_secret_only_loopback_addresses_are_taken() {
    let start = |options: Options| {
        let addresses = vec!["127.0.0.1:1".to_owned(), "node-1.example:2101".to_owned()];
        Mesh::connect(Topology::with_addresses(addresses, 1, 0).unwrap(), options).unwrap_err()
    };
    let error = start(SOON);
    assert_eq!(error, ClusterError::Exposed { process: 1, address: "node-1.example:2101".to_owned() });
    let said = error.to_string();
    assert!(said.contains("CITYSTREAM_CLUSTER_SECRET") && said.contains("--insecure-cluster"), "{said}");
    let brief = |options: Options| Options { deadline: Duration::from_millis(10), ..options };
    for options in [with_secret(SECRET), Options { insecure: true, ..SOON }] {
        assert!(!matches!(start(brief(options)), ClusterError::Exposed { .. }));
    }
}
