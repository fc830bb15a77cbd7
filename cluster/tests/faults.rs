//! L1, at the settings that users have: who is stopped, or cut off without a word, is noticed by all within 15 s, and each
//! process ends with the exit code for a lost peer. Two hosts are network namespaces, for which nobody needs to be root.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio, exit};
use std::thread;
use std::time::{Duration, Instant};

use citystream_cluster::{Mesh, Options, RunError, Secret, Topology, install_panic_hook};
use timely::WorkerConfig;
use timely::dataflow::operators::{Exchange, Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::worker::Worker;

const ADDRESSES: &str = "CITYSTREAM_TEST_ADDRESSES";
const INDEX: &str = "CITYSTREAM_TEST_INDEX";
const FAULT: &str = "CITYSTREAM_TEST_FAULT";
/// What is promised.
const AT_MOST: Duration = Duration::from_secs(15);

/// Not a test of its own: a process of two.
#[test]
fn process() {
    let (Ok(addresses), Ok(index)) = (std::env::var(ADDRESSES), std::env::var(INDEX)) else { return };
    install_panic_hook(|line| println!("{line}"));
    let addresses = addresses.split(',').map(str::to_owned).collect();
    let topology = Topology::with_addresses(addresses, 1, index.parse().unwrap()).unwrap();
    let secret = Secret::new("the secret of these hosts").ok();
    let mesh = Mesh::connect(topology, Options { secret, ..Options::default() }).unwrap();
    let vitals = mesh.vitals();
    let ended = mesh.run(
        WorkerConfig::default(),
        |_| {},
        move |worker| {
            compute(worker, |worker, round| {
                vitals.turned(worker);
                vitals.closed(round);
            })
        },
    );
    let Err(error) = ended else { exit(0) };
    println!("{error}");
    exit(if matches!(error, RunError::PeerLost(_)) { 4 } else { 5 })
}

fn compute(worker: &mut Worker, turned: impl Fn(usize, u64)) -> Result<(), String> {
    let (mut input, probe) = (InputHandle::new(), ProbeHandle::new());
    worker.dataflow::<u64, _, _>(|scope| {
        scope.input_from(&mut input).container::<Vec<u64>>().exchange(|x| *x).probe_with(&probe);
    });
    for round in 1_u64.. {
        input.advance_to(round);
        // For long enough that a connection fails meanwhile, and always with something that is not sent yet.
        for _ in 0..50 {
            (0..3000).for_each(|x| input.send(x));
            thread::sleep(Duration::from_millis(2));
        }
        while probe.less_than(&round) {
            turned(worker.index(), round - 1);
            worker.step_or_park(Some(Duration::from_millis(10)));
        }
        // Long enough for some signs of life.
        if round == 10 {
            println!("together");
        }
    }
    Ok(())
}

/// One of two processes, in a namespace if one is named.
struct Host {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Host {
    fn start(addresses: &str, index: usize, namespace: Option<&str>) -> Host {
        let program = std::env::current_exe().unwrap();
        let mut command = namespace.map_or_else(
            || Command::new(&program),
            |namespace| {
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", namespace]).arg(&program);
                ip
            },
        );
        command.args(["--exact", "process", "--nocapture"]).env(ADDRESSES, addresses).env(INDEX, index.to_string());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        Host { child, says }
    }

    fn wait_for(&mut self, start: &str) -> String {
        let found = self.says.by_ref().lines().map_while(Result::ok).find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("it never says {start}"))
    }

    /// Waits for its end as one that has lost its peer; what it says of that, and after how long.
    fn loses(&mut self, peer: usize, fault: &str, since: Instant) -> String {
        let said = self.wait_for("peer lost: ");
        let code = self.child.wait().unwrap().code();
        let took = since.elapsed();
        println!("{fault}: after {:.1} s: {said}", took.as_secs_f64());
        assert!(said.starts_with(&format!("peer lost: process {peer} at ")), "{said}");
        assert_eq!(code, Some(4));
        assert!(took < AT_MOST, "{took:?}");
        said
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(words: &str) {
    let words: Vec<_> = words.split(' ').collect();
    assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{words:?}");
}

#[test]
fn l1_who_is_stopped_or_cut_off_without_a_word_is_noticed_within_15_s() {
    thread::scope(|scope| {
        scope.spawn(stopped);
        scope.spawn(killed);
        scope.spawn(|| in_namespaces("cut"));
        scope.spawn(|| in_namespaces("one way"));
    });
}

/// Two processes on this host that compute together, on ports from this one up.
fn pair(first: u32) -> [Host; 2] {
    let ports = [first, first + 1].map(|port| port + 4 * (std::process::id() % 200));
    let addresses = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let mut hosts = [0, 1].map(|index| Host::start(&addresses, index, None));
    hosts.iter_mut().for_each(|host| drop(host.wait_for("together")));
    hosts
}

/// While the other one sends, and has always something that is not sent yet: it is to end with a code, not by a signal.
fn killed() {
    let mut hosts = pair(19_300);
    let since = Instant::now();
    hosts[1].child.kill().unwrap();
    hosts[0].loses(1, "killed", since);
}

fn stopped() {
    let mut hosts = pair(19_302);
    let since = Instant::now();
    run(&format!("kill -s STOP {}", hosts[1].child.id()));
    let said = hosts[0].loses(1, "stopped", since);
    assert!(said.contains("the last epoch that it told to have closed is "), "{said}");
    run(&format!("kill -s CONT {}", hosts[1].child.id()));
    hosts[1].loses(0, "the one that was stopped, once it goes on", Instant::now());
}

/// Goes on as `two_hosts` in namespaces of its own.
fn in_namespaces(fault: &str) {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "--net"]).arg(std::env::current_exe().unwrap());
    let ended = unshare.args(["--exact", "two_hosts", "--nocapture"]).env(FAULT, fault).output().unwrap();
    print!("{}", String::from_utf8_lossy(&ended.stdout));
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// Not a test of its own: two hosts, and what is between them.
#[test]
fn two_hosts() {
    let Ok(fault) = std::env::var(FAULT) else { return };
    // Names of namespaces are files below it.
    run("mount -t tmpfs tmpfs /run");
    for host in ["a", "b"] {
        run(&format!("ip netns add {host}"));
        run(&format!("ip -n {host} link set lo up"));
    }
    run("ip link add to-b netns a type veth peer name to-a netns b");
    run("ip -n a address add 10.9.0.1/24 dev to-b");
    run("ip -n b address add 10.9.0.2/24 dev to-a");
    run("ip -n a link set to-b up");
    run("ip -n b link set to-a up");
    let addresses = "10.9.0.1:2101,10.9.0.2:2101";
    let mut hosts = [(0, "a"), (1, "b")].map(|(index, namespace)| Host::start(addresses, index, Some(namespace)));
    hosts.iter_mut().for_each(|host| drop(host.wait_for("together")));
    let since = Instant::now();
    // What goes to a hardware address that nobody has arrives nowhere.
    run("ip -n a neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:99 dev to-b nud permanent");
    if fault == "cut" {
        run("ip -n b neighbour replace 10.9.0.1 lladdr 02:00:00:00:00:99 dev to-a nud permanent");
    }
    for (index, host) in hosts.iter_mut().enumerate() {
        host.loses(1 - index, &format!("{fault}, process {index}"), since);
    }
}
