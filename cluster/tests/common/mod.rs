//! Processes as threads of one test, over real sockets.
#![allow(dead_code)] // Each test program uses a part of it.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use citystream_cluster::{ClusterError, Liveness, Mesh, Options, Secret, Topology};
use timely::WorkerConfig;
use timely::dataflow::operators::{Exchange, Input, Inspect, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::worker::Worker;

/// Long enough for anything here.
pub const SOON: Options = Options {
    deadline: Duration::from_secs(20),
    fingerprint: 7,
    secret: None,
    insecure: false,
    liveness: Liveness { beat: Duration::from_millis(500), silence: Duration::from_secs(10) },
};

/// As [`SOON`], with a secret.
pub fn with_secret(secret: &str) -> Options {
    Options { secret: Some(Secret::new(secret).unwrap()), ..SOON }
}

pub fn listeners(count: usize) -> (Vec<TcpListener>, Vec<String>) {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
    (listeners, addresses)
}

pub type Start = JoinHandle<Result<Mesh, ClusterError>>;

pub fn join(addresses: &[String], workers: usize, index: usize, options: Options, listener: TcpListener) -> Start {
    let topology = Topology::with_addresses(addresses.to_vec(), workers, index).unwrap();
    thread::spawn(move || Mesh::connect_from(topology, options, listener))
}

pub fn connected(count: usize, workers: usize) -> Vec<Mesh> {
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

/// Runs an exchange on all of them; what arrived at each worker.
pub fn run_all(meshes: Vec<Mesh>) -> Vec<Vec<u64>> {
    let run = |mesh: Mesh| thread::spawn(move || mesh.run(WorkerConfig::default(), |_| {}, exchange).unwrap());
    let runs: Vec<_> = meshes.into_iter().map(run).collect();
    runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
}
