//! Processes as threads of one test, and as real processes, over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use citystream_cluster::{ClusterError, Mesh, Mismatch, Options, RunError, Topology, install_panic_hook};
use timely::WorkerConfig;
use timely::dataflow::operators::{Exchange, Input, Inspect, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::worker::Worker;

const SOON: Options = Options { deadline: Duration::from_secs(20), fingerprint: 7 };

fn listeners(count: usize) -> (Vec<TcpListener>, Vec<String>) {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
    (listeners, addresses)
}

fn join(
    addresses: &[String],
    workers: usize,
    index: usize,
    options: Options,
    listener: TcpListener,
) -> JoinHandle<Result<Mesh, ClusterError>> {
    let topology = Topology::with_addresses(addresses.to_vec(), workers, index).unwrap();
    thread::spawn(move || Mesh::connect_from(topology, options, listener))
}

fn connected(count: usize, workers: usize) -> Vec<Mesh> {
    let (listeners, addresses) = listeners(count);
    let starts: Vec<_> =
        listeners.into_iter().enumerate().map(|(i, l)| join(&addresses, workers, i, SOON, l)).collect();
    starts.into_iter().map(|start| start.join().unwrap().unwrap()).collect()
}

/// Every worker brings 0..100, each number goes to the worker that it names; gives what arrived here.
fn exchange(worker: &mut Worker) -> Result<Vec<u64>, String> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut input, probe) = (InputHandle::new(), ProbeHandle::new());
    worker.dataflow::<u64, _, _>(|scope| {
        let seen = Arc::clone(&seen);
        scope
            .input_from(&mut input)
            .container::<Vec<u64>>()
            .exchange(|x| *x)
            .inspect(move |x| seen.lock().unwrap().push(*x))
            .probe_with(&probe);
    });
    (0..100).for_each(|x| input.send(x));
    input.close();
    while !probe.done() {
        worker.step_or_park(Some(Duration::from_millis(10)));
    }
    let seen = seen.lock().unwrap().clone();
    Ok(seen)
}

fn run_all(meshes: Vec<Mesh>) -> Vec<Vec<u64>> {
    let run = |mesh: Mesh| thread::spawn(move || mesh.run(WorkerConfig::default(), |_| {}, exchange).unwrap());
    let runs: Vec<_> = meshes.into_iter().map(run).collect();
    runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
}

#[test]
fn data_goes_to_the_worker_it_names_at_every_size() {
    for (processes, workers) in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)] {
        let peers = processes * workers;
        let meshes = match processes {
            1 => vec![Mesh::connect(Topology::single(workers).unwrap(), SOON).unwrap()],
            _ => connected(processes, workers),
        };
        for (worker, mut got) in run_all(meshes).into_iter().enumerate() {
            got.sort_unstable();
            let mine = (0..100).filter(|x| (*x as usize) % peers == worker);
            let wanted: Vec<u64> = mine.flat_map(|x| std::iter::repeat_n(x, peers)).collect();
            assert_eq!(got, wanted, "worker {worker} of {processes} x {workers}");
        }
    }
}

#[test]
fn strangers_do_not_end_a_start() {
    let (mut sockets, addresses) = listeners(2);
    let second = sockets.pop().unwrap();
    let first = join(&addresses, 1, 0, SOON, sockets.pop().unwrap());
    let mut http = TcpStream::connect(&addresses[0]).unwrap();
    http.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut garbage = TcpStream::connect(&addresses[0]).unwrap();
    garbage.write_all(&[0xff; 100]).unwrap();
    let mut oversized = TcpStream::connect(&addresses[0]).unwrap();
    oversized.write_all(b"CITYSTRM\x00\x01\x00\x01\xff\xff\xff\xff").unwrap();
    let mut slow = TcpStream::connect(&addresses[0]).unwrap();
    slow.write_all(b"CITY").unwrap();
    drop(TcpStream::connect(&addresses[0]).unwrap());
    let mut byte = [0; 1];
    for stranger in [&mut http, &mut garbage, &mut oversized] {
        stranger.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let answer = stranger.read(&mut byte);
        assert!(
            matches!(&answer, Ok(0)) || answer.as_ref().is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock),
            "a stranger is hung up on, not answered: {answer:?}"
        );
    }
    let meshes = vec![first, join(&addresses, 1, 1, SOON, second)];
    let meshes = meshes.into_iter().map(|start| start.join().unwrap().unwrap()).collect();
    assert_eq!(run_all(meshes).len(), 2);
    drop(slow);
}

#[test]
fn a_stranger_on_a_peers_port_is_waited_out() {
    let (mut sockets, addresses) = listeners(2);
    let second = sockets.pop().unwrap();
    let imposter = sockets.pop().unwrap();
    let start = join(&addresses, 1, 1, SOON, second);
    let (mut stream, _) = imposter.accept().unwrap();
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    drop(stream);
    let first = join(&addresses, 1, 0, SOON, imposter);
    assert!(first.join().unwrap().is_ok());
    assert!(start.join().unwrap().is_ok());
}

