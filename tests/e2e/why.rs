//! `/api/why` names what holds a run back: each cause is provoked, named, and gone when it is over.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::faults::{ProxiedKafka, faulty_s3};
use crate::common::json_log::{JsonLog, record};
use crate::common::{Cluster, Generator, Plan, Rng, Servers, Shape, Topics, endpoints, wait_until};

pub(crate) const SOON: Duration = Duration::from_secs(60);

fn why(address: &str) -> Value {
    serde_json::from_str(&endpoints::ask(address, "/api/why").0).unwrap_or_default()
}

/// Waits until a cause is the one that is named, whatever it brings with it; gives the whole answer.
pub(crate) fn names(address: &str, cause: &str) -> Value {
    let mut last = Value::Null;
    wait_until(cause, SOON, || {
        last = why(address);
        last["cause"]["name"] == cause
    });
    println!("{cause}: {}", last["sentence"]);
    last
}

/// Whether a cause is the one that is named; keeps the answer, as the next may name another.
pub(crate) fn is_named(address: &str, cause: &str, answer: &RefCell<Value>) -> bool {
    *answer.borrow_mut() = why(address);
    answer.borrow()["cause"]["name"] == cause
}

pub(crate) fn names_nothing(address: &str) {
    let mut last = Value::Null;
    wait_until("nothing holds it back", SOON, || {
        last = why(address);
        last["ready"] == true && last["cause"].is_null()
    });
}

pub(crate) fn sentence(answer: &Value) -> &str {
    answer["sentence"].as_str().expect("a sentence")
}

fn ping(log: &JsonLog, partition: u32, second: i64) {
    let second = second as f64;
    log.append("gps", partition, second, &record(&format!("{partition}-{second}"), "bus", second));
}

/// A run over pings that are delivered ten times a second, to each partition so many seconds behind.
fn delivering(during: impl FnOnce(&str, &mut dyn FnMut(&str, &[(u32, i64)], &dyn Fn() -> bool))) {
    let (log, address) = (JsonLog::new(), endpoints::fresh_address());
    let plan = log.plan().flag("listen", &address).flag("epoch", "50ms").flag("commit-interval", "200ms");
    let plan = plan.flag("discover-interval", "200ms");
    let run = plan.start(1, 2);
    let mut second = 2000;
    during(&address, &mut |until, partitions, condition| {
        wait_until(until, SOON, || {
            second += 1;
            partitions.iter().for_each(|(partition, behind)| ping(&log, *partition, second - behind));
            condition()
        });
    });
    run.interrupt();
}

#[test]
fn a_partition_that_is_paused_is_named_until_it_goes_on() {
    delivering(|address, deliver| {
        let both = [(0, 0), (1, 0)];
        let nothing = || why(address)["ready"] == true && why(address)["cause"].is_null();
        deliver("nothing holds it back", &both, &nothing);
        let answer = RefCell::default();
        deliver("the paused one is named", &both[..1], &|| is_named(address, "silent", &answer));
        let answer = answer.into_inner();
        assert!(
            sentence(&answer).starts_with("Gps/1 holds the horizon back: it has delivered nothing for"),
            "{answer}"
        );
        let holder = &answer["horizon"]["holders"][0];
        assert_eq!((&holder["partition"], &holder["reason"]), (&json!("gps/1"), &json!("silent")));
        assert!(holder["seconds"].as_f64() >= Some(5.0) && answer["cause"]["part"] == "horizon", "{answer}");
        assert_eq!(endpoints::ask(address, "/readyz").1, 200, "a horizon that is held makes nobody unready");
        deliver("it goes on", &both, &nothing);
    });
}

#[test]
fn a_partition_with_a_slow_clock_is_named() {
    delivering(|address, deliver| {
        let answer = RefCell::default();
        deliver("it is named", &[(0, 0), (1, 0), (2, 1200)], &|| is_named(address, "slow", &answer));
        let answer = answer.into_inner();
        assert!(sentence(&answer).starts_with("Gps/2 holds the horizon back: it delivers with a clock"), "{answer}");
    });
}

#[test]
fn a_process_that_waits_is_named_and_a_peer_that_is_frozen() {
    let log = JsonLog::new();
    log.minute(0, 50);
    let plan = log.plan().without("listen");
    let addresses = [endpoints::fresh_address(), endpoints::fresh_address()];
    let mut run = Cluster::listening(&plan, &addresses);
    run.signal(0, "STOP");
    assert_eq!(names(&addresses[1], "meeting")["ready"], false);
    run.signal(0, "CONT");
    addresses.iter().for_each(|address| names_nothing(address));
    let (text, status) = endpoints::ask(&addresses[1], "/");
    assert!(status == 200 && text.starts_with("This is process 1 of 2. The page is served by process 0"), "{text}");
    run.signal(1, "STOP");
    let answer = names(&addresses[0], "peer_silent");
    assert!(sentence(&answer).starts_with("Process 1 has given no sign of life for"), "{answer}");
    run.signal(1, "CONT");
    names_nothing(&addresses[0]);
    run.interrupt();
}

