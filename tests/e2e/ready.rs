//! Who is ready says so, and who is not says why: on every process, and again once the cause is gone.

use std::time::{Duration, Instant};

use crate::common::faults::faulty_s3;
use crate::common::json_log::JsonLog;
use crate::common::{Cluster, Generator, Plan, Rng, Servers, Shape, Topics, endpoints, wait_until};

const SOON: Duration = Duration::from_secs(60);

fn is_ready(address: &str) -> bool {
    endpoints::ask(address, "/readyz") == ("ready\n".to_owned(), 200)
}

/// Waits until a process says that it is not ready for this reason; how long that took.
fn says(address: &str, why: &str) -> Duration {
    let asked = Instant::now();
    let mut last = (String::new(), 0);
    wait_until(why, SOON, || {
        last = endpoints::ask(address, "/readyz");
        last.1 == 503 && last.0.contains(why)
    });
    println!("not ready after {:?}: {}", asked.elapsed(), last.0);
    asked.elapsed()
}

#[test]
fn l1_every_process_is_ready_until_a_peer_is_frozen_and_again_when_it_goes_on() {
    let log = JsonLog::new();
    log.minute(0, 50);
    let plan = log.plan().without("listen");
    let addresses = [endpoints::fresh_address(), endpoints::fresh_address()];
    let mut run = Cluster::listening(&plan, &addresses);
    wait_until("both are ready", SOON, || addresses.iter().all(|address| is_ready(address)));
    // Nothing comes for longer than a frontier may stand.
    std::thread::sleep(Duration::from_secs(12));
    assert!(addresses.iter().all(|address| is_ready(address)), "an idle process is ready");
    run.signal(1, "STOP");
    let took = says(&addresses[0], "process 1 has given no sign of life for");
    assert!(took < Duration::from_secs(9), "{took:?}: before it is lost");
    assert_eq!(endpoints::ask(&addresses[0], "/healthz"), ("alive\n".to_owned(), 200));
    run.signal(1, "CONT");
    wait_until("both are ready again", SOON, || addresses.iter().all(|address| is_ready(address)));
    run.interrupt();
}

#[test]
fn a_process_that_waits_for_others_is_alive_and_says_what_it_waits_for() {
    let log = JsonLog::new();
    let plan = log.plan().without("listen");
    let addresses = [endpoints::fresh_address(), endpoints::fresh_address()];
    let mut run = Cluster::listening(&plan, &addresses);
    run.signal(0, "STOP");
    says(&addresses[1], "waiting for the other processes");
    assert_eq!(endpoints::ask(&addresses[1], "/healthz"), ("alive\n".to_owned(), 200));
    run.signal(0, "CONT");
    wait_until("both are ready", SOON, || addresses.iter().all(|address| is_ready(address)));
    run.interrupt();
}

#[test]
fn b1_a_run_that_reads_no_more_as_a_commit_does_not_land_says_so() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "paused", 1);
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 1, ..Shape::mixed() });
    topics.produce((0..100).map(|n| made.next(1_790_000_000_000 + n * 20)));
    let ((mut holding, endpoint), address) = (faulty_s3(&servers), endpoints::fresh_address());
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("s3-endpoint", &endpoint).flag("listen", &address);
    let plan = plan.flag("memory", "1MiB");
    let run = plan.start(1, 1);
    wait_until("it is ready", SOON, || plan.lake().read() == 100 && is_ready(&address));
    holding.say("hold");
    topics.produce((0..30_000).map(|n| made.next(1_790_000_010_000 + n * 20)));
    assert!(holding.hear().starts_with("held "));
    says(&address, "reading is paused for");
    holding.say("release");
    wait_until("all is committed", SOON, || plan.lake().read() == 30_100);
    wait_until("it is ready again", SOON, || is_ready(&address));
    run.interrupt();
    plan.verify();
}