#[test]
fn a_missing_peer_is_named_at_the_deadline() {
    let options = Options { deadline: Duration::from_millis(300), fingerprint: 0 };
    let (mut sockets, addresses) = listeners(3);
    sockets.pop();
    let second = sockets.pop().unwrap();
    drop(sockets.pop());
    let began = Instant::now();
    let error = join(&addresses, 1, 1, options, second).join().unwrap().unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5));
    let ClusterError::Unreachable { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing.iter().map(|m| m.process).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(missing[0].address, addresses[0]);
    assert!(missing[0].last.contains("refused"), "{error}");
    assert!(error.to_string().starts_with("not connected within 0.3 s: process 0 at 127.0.0.1:"), "{error}");
}

#[test]
fn who_gives_up_tells_the_others_why() {
    let brief = Options { deadline: Duration::from_millis(700), ..SOON };
    let (mut sockets, addresses) = listeners(3);
    let mut wrong = addresses.clone();
    wrong[1] = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let third = join(&wrong, 1, 2, SOON, sockets.pop().unwrap());
    let second = join(&addresses, 1, 1, brief, sockets.pop().unwrap());
    let first = join(&addresses, 1, 0, SOON, sockets.pop().unwrap());
    assert!(matches!(second.join().unwrap(), Err(ClusterError::Unreachable { .. })));
    let error = first.join().unwrap().unwrap_err();
    let ClusterError::Refused { process: 1, reason, .. } = &error else { panic!("{error}") };
    assert!(reason.starts_with("process 1 gave up: not connected within 0.7 s: process 2 at "), "{reason}");
    drop(third);
}

fn two(first: (usize, u64), second: (usize, u64)) -> (ClusterError, ClusterError) {
    let (mut sockets, addresses) = listeners(2);
    let (b, a) = (sockets.pop().unwrap(), sockets.pop().unwrap());
    let a = join(&addresses, first.0, 0, Options { fingerprint: first.1, ..SOON }, a);
    let b = join(&addresses, second.0, 1, Options { fingerprint: second.1, ..SOON }, b);
    (a.join().unwrap().unwrap_err(), b.join().unwrap().unwrap_err())
}

#[test]
fn other_workers_or_settings_end_both_starts() {
    let (a, b) = two((1, 7), (2, 7));
    let ClusterError::Mismatch { peer, mismatch } = &a else { panic!("{a}") };
    assert!(peer.starts_with("process 1 at 127.0.0.1:"), "{peer}");
    assert_eq!(*mismatch, Mismatch::Workers { ours: 1, theirs: 2 });
    let ClusterError::Refused { process: 0, reason, .. } = &b else { panic!("{b}") };
    assert_eq!(reason, "it has --workers 1, this one 2");
    let (a, b) = two((1, 7), (1, 8));
    assert!(matches!(a, ClusterError::Mismatch { mismatch: Mismatch::Settings, .. }), "{a}");
    assert!(matches!(b, ClusterError::Refused { .. }), "{b}");
}

#[test]
fn another_number_of_processes_ends_both_starts() {
    let (mut sockets, addresses) = listeners(3);
    sockets.pop();
    let (b, a) = (sockets.pop().unwrap(), sockets.pop().unwrap());
    let a = join(&addresses, 1, 0, SOON, a);
    let b = join(&addresses[..2], 1, 1, SOON, b);
    let error = a.join().unwrap().unwrap_err();
    let wanted = Mismatch::Processes { ours: 3, theirs: 2 };
    assert!(matches!(&error, ClusterError::Mismatch { mismatch, .. } if *mismatch == wanted), "{error}");
    assert!(matches!(b.join().unwrap(), Err(ClusterError::Refused { .. })));
}

#[test]
fn a_second_process_of_an_index_is_refused_and_the_first_goes_on() {
    let (mut sockets, addresses) = listeners(3);
    let third = sockets.pop().unwrap();
    let (second, first) = (sockets.pop().unwrap(), sockets.pop().unwrap());
    let first = join(&addresses, 1, 0, SOON, first);
    let third = join(&addresses, 1, 2, SOON, third);
    thread::sleep(Duration::from_millis(300));
    let twin = join(&addresses, 1, 2, SOON, TcpListener::bind("127.0.0.1:0").unwrap());
    let error = twin.join().unwrap().unwrap_err();
    let ClusterError::Refused { process: 0, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "a process 2 is connected already");
    let second = join(&addresses, 1, 1, SOON, second);
    assert!([first, second, third].into_iter().all(|start| start.join().unwrap().is_ok()));
}

#[test]
fn swapped_addresses_are_noticed() {
    let (mut sockets, addresses) = listeners(3);
    let swapped = vec![addresses[1].clone(), addresses[0].clone(), addresses[2].clone()];
    let (third, second, first) = (sockets.pop().unwrap(), sockets.pop().unwrap(), sockets.pop().unwrap());
    let _first = join(&addresses, 1, 0, SOON, first);
    let _second = join(&addresses, 1, 1, SOON, second);
    let error = join(&swapped, 1, 2, SOON, third).join().unwrap().unwrap_err();
    assert!(matches!(error, ClusterError::Mismatch { mismatch: Mismatch::Index { .. }, .. }), "{error}");
}

