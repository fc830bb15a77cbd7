//! P2 under `citystream launch`: a random process is killed or frozen at a random moment, all start again, the width
//! changes; nothing is lost, and commits go on within seconds.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use citystream::parts::{Commit, Kind};

use crate::common::cluster::{LONG, send};
use crate::common::launched::Launched;
use crate::common::{Plan, Rng, files, python, sized, wait_until};

/// What is done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A process is killed (SIGKILL).
    Killed,
    /// A process is stopped (SIGSTOP): it holds its connections, and says nothing.
    Frozen,
    /// All end in order and start at another width.
    Width,
}

impl Fault {
    /// Every fifth round each is an order to end and a process that freezes, the others kill.
    fn of(round: usize) -> Fault {
        match round % 5 {
            2 => Fault::Frozen,
            4 => Fault::Width,
            _ => Fault::Killed,
        }
    }

    /// How long there may be no commit: with a million pings in reach, where nothing else uses the machine; as a small round
    /// on a machine that does other things, only that it goes on.
    fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Fault::Killed | Fault::Width => sized(20, 5),
            Fault::Frozen => sized(40, 20),
        })
    }
}

#[test]
fn a_launched_cluster_goes_on_whatever_is_lost() {
    if !python::available() {
        return;
    }
    let mut rng = Rng::from_environment();
    let folder = tempfile::TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    let plan = Plan::files(&log).flag("commit-interval", "500ms");
    let vehicles = sized(400, 25_000).to_string();
    let city = ["--vehicles", &vehicles, "--step", "28s..31s", "--duplicates", "0.01"];
    fill(&plan, &log, &city);
    let live = [&city[..], &["--time-scale", "1"]].concat();
    let mut simulator = files::simulate(&plan, &log, &live);
    let faults = rounds(&plan, &mut rng, sized(10, 300));
    send(simulator.id(), "TERM");
    simulator.wait().expect("the simulator");
    let gaps = gaps(&plan, &faults);

    let (code, said) = launch(&plan, &mut rng, &["--until-drained"]).end();
    assert_eq!(code, Some(0), "{said}");
    plan.verify();
    plan.lake().contents_with(&files::ids(&plan, &log)).check_ids();
    let undisturbed = Plan::files(&log);
    undisturbed.drain(1, 2);
    print!("{}", python::run("../oracle/same.py", &[undisturbed.lake().place(), plan.lake().place()]));
    print!("{}", python::run("../oracle/compare.py", &[undisturbed.lake().place()]));
    // Right before it is quick.
    judge(&gaps);
}

/// Twenty minutes of the log up to now, as fast as they can be written: all of them in reach.
fn fill(plan: &Plan, log: &Path, city: &[&str]) {
    let start = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(20)).to_string();
    let flags = [city, &["--start", &start, "--span", "20m"]].concat();
    assert!(files::simulate(plan, log, &flags).wait().expect("the simulator").success());
}

/// The program at a random width.
fn launch(plan: &Plan, rng: &mut Rng, flags: &[&str]) -> Launched {
    let (processes, workers) = (2 + rng.below(3) as usize, 1 + rng.below(2));
    println!("width: {processes} x {workers}");
    let workers = workers.to_string();
    Launched::start(plan, processes, &[&["--log-format", "json", "-w", &workers], flags].concat())
}

/// Faults, each once a commit has landed since the one before; what was done, and when.
fn rounds(plan: &Plan, rng: &mut Rng, rounds: usize) -> Vec<(Fault, SystemTime)> {
    let mut launched = launch(plan, rng, &[]);
    commit_after(plan, SystemTime::UNIX_EPOCH);
    let mut faults = Vec::new();
    for round in 0..rounds {
        sleep(Duration::from_millis(rng.below(1500)));
        let (fault, began) = (Fault::of(round), SystemTime::now());
        faults.push((fault, began));
        if fault == Fault::Width {
            send(launched.process.id(), "TERM");
            let (code, said) = launched.end();
            assert_eq!(code, Some(0), "{said}");
            launched = launch(plan, rng, &[]);
        } else {
            let children = launched.children();
            let victim = children[rng.below(children.len() as u64) as usize];
            send(victim, if fault == Fault::Killed { "KILL" } else { "STOP" });
        }
        // Those that are well may commit once more before all know.
        sleep(Duration::from_millis(300));
        commit_after(plan, SystemTime::now());
    }
    send(launched.process.id(), "TERM");
    let (code, said) = launched.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    faults
}

/// Waits for a commit of data after a moment.
fn commit_after(plan: &Plan, moment: SystemTime) {
    wait_until("a commit has landed", LONG, || {
        newest(plan).is_some_and(|(landed, kind)| landed > moment && kind == Kind::Data)
    });
}

/// When the newest commit landed, and what it is.
fn newest(plan: &Plan) -> Option<(SystemTime, Kind)> {
    let path = commits(plan).pop()?;
    read(&path)
}

/// The commits of the lake, in order.
fn commits(plan: &Plan) -> Vec<std::path::PathBuf> {
    let folder = Path::new(plan.lake().place()).join("commits");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> Option<(SystemTime, Kind)> {
    let commit: Commit = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    Some((path.metadata().ok()?.modified().ok()?, commit.kind))
}

/// The longest time without a commit of data that ended after each fault and before the next.
fn gaps(plan: &Plan, faults: &[(Fault, SystemTime)]) -> Vec<(Fault, Duration)> {
    let landed: Vec<SystemTime> = commits(plan)
        .iter()
        .filter_map(|path| read(path))
        .filter(|(_, kind)| *kind == Kind::Data)
        .map(|(at, _)| at)
        .collect();
    let longest = |from: SystemTime, to: SystemTime| {
        let pairs = landed.windows(2).filter(|pair| pair[1] > from && pair[1] <= to);
        pairs.filter_map(|pair| pair[1].duration_since(pair[0]).ok()).max().unwrap_or_default()
    };
    let ends = faults.iter().skip(1).map(|(_, at)| *at).chain([SystemTime::now()]);
    faults.iter().zip(ends).map(|((fault, from), to)| (*fault, longest(*from, to))).collect()
}

fn judge(gaps: &[(Fault, Duration)]) {
    for fault in [Fault::Killed, Fault::Frozen, Fault::Width] {
        let mut of: Vec<Duration> = gaps.iter().filter(|(each, _)| *each == fault).map(|(_, gap)| *gap).collect();
        of.sort();
        let (median, longest) = (of[of.len() / 2], of[of.len() - 1]);
        println!("{fault:?}: {} rounds, no commit for {median:.1?} (median), {longest:.1?} (longest)", of.len());
        assert!(longest < fault.limit(), "{fault:?}: {of:?}");
    }
}
