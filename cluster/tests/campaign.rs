//! G1: single processes of a cluster are killed in any order, at any moment, and started again by who sees them end; soon after
//! the last kill all compute together, and none has ever computed with one of another generation.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[allow(dead_code)]
#[path = "../../tests/common/rng.rs"]
mod rng;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio, exit};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use citystream_cluster::{Mesh, Options, RunError, Secret, Topology};
use rng::Rng;
use timely::WorkerConfig;
use timely::dataflow::operators::{Exchange, Input, Inspect, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::worker::Worker;

const PROCESSES: usize = 4;
const ADDRESSES: &str = "CITYSTREAM_TEST_ADDRESSES";
const INDEX: &str = "CITYSTREAM_TEST_INDEX";
/// After the last kill.
const AT_MOST: Duration = Duration::from_secs(10);

/// Not a test of its own: a process of the cluster below.
#[test]
fn member() {
    let (Ok(addresses), Ok(index)) = (std::env::var(ADDRESSES), std::env::var(INDEX)) else { return };
    let addresses = addresses.split(',').map(str::to_owned).collect();
    let topology = Topology::with_addresses(addresses, 1, index.parse().unwrap()).unwrap();
    let secret = Secret::new("the secret of this campaign").ok();
    let mesh = match Mesh::connect(topology, Options { secret, ..Options::default() }) {
        Ok(mesh) => mesh,
        Err(error) => {
            println!("failed {error}");
            exit(1)
        }
    };
    let generation = mesh.generation().to_string();
    let ended = mesh.run(WorkerConfig::default(), |_| {}, move |worker| compute(worker, &generation));
    match ended {
        Err(RunError::PeerLost(_)) => exit(4),
        Err(error) => println!("failed {error}"),
        Ok(_) => println!("failed: it has come to an end"),
    }
    exit(5)
}

/// Tells its generation to all, round after round, and says when all have answered for a while.
fn compute(worker: &mut Worker, generation: &str) -> Result<(), String> {
    let (mut input, probe) = (InputHandle::new(), ProbeHandle::new());
    let mine = generation.to_owned();
    worker.dataflow::<u64, _, _>(|scope| {
        scope
            .input_from(&mut input)
            .container::<Vec<(u64, String)>>()
            .exchange(|(to, _)| *to)
            .inspect(move |(_, theirs)| assert_eq!(*theirs, mine, "two generations compute together"))
            .probe_with(&probe);
    });
    for round in 1_u64.. {
        (0..worker.peers() as u64).for_each(|to| input.send((to, generation.to_owned())));
        input.advance_to(round);
        while probe.less_than(&round) {
            worker.step_or_park(Some(Duration::from_millis(10)));
        }
        if round == 10 {
            println!("works {generation}");
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The processes, and what starts those again that have ended.
struct Cluster {
    addresses: String,
    members: BTreeMap<usize, Member>,
    tell: Sender<(u32, String)>,
    /// What the processes say, by their ids.
    lines: Receiver<(u32, String)>,
    starts: usize,
}

struct Member {
    child: Child,
    was_killed: bool,
    /// The generation in which it computes.
    works: Option<String>,
}

impl Cluster {
    fn start() -> Cluster {
        let addresses =
            low_ports(PROCESSES).iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
        let (tell, lines) = channel();
        let mut cluster = Cluster { addresses, members: BTreeMap::new(), tell, lines, starts: 0 };
        (0..PROCESSES).for_each(|index| cluster.start_one(index));
        cluster
    }

    fn start_one(&mut self, index: usize) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "member", "--nocapture"])
            .env(ADDRESSES, &self.addresses)
            .env(INDEX, index.to_string());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (out, tell, id) = (child.stdout.take().unwrap(), self.tell.clone(), child.id());
        thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).for_each(|line| drop(tell.send((id, line))))
        });
        self.members.insert(index, Member { child, was_killed: false, works: None });
        self.starts += 1;
    }

    /// Hears what was said, and starts those again that have ended.
    fn tend(&mut self) {
        while let Ok((id, line)) = self.lines.try_recv() {
            assert!(!line.starts_with("failed"), "{line}");
            let works = line.strip_prefix("works ").map(str::to_owned);
            let says = |member: &&mut Member| member.child.id() == id && !member.was_killed;
            if let Some(member) = self.members.values_mut().find(says) {
                member.works = works.or(member.works.take());
            }
        }
        for index in 0..PROCESSES {
            let member = self.members.get_mut(&index).unwrap();
            if let Some(status) = member.child.try_wait().unwrap() {
                assert!(
                    status.code() == Some(4) || member.was_killed && status.signal() == Some(9),
                    "process {index} ended with {status}"
                );
                self.start_one(index);
            }
        }
    }

    fn tend_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.tend();
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(&mut self, index: usize) {
        let member = self.members.get_mut(&index).unwrap();
        // One that has ended by itself is dead already.
        if member.child.try_wait().unwrap().is_none() {
            (member.was_killed, member.works) = (true, None);
            member.child.kill().unwrap();
        }
    }

    /// Waits until all compute in one generation; how long that took.
    fn settle(&mut self) -> Duration {
        let began = Instant::now();
        loop {
            self.tend();
            let works: Vec<_> = self.members.values().map(|member| member.works.as_deref()).collect();
            if works[0].is_some() && works.iter().all(|generation| *generation == works[0]) {
                return began.elapsed();
            }
            assert!(began.elapsed() < AT_MOST, "after {AT_MOST:?}: {works:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in self.members.values_mut() {
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

/// Free ports below those that callers get: a process that is started again finds its own free.
fn low_ports(count: usize) -> Vec<u16> {
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    (first..32_000).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).take(count).collect()
}

#[test]
fn g1_a_cluster_comes_together_again_whoever_is_killed_whenever() {
    let mut rng = Rng::from_environment();
    let rounds = if std::env::var_os("CITYSTREAM_FULL").is_some() { 200 } else { 12 };
    let mut cluster = Cluster::start();
    println!("started in {:?}", cluster.settle());
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let victims: Vec<_> = (0..1 + rng.below(6)).map(|_| rng.below(PROCESSES as u64) as usize).collect();
        for victim in &victims {
            let most = 1 + rng.below(300);
            cluster.tend_for(Duration::from_millis(rng.below(most)));
            cluster.kill(*victim);
        }
        let took = cluster.settle();
        slowest = slowest.max(took);
        println!("round {round}: killed {victims:?}, together again after {took:?}");
    }
    println!("{rounds} rounds, {} starts, the slowest {slowest:?}", cluster.starts);
}