#[test]
fn a_store_that_refuses_one_that_does_not_answer_and_a_spent_budget_are_named() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "why", 1);
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 1, ..Shape::mixed() });
    let mut next = 0;
    let mut produce = |records: i64| {
        topics.produce((next..next + records).map(|n| made.next(1_790_000_000_000 + n * 20)));
        next += records;
    };
    produce(100);
    let ((mut proxy, endpoint), address) = (faulty_s3(&servers), endpoints::fresh_address());
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("s3-endpoint", &endpoint).flag("listen", &address);
    let plan = plan.flag("memory", "1MiB");
    let run = plan.start(1, 1);
    wait_until("a first commit", SOON, || plan.lake().read() == 100);
    names_nothing(&address);
    proxy.say("refuse 1000000");
    produce(100);
    let answer = names(&address, "store");
    assert!(answer["commit"]["store"]["error"].as_str().is_some_and(|error| !error.is_empty()), "{answer}");
    proxy.say("refuse none");
    wait_until("it is committed", SOON, || plan.lake().read() == 200);
    names_nothing(&address);
    proxy.say("hold");
    produce(30_000);
    while !proxy.hear().starts_with("held ") {}
    let answer = names(&address, "commit");
    assert!(sentence(&answer).contains("on its way to the store"), "{answer}");
    wait_until("and what it brings with it", SOON, || {
        let answer = why(&address);
        let chain = answer["chain"].as_array().expect("a chain").iter();
        chain.map(|cause| &cause["name"]).collect::<Vec<_>>().starts_with(&[&json!("commit"), &json!("memory")])
    });
    assert_eq!(why(&address)["reading"]["state"], "paused");
    proxy.say("release");
    wait_until("all is committed", SOON, || plan.lake().read() == 30_200);
    names_nothing(&address);
    run.interrupt();
}

#[test]
fn a_broker_that_is_away_is_named() {
    let Some(servers) = Servers::find() else { return };
    let kafka = ProxiedKafka::start(&servers);
    let address = endpoints::fresh_address();
    let (_, plan) = kafka.plan(&servers, "why-away", 1);
    let plan = plan.flag("listen", &address).kafka_setting("socket.timeout.ms", "1500");
    let run = plan.start(1, 1);
    names_nothing(&address);
    kafka.cut();
    let answer = names(&address, "source");
    assert!(sentence(&answer).starts_with("The source does not answer: for"), "{answer}");
    assert_eq!(answer["cause"]["part"], "reading");
    kafka.mend();
    names_nothing(&address);
    run.interrupt();
}

#[test]
fn a_state_at_its_bound_is_named() {
    let (log, address) = (JsonLog::new(), endpoints::fresh_address());
    pings(&log, 40_000);
    let plan = log.plan().flag("listen", &address).flag("state-memory", "1MiB");
    let run = plan.start(1, 1);
    let answer = names(&address, "state");
    assert!(sentence(&answer).contains("--state-memory is 1.0 MiB"), "{answer}");
    assert_eq!(answer["reading"]["state"], "the partitions furthest behind only");
    run.interrupt();
}

/// A reference that comes late to a cell with many pings: they are all corrected before their epoch is derived. The process
/// stands still for two thirds of the time, so that this takes long on a fast machine, too.
#[test]
fn an_operator_that_takes_long_is_named_with_its_worker_and_history_tells_of_it() {
    const MANY: u64 = 600_000;
    let (log, address) = (JsonLog::new(), endpoints::fresh_address());
    pings(&log, MANY);
    let plan = log.plan().flag("listen", &address);
    let mut run = plan.start(1, 1);
    wait_until("all is committed", 2 * SOON, || plan.lake().read() == MANY);
    names_nothing(&address);
    let mut late = record("late", "sensor", 0.0);
    late["currentSpeed"] = json!(10.0);
    log.append("traffic", 0, 590.0, &late);
    let mut seen = Vec::new();
    wait_until("the operator is at it", SOON, || {
        run.signal(0, "STOP");
        std::thread::sleep(Duration::from_millis(200));
        run.signal(0, "CONT");
        let answer = why(&address);
        let at_work = answer["frontier"]["at_work"].as_array().expect("a list").iter();
        let is_it = at_work.clone().any(|it| it["operator"] == "enriched_pings" && it["worker"] == 0);
        if is_it {
            seen.push(answer);
        }
        seen.last().is_some_and(|answer| answer["cause"]["name"] == "operator")
    });
    let sentence = sentence(seen.last().expect("it was seen"));
    assert!(sentence.contains(": `enriched_pings` of worker 0 is at it"), "{sentence}");
    names_nothing(&address);
    let mut history = Value::Null;
    wait_until("history tells of it", SOON, || {
        history = serde_json::from_str(&endpoints::ask(&address, "/api/history?bin=5s").0).expect("a history");
        total(&history["corrections"]) > 0.99 * MANY as f64
    });
    let read: f64 = total(&history["records"]["gps"]);
    assert!((read / MANY as f64 - 1.0).abs() < 0.2, "{read}: {history}");
    assert!(history["busy"]["0"].as_array().is_some_and(|busy| !busy.is_empty()), "{history}");
    run.interrupt();
}

/// What the rates of bins of five seconds add up to.
fn total(rates: &Value) -> f64 {
    rates.as_array().expect("a list").iter().filter_map(Value::as_f64).sum::<f64>() * 5.0
}

/// Pings of ten minutes at one place.
pub(crate) fn pings(log: &JsonLog, many: u64) {
    let mut lines = String::new();
    for n in 0..many {
        let second = 590.0 * n as f64 / many as f64;
        let ts = JsonLog::START * 1000 + (second * 1000.0) as i64;
        let value = record(&n.to_string(), &format!("bus-{}", n % 500), second);
        let _ = writeln!(lines, "{}", json!({"ts": ts, "key": null, "value": value}));
    }
    log.lines("gps", 0, &lines);
}