#[test]
fn a_process_that_starts_again_takes_its_place() {
    let (mut sockets, addresses) = listeners(3);
    let third = sockets.pop().unwrap();
    let (second, first) = (sockets.pop().unwrap(), sockets.pop().unwrap());
    let first = join(&addresses, 1, 0, SOON, first);
    let brief = Options { deadline: Duration::from_millis(300), ..SOON };
    assert!(join(&addresses, 1, 2, brief, third.try_clone().unwrap()).join().unwrap().is_err());
    // A process that ends closes its sockets at once; this thread's calls end a moment after it gave up.
    thread::sleep(Duration::from_millis(300));
    let third = join(&addresses, 1, 2, SOON, third);
    let second = join(&addresses, 1, 1, SOON, second);
    assert!([first, second, third].into_iter().all(|start| start.join().unwrap().is_ok()));
}

#[test]
fn a_taken_port_is_named() {
    let (sockets, addresses) = listeners(2);
    let topology = Topology::with_addresses(addresses.clone(), 1, 1).unwrap();
    let error = Mesh::connect(topology, SOON).unwrap_err();
    assert_eq!(error, ClusterError::PortTaken { process: 1, address: addresses[1].clone() });
    drop(sockets);
}

#[test]
fn a_workers_error_ends_the_run_at_once() {
    let mesh = Mesh::connect(Topology::single(2).unwrap(), SOON).unwrap();
    let result = mesh.run(
        WorkerConfig::default(),
        |_| {},
        |worker| {
            if worker.index() == 1 {
                return Err("fenced");
            }
            loop {
                thread::sleep(Duration::from_millis(100));
            }
            #[allow(unreachable_code)]
            Ok(())
        },
    );
    assert!(matches!(result, Err(RunError::Failed { worker: 1, error: "fenced" })));
}

#[test]
fn a_workers_panic_is_told_from_a_lost_peer() {
    let runs: Vec<_> = connected(2, 1)
        .into_iter()
        .map(|mesh| {
            thread::spawn(move || {
                mesh.run(
                    WorkerConfig::default(),
                    |_| {},
                    |worker| -> Result<(), String> {
                        let mut input =
                            InputHandle::<u64, timely::container::CapacityContainerBuilder<Vec<u64>>>::new();
                        worker.dataflow(|scope| drop(scope.input_from(&mut input).exchange(|x| *x).probe()));
                        assert!(worker.index() != 1, "a defect");
                        loop {
                            worker.step_or_park(None);
                        }
                    },
                )
            })
        })
        .collect();
    let mut results = runs.into_iter().map(|run| run.join().unwrap().unwrap_err());
    let first = results.next().unwrap();
    assert!(matches!(&first, RunError::PeerLost(lost) if lost.process == 1), "{first}");
    let second = results.next().unwrap();
    assert!(matches!(&second, RunError::Panicked { worker: 1, message } if message == "a defect"), "{second}");
}

const ENDLESS: &str = "CITYSTREAM_TEST_ADDRESSES";

fn endless(worker: &mut Worker) -> Result<(), String> {
    let mut input = InputHandle::new();
    let probe = ProbeHandle::new();
    worker.dataflow::<u64, _, _>(|scope| {
        scope.input_from(&mut input).container::<Vec<u64>>().exchange(|x| *x).probe_with(&probe);
    });
    for round in 1_u64.. {
        input.send(round);
        input.advance_to(round);
        worker.step_or_park(Some(Duration::from_millis(1)));
    }
    Ok(())
}

/// Not a test of its own: the other process of the test below.
#[test]
fn other_process() {
    let Ok(addresses) = std::env::var(ENDLESS) else { return };
    let addresses = addresses.split(',').map(str::to_owned).collect();
    let mesh = Mesh::connect(Topology::with_addresses(addresses, 2, 1).unwrap(), SOON).unwrap();
    let _ = mesh.run(WorkerConfig::default(), |_| {}, endless);
}

#[test]
fn a_killed_process_is_a_lost_peer() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&said);
    install_panic_hook(move |line| lines.lock().unwrap().push(line.to_owned()));
    let (mut sockets, addresses) = listeners(2);
    drop(sockets.pop());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "other_process"])
        .env(ENDLESS, addresses.join(","))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mesh = join(&addresses, 2, 0, SOON, sockets.pop().unwrap()).join().unwrap().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        child.kill().unwrap();
        child.wait().unwrap();
    });
    let count = move |_: &_| {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    let error = mesh.run(WorkerConfig::default(), count, endless).unwrap_err();
    killer.join().unwrap();
    assert!(matches!(&error, RunError::PeerLost(lost) if lost.process == 1), "{error}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(error.to_string().starts_with(&format!("peer lost: process 1 at {}: ", addresses[1])), "{error}");
    // Other tests of this program may panic on purpose; a lost peer says nothing besides the error.
    let others = ["a defect"];
    let said: Vec<_> = said.lock().unwrap().iter().filter(|l| !others.iter().any(|o| l.contains(o))).cloned().collect();
    assert!(said.is_empty(), "{said:?}");
}
