//! Processes as threads of one test, and as real processes, over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use citystream_cluster::{ClusterError, Mesh, Mismatch, Options, RunError, Topology, install_panic_hook};
use common::{SOON, connected, join, listeners, run_all};
use timely::WorkerConfig;
use timely::dataflow::operators::{Exchange, Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::worker::Worker;

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
    let options = Options { deadline: Duration::from_millis(300), ..SOON };
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
fn who_gives_up_tells_the_others_why_and_they_go_on() {
    let brief = |millis| Options { deadline: Duration::from_millis(millis), ..SOON };
    let (mut sockets, addresses) = listeners(3);
    let mut wrong = addresses.clone();
    wrong[1] = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let third = join(&wrong, 1, 2, brief(2000), sockets.pop().unwrap());
    let second = join(&addresses, 1, 1, brief(700), sockets.pop().unwrap());
    let first = join(&addresses, 1, 0, brief(1500), sockets.pop().unwrap());
    assert!(matches!(second.join().unwrap(), Err(ClusterError::Unreachable { .. })));
    let error = first.join().unwrap().unwrap_err();
    let ClusterError::Unreachable { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing[0].process, 1);
    assert!(missing[0].last.starts_with("it gave up: not connected within 0.7 s: process 2 at "), "{error}");
    drop(third);
}

/// Two starts that do not fit: how the second ends, and what the first knows of it at its deadline.
fn two(first: Options, second: (usize, Options)) -> (ClusterError, String) {
    let (mut sockets, addresses) = listeners(2);
    let (b, a) = (sockets.pop().unwrap(), sockets.pop().unwrap());
    let a = join(&addresses, 1, 0, Options { deadline: Duration::from_secs(1), ..first }, a);
    let b = join(&addresses, second.0, 1, second.1, b);
    let ClusterError::Unreachable { missing, .. } = a.join().unwrap().unwrap_err() else { panic!("process 0 goes on") };
    (b.join().unwrap().unwrap_err(), missing[0].last.clone())
}

#[test]
fn other_workers_or_settings_end_the_start_that_comes_with_them() {
    let (b, seen) = two(SOON, (2, SOON));
    let ClusterError::Refused { process: 0, reason, .. } = &b else { panic!("{b}") };
    assert_eq!(reason, "it has --workers 1, this one 2");
    assert_eq!(seen, "it has --workers 2, this one 1");
    let (b, seen) = two(SOON, (1, Options { fingerprint: 8, ..SOON }));
    assert!(matches!(b, ClusterError::Refused { .. }), "{b}");
    assert!(seen.contains("its settings differ"), "{seen}");
}

#[test]
fn another_number_of_processes_ends_the_start_that_comes_with_it() {
    let (mut sockets, addresses) = listeners(3);
    sockets.pop();
    let (b, a) = (sockets.pop().unwrap(), sockets.pop().unwrap());
    let a = join(&addresses, 1, 0, Options { deadline: Duration::from_secs(1), ..SOON }, a);
    let b = join(&addresses[..2], 1, 1, SOON, b).join().unwrap().unwrap_err();
    assert!(matches!(&b, ClusterError::Refused { reason, .. } if reason == "it has --processes 3, this one 2"), "{b}");
    let ClusterError::Unreachable { missing, .. } = a.join().unwrap().unwrap_err() else { panic!("process 0 goes on") };
    assert_eq!(missing[0].last, "it has --processes 2, this one 3");
}

#[test]
fn g2_a_second_process_of_an_index_waits_and_the_first_goes_on() {
    let (mut sockets, addresses) = listeners(3);
    let third = sockets.pop().unwrap();
    let (second, first) = (sockets.pop().unwrap(), sockets.pop().unwrap());
    let first = join(&addresses, 1, 0, SOON, first);
    let third = join(&addresses, 1, 2, SOON, third);
    thread::sleep(Duration::from_millis(300));
    let brief = Options { deadline: Duration::from_millis(500), ..SOON };
    let twin = join(&addresses, 1, 2, brief, TcpListener::bind("127.0.0.1:0").unwrap());
    let error = twin.join().unwrap().unwrap_err();
    let ClusterError::Unreachable { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing[0].last, "a process 2 is connected already");
    let second = join(&addresses, 1, 1, SOON, second);
    assert!([first, second, third].into_iter().all(|start| start.join().unwrap().is_ok()));
}

#[test]
fn g1_each_start_has_a_generation_that_is_the_same_for_all_and_later_than_those_before() {
    let [before, after] = [connected(3, 1), connected(3, 1)].map(|meshes| {
        let generations: Vec<_> = meshes.iter().map(Mesh::generation).collect();
        assert!(generations.iter().all(|generation| *generation == generations[0]), "{generations:?}");
        generations[0]
    });
    assert!(before < after);
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
