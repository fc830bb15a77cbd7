//! P2: nothing is lost or doubled, whatever process is killed, whenever, at any width afterwards.

use std::thread;
use std::time::Duration;

use crate::common::{Cluster, Plan, Rng, Servers, Shape, Topics, files, python, sized, wait_until, while_producing};

#[test]
fn killed_processes_lose_and_double_nothing_on_kafka_and_s3() {
    let Some(servers) = Servers::find() else { return };
    let mut rng = Rng::from_environment();
    let topics = Topics::create(&servers, "kill", 4);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("commit-interval", "700ms");
    let made = while_producing(&topics, Shape::mixed(), 80, || rounds(&plan, &mut rng, sized(5, 20)));
    end(&plan, &mut rng);
    plan.lake().check(&plan, &made);
}

#[test]
fn killed_processes_lose_and_double_nothing_on_files() {
    if !python::available() {
        return;
    }
    let mut rng = Rng::from_environment();
    let folder = tempfile::TempDir::new().expect("a folder");
    let plan = Plan::files(folder.path()).flag("commit-interval", "500ms").flag("publish-interval", "1800ms");
    let seconds = format!("{}s", sized(20, 90));
    let often = ["--vehicles", "200", "--step", "170ms..330ms"];
    let flags = [&often[..], &["--time-scale", "1", "--duplicates", "0.01", "--duration", &seconds]].concat();
    let mut simulator = files::simulate(&plan, folder.path(), &flags);
    wait_until("the simulator writes", Duration::from_secs(10), || folder.path().join("gps_data").is_dir());
    rounds(&plan, &mut rng, sized(4, 16));
    assert!(simulator.wait().expect("the simulator").success());
    end(&plan, &mut rng);
    files::add_an_earlier_ping(folder.path());
    end(&plan, &mut rng);
    plan.lake().contents_with(&files::ids(&plan, folder.path())).check_ids();
    print!("{}", python::run("../oracle/compare.py", &[plan.lake().place()]));
}

fn shape(rng: &mut Rng) -> (usize, usize) {
    (1 + rng.below(3) as usize, 1 + rng.below(2) as usize)
}

/// Starts at a random width, kills a random process at a random moment; the others are to end by themselves.
fn rounds(plan: &Plan, rng: &mut Rng, rounds: usize) {
    for round in 0..rounds {
        let (processes, workers) = shape(rng);
        let mut cluster = plan.start(processes, workers);
        thread::sleep(Duration::from_millis(300 + rng.below(4_000)));
        let victim = rng.below(processes as u64) as usize;
        cluster.signal(victim, "KILL");
        let codes = cluster.wait(Duration::from_secs(40));
        println!("round {round}: {processes} x {workers}, killed {victim}, exit codes {codes:?}");
        survivors_end_well(&cluster, victim, &codes);
    }
}

/// Those that lost a peer say so (4), or that it was not there yet when they started (7, 1).
fn survivors_end_well(cluster: &Cluster, victim: usize, codes: &[i32]) {
    for (index, code) in codes.iter().enumerate() {
        let expected: &[i32] = if index == victim { &[-9] } else { &[4, 7, 1] };
        assert!(expected.contains(code), "process {index} ended with {code}");
        assert!(!cluster.said(index).contains("panicked"), "process {index} panicked");
    }
}

/// A last run to the end of the log.
fn end(plan: &Plan, rng: &mut Rng) {
    let (processes, workers) = shape(rng);
    println!("last run: {processes} x {workers}");
    plan.drain(processes, workers);
    plan.verify();
}
