//! More of what `/api/why` names: how a run begins, a worker that stands still, what has to be read first. Each cause is provoked, named, and gone when it is over.

use std::cell::RefCell;
use std::time::Duration;

use crate::common::faults::{TwoBrokers, faulty_s3};
use crate::common::json_log::{JsonLog, record};
use crate::common::live::now_ms;
use crate::common::python::{Script, available};
use crate::common::{Cluster, Generator, Plan, Rng, Servers, Shape, Topics, endpoints, wait_until};
use crate::why::{SOON, is_named, names, names_nothing, pings, sentence};

/// Waits until a cause is named while a process gets a moment of time now and then; gives the answer.
fn names_slowly(run: &mut Cluster, address: &str, cause: &str) -> serde_json::Value {
    let answer = RefCell::default();
    wait_until(cause, SOON, || {
        run.signal(0, "STOP");
        std::thread::sleep(Duration::from_millis(100));
        run.signal(0, "CONT");
        is_named(address, cause, &answer)
    });
    println!("{cause}: {}", answer.borrow()["sentence"]);
    answer.into_inner()
}

#[test]
fn a_store_that_does_not_answer_a_start_and_one_that_refuses_its_delta_tables_are_named() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "causes", 1);
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 1, ..Shape::mixed() });
    topics.produce((0..100).map(|n| made.next(1_790_000_000_000 + n * 20)));
    let ((mut proxy, endpoint), address) = (faulty_s3(&servers), endpoints::fresh_address());
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("s3-endpoint", &endpoint).flag("listen", &address);
    proxy.say("hold");
    proxy.say("logs 1000000");
    let run = plan.start(1, 1);
    assert!(proxy.hear().starts_with("held "));
    let answer = names(&address, "claiming");
    assert_eq!((&answer["ready"], &answer["cause"]["grave"]), (&false.into(), &true.into()), "{answer}");
    proxy.say("release");
    // They are made once the lake is claimed, and before the first record.
    let answer = names(&address, "beginning");
    assert!(sentence(&answer).starts_with("The lake is claimed, and reading has not begun yet"), "{answer}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(names(&address, "beginning")["ready"], false, "it is still so");
    proxy.say("logs none");
    names_nothing(&address);
    run.interrupt();
}

#[test]
fn a_source_with_nothing_to_read_is_named_until_a_partition_appears() {
    let (log, address) = (JsonLog::without_partitions(), endpoints::fresh_address());
    let plan = log.plan().flag("listen", &address).flag("discover-interval", "200ms");
    let run = plan.start(1, 1);
    let answer = names(&address, "empty");
    assert_eq!(sentence(&answer), "No topic has a partition yet: there is nothing to read.", "{answer}");
    assert_eq!(endpoints::ask(&address, "/readyz").1, 200, "it is ready for when one appears");
    log.minute(0, 10);
    names_nothing(&address);
    run.interrupt();
}

#[test]
fn a_partition_whose_broker_does_not_answer_is_named_while_others_go_on() {
    let Some(servers) = Servers::find() else { return };
    let brokers = TwoBrokers::start(&servers);
    let (topics, plan) = brokers.plan(&servers, "two-brokers");
    let address = endpoints::fresh_address();
    let plan = plan.flag("listen", &address).kafka_setting("socket.timeout.ms", "1500");
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 2, ..Shape::mixed() });
    let run = plan.start(1, 2);
    names_nothing(&address);
    brokers.cut();
    let answer = RefCell::default();
    let mut feed = topics.feed();
    wait_until("unconfirmed", SOON, || {
        (0..10).for_each(|_| feed.send(&made.next(now_ms())));
        is_named(&address, "unconfirmed", &answer)
    });
    let answer = answer.into_inner();
    assert!(sentence(&answer).contains("/1 holds the horizon back"), "{answer}");
    brokers.mend();
    feed.finish();
    wait_until("all is committed", SOON, || plan.lake().read() == made.ids.len() as u64);
    names_nothing(&address);
    run.interrupt();
    plan.verify();
    plan.lake().check(&plan, &made);
}

#[test]
fn what_has_to_be_read_first_is_named_from_the_log_and_from_the_lake() {
    const MANY: u64 = 600_000;
    let (log, address) = (JsonLog::new(), endpoints::fresh_address());
    pings(&log, MANY);
    for partition in 1..4 {
        log.append("gps", partition, 3000.0, &record(&format!("ahead-{partition}"), "bus", 3000.0));
    }
    let plan = log.plan().flag("listen", &address);
    let mut run = plan.start(1, 1);
    let answer = names_slowly(&mut run, &address, "backlog");
    assert!(sentence(&answer).starts_with("Gps/0 holds the horizon back: it has to be read first"), "{answer}");
    wait_until("all is committed", 2 * SOON, || plan.lake().read() == MANY + 3);
    run.interrupt();
    let mut run = plan.start(1, 1);
    let answer = names_slowly(&mut run, &address, "recovering");
    assert_eq!(answer["ready"], false, "{answer}");
    names_nothing(&address);
    run.interrupt();
}

#[test]
fn a_worker_that_stands_still_is_named_and_that_no_epoch_ends() {
    if !available() {
        return;
    }
    let log = JsonLog::new();
    log.minute(0, 50);
    let plan = log.plan().without("listen");
    let addresses = [endpoints::fresh_address(), endpoints::fresh_address()];
    let run = Cluster::listening(&plan, &addresses);
    addresses.iter().for_each(|address| names_nothing(address));
    let mut freezer = Script::start("freeze.py", &[&run.pid(0).to_string(), "timely:work-0"]);
    assert_eq!(freezer.hear(), "frozen");
    let answer = names(&addresses[0], "worker");
    assert!(sentence(&answer).starts_with("Worker 0 has not turned for"), "{answer}");
    let answer = names(&addresses[1], "clock");
    assert!(sentence(&answer).ends_with(" s: process 0 ends none."), "{answer}");
    freezer.ask("go on");
    addresses.iter().for_each(|address| names_nothing(address));
    run.interrupt();
}
