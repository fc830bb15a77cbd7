//! P6: what a run holds is bounded by what it says: its budget, 64 MiB, and state as its own gauges tell.

use std::time::Duration;

use serde_json::json;

use crate::common::cluster::Cluster;
use crate::common::json_log::{JsonLog, record};
use crate::common::{Plan, Servers, Topics, endpoints, files, sized, wait_until};

const SOON: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// A plan that serves its metrics; where.
fn watched(log: &JsonLog) -> (Plan, String) {
    let address = endpoints::fresh_address();
    (log.plan().flag("listen", &address).flag("epoch", "50ms").flag("commit-interval", "500ms"), address)
}

/// Waits until so many records are committed; the most state that the run's gauges told meanwhile.
fn committed(plan: &Plan, address: &str, records: u64) -> u64 {
    let mut most = 0;
    wait_until("all is committed", 4 * SOON, || {
        most = most.max(endpoints::state(address).iter().map(|(_, bytes)| bytes).sum());
        plan.lake().read() == records
    });
    most
}

/// The greatest memory of a run is no more than it may have.
fn check(run: &Cluster, state: u64, budget: u64) {
    let peak = run.peak_memory(0);
    println!("peak {} MiB, state {} MiB", peak / MIB, state / MIB);
    assert!(peak <= budget + 64 * MIB + state, "peak {} MiB, state {} MiB", peak / MIB, state / MIB);
}

#[test]
fn p6_incidents_and_pings_at_one_place_take_what_the_gauges_say() {
    let count = sized(2000, 6000);
    let log = JsonLog::new();
    let (plan, address) = watched(&log);
    for n in 0..count {
        let (id, second) = (format!("incident-{n}"), 600.0 * n as f64 / count as f64);
        log.with(
            "emergency",
            &id,
            second,
            &json!({"hasIncident": true, "incidentId": id, "status": "Active", "type": "Fire"}),
        );
    }
    (0..count).for_each(|n| {
        log.with("gps", &format!("bus-{n}"), 600.0 + 100.0 * n as f64 / count as f64, &json!({"speed": 30.0}))
    });
    let plan = plan.flag("memory", "32MiB");
    let run = plan.start(1, 1);
    let most = committed(&plan, &address, 2 * count as u64);
    check(&run, most, 32 * MIB);
    let of_incidents = endpoints::state(&address).into_iter().find(|(kind, _)| kind == "incidents");
    assert!(of_incidents.is_some_and(|(_, bytes)| bytes > MIB), "{:?}", endpoints::state(&address));
    run.interrupt();
    plan.verify();
}

/// Copies on their way to the joins, the tables' changes and the encoders' buffers are within the budget, for each worker.
#[test]
fn p6_a_city_with_all_its_tables_stays_within_its_budget() {
    let records = sized(1_000_000, 3_000_000);
    let city = tempfile::tempdir().expect("a folder");
    let address = endpoints::fresh_address();
    let plan = Plan::files(city.path()).flag("listen", &address).flag("memory", "64MiB");
    let count = records.to_string();
    let flags = ["--vehicles", "2000", "--records", &count, "--out-of-order", "0.05", "--late", "0.01"];
    assert!(files::simulate(&plan, city.path(), &flags).wait().expect("the simulator").success());
    let run = plan.start(1, 2);
    let most = committed(&plan, &address, records);
    check(&run, most, 64 * MIB);
    run.interrupt();
}

/// The client fetches ahead: from eighty partitions far more than the budget, were its queues not part of it.
#[test]
fn p6_the_clients_queues_are_part_of_the_budget() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "queues", 16);
    let [port] = xtask::process::free_ports().expect("a free port");
    let address = format!("127.0.0.1:{port}");
    let plan =
        Plan::kafka_to_files(&servers, &topics).flag("listen", &address).flag("memory", "256MiB").flag("tables", "raw");
    let records = sized(600_000, 3_000_000);
    let count = records.to_string();
    // Batches as producers make them by default: a queue holds a whole one in any case.
    let mut flags = vec!["--vehicles", "2000", "--records", &count, "--kafka", "batch.size=16384"];
    let reaching = topics.flags();
    flags.extend(reaching.iter().map(String::as_str));
    assert!(files::simulate_to(&plan, "kafka", &flags).wait().expect("the simulator").success());
    let run = plan.start(1, 1);
    let most = committed(&plan, &address, records);
    check(&run, most, 256 * MIB);
    run.interrupt();
    plan.verify();
}

/// The horizon stays an hour behind, so state cannot be kept below its bound: what is furthest behind is read all the same.
#[test]
fn p6_state_at_its_bound_stops_nobody_for_ever() {
    const LONG_AGO: f64 = -25.0 * 365.0 * 86_400.0;
    let log = JsonLog::new();
    let (plan, address) = watched(&log);
    let plan = plan.flag("idle", "1s").flag("state-memory", "1MiB");
    let run = plan.start(1, 2);
    let mut sent = 0;
    for minute in 0..120 {
        for n in 0..300 {
            let second = f64::from(minute) * 60.0 + f64::from(n) / 5.0;
            log.with("gps", &format!("bus-{n}"), second, &json!({}));
            sent += 1;
        }
        log.append("vehicle", 0, LONG_AGO + f64::from(minute), &record(&format!("old-{minute}"), "old", LONG_AGO));
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_until("all is committed", SOON, || plan.lake().read() == sent);
    let held: u64 = endpoints::state(&address).iter().map(|(_, bytes)| bytes).sum();
    assert!(held > MIB, "{held} B of state: the test holds too little");
    assert!(run.said(0).contains("--state-memory is 1 MiB"), "{}", run.said(0));
    run.interrupt();
    plan.verify();
}
