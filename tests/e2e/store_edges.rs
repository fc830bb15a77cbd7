//! The store's edges: stalled, failing, careless, unknown, refusing; a budget smaller than a file.

use std::time::Duration;

use crate::common::faults::{Proxy, faulty_s3};
use crate::common::python::{Script, run};
use crate::common::{Generator, Plan, Rng, Servers, Shape, Topics, sized, wait_until};

const START: i64 = 1_790_000_000_000;
const SOON: Duration = Duration::from_secs(90);

fn log(servers: &Servers, test: &str, records: i64) -> (Topics, Generator) {
    let topics = Topics::create(servers, test, 2);
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 2, ..Shape::mixed() });
    topics.produce((0..records).map(|n| made.next(START + n * 20)));
    (topics, made)
}

#[test]
fn a_stalled_store_holds_the_run_within_its_budget_and_loses_nothing() {
    let Some(servers) = Servers::find() else { return };
    let (topics, mut made) = log(&servers, "stall", 2_000);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("memory", "32MiB");
    let proxy = Proxy::before_s3(&servers, &plan);
    let plan = plan.flag("s3-endpoint", &proxy.url());
    let mut run = plan.start(1, 2);
    let lake = plan.lake();
    wait_until("a first commit", SOON, || lake.read() > 0);
    proxy.add("timeout", "upstream", r#"{"timeout": 0}"#);
    let more = sized(300_000, 1_500_000);
    topics.produce((0..more).map(|n| made.next(START + 40_000 + n * 20)));
    std::thread::sleep(sized(Duration::from_secs(12), Duration::from_secs(60)));
    let peak = run.peak_memory(0);
    println!("peak memory {} MiB", peak >> 20);
    assert!(run.running(), "the run ended while its store stood still");
    proxy.remove("timeout", "upstream");
    assert!(peak < 512 << 20, "{} MiB at a budget of 32 MiB", peak >> 20);
    wait_until("all is committed", Duration::from_secs(240), || lake.read() == made.ids.len() as u64);
    run.interrupt();
    plan.verify();
    lake.check(&plan, &made);
}

#[test]
fn a_store_that_fails_now_and_then_and_is_slow_loses_nothing() {
    let Some(servers) = Servers::find() else { return };
    let (topics, mut made) = log(&servers, "fails", 5_000);
    let (mut failing, endpoint) = faulty_s3(&servers);
    let plan = Plan::kafka_to_s3(&servers, &topics);
    let slow = Proxy::before(&servers, plan.dir(), endpoint.trim_start_matches("http://"));
    slow.add("latency", "downstream", r#"{"latency": 50, "jitter": 40}"#);
    let plan = plan.flag("s3-endpoint", &slow.url());
    failing.say("refuse 3");
    let run = plan.start(1, 1);
    assert!(failing.hear().starts_with("refused "));
    wait_until("it commits all the same", SOON, || plan.lake().read() > 0);
    failing.say("refuse 3");
    topics.produce((0..5_000).map(|n| made.next(START + 200_000 + n * 20)));
    wait_until("all is committed", SOON, || plan.lake().read() == made.ids.len() as u64);
    slow.add("reset_peer", "downstream", r#"{"timeout": 200}"#);
    std::thread::sleep(Duration::from_secs(2));
    slow.remove("reset_peer", "downstream");
    run.interrupt();
    plan.verify();
    plan.lake().check(&plan, &made);
}

#[test]
fn delta_logs_that_could_not_be_written_are_completed_though_nothing_comes() {
    let Some(servers) = Servers::find() else { return };
    let (topics, mut made) = log(&servers, "behind", 1_000);
    let (mut failing, endpoint) = faulty_s3(&servers);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("s3-endpoint", &endpoint);
    let lake = plan.lake();
    let run = plan.start(1, 1);
    let all_is_published = || lake.published() == lake.commits().last().map(|commit| commit.seq);
    wait_until("a first commit is published", SOON, || lake.read() == 1_000 && all_is_published());
    failing.say("logs 1000000");
    topics.produce((0..1_000).map(|n| made.next(START + 200_000 + n * 20)));
    wait_until("all is committed", SOON, || lake.read() == made.ids.len() as u64);
    assert!(failing.hear().starts_with("refused ") && !all_is_published());
    wait_until("it has given up once", SOON, || run.said(0).contains("not in all Delta tables yet"));
    failing.say("logs none");
    wait_until("the tables have all of it", SOON, all_is_published);
    run.interrupt();
    plan.verify();
    lake.check(&plan, &made);
}

#[test]
fn a_budget_smaller_than_a_file_does_not_deadlock() {
    let Some(servers) = Servers::find() else { return };
    let (topics, made) = log(&servers, "budget", 30_000);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("memory", "1MiB").flag("commit-interval", "60s");
    plan.drain(1, 2);
    plan.verify();
    plan.lake().check(&plan, &made);
    let data = plan.lake().commits().iter().filter(|commit| !commit.added.is_empty()).count();
    assert!(data > 3, "{data} data commits: a full budget is to seal before the interval is over");
}

#[test]
fn a_store_that_ignores_conditions_or_loses_races_is_refused() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "careless", 1);
    for mode in ["ignores", "races"] {
        let store = Script::start("careless_store.py", &[mode]);
        let endpoint = format!("http://127.0.0.1:{}", store.hear());
        let plan = Plan::kafka_to_s3(&servers, &topics).flag("s3-endpoint", &endpoint);
        let (code, said) = plan.end_of_run(&["--until-drained"]);
        assert_eq!(code, 2, "{mode}: {said}");
        let last = said.trim_end().lines().last().unwrap_or_default().to_lowercase();
        assert!(last.contains("put") || last.contains("condition"), "{mode}: {last}");
        assert!(!said.contains("panicked"), "{mode}: {said}");
    }
}

#[test]
fn wrong_credentials_and_missing_buckets_are_one_clear_line() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "refused", 1);
    let wrong = Plan::kafka_to_s3(&servers, &topics).variable("AWS_SECRET_ACCESS_KEY", "not-the-secret");
    let (code, said) = wrong.end_of_run(&["--until-drained"]);
    let last = said.trim_end().lines().last().unwrap_or_default().to_lowercase();
    assert_eq!(code, 2, "{said}");
    assert!(last.contains("credential") || last.contains("access"), "{said}");
    assert!(!said.contains("not-the-secret"), "a secret was printed: {said}");

    let bucket = format!("no-{}", topics.prefix());
    let absent = Plan::kafka_to_s3(&servers, &topics).into_lake(&format!("s3://{bucket}/lake"));
    let (code, said) = absent.end_of_run(&["--until-drained"]);
    let last = said.trim_end().lines().last().unwrap_or_default();
    assert_eq!(code, 2, "{said}");
    assert!(last.contains(&bucket) && last.contains("lake init"), "{said}");

    absent.init(); // creates the bucket
    absent.drain(1, 1);
    absent.verify();
    let answer = run("read_lake.py", &[absent.lake().place()]);
    assert!(answer.contains("\"raw_gps\""), "{answer}");
}
