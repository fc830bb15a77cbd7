//! An alert fires when its fault is there: the faults that can be provoked in seconds are, and the rules are evaluated by
//! Prometheus's own tool (with `--full`) on what the run tells before and meanwhile; the others on made-up series.

use std::path::PathBuf;
use std::time::Duration;

use xtask::Stack;

use crate::common::cluster::send;
use crate::common::faults::{ProxiedKafka, faulty_s3};
use crate::common::json_log::JsonLog;
use crate::common::launched::Launched;
use crate::common::python;
use crate::common::{Cluster, Generator, Plan, Rng, Servers, Shape, Topics, endpoints, wait_until};

const SOON: Duration = Duration::from_secs(60);
const START: i64 = 1_790_000_000_000;

/// The tool, where it is provisioned: with `--full` it must be.
fn promtool() -> Option<String> {
    let tool = Stack::locate().expect("the stack folder").bin("promtool");
    let is_there = tool.exists();
    assert!(is_there || std::env::var_os("CITYSTREAM_FULL").is_none(), "promtool is not provisioned");
    is_there.then(|| tool.display().to_string())
}

/// What a run told at three moments: all is well; the fault is there; it is there still.
struct Told<'a> {
    plan: &'a Plan,
    address: String,
    pages: Vec<PathBuf>,
}

impl Told<'_> {
    fn before<'a>(plan: &'a Plan, address: &str) -> Told<'a> {
        let mut told = Told { plan, address: address.to_owned(), pages: Vec::new() };
        told.look();
        told
    }

    fn look(&mut self) {
        let page = self.plan.fresh_path("metrics");
        std::fs::write(&page, endpoints::ask(&self.address, "/metrics").0).expect("a page");
        self.pages.push(page);
    }

    /// What the sample of the last page says.
    fn sample(&self, name: &str) -> f64 {
        let page = std::fs::read_to_string(self.pages.last().expect("a page")).expect("a page");
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    /// The fault is there: looks twice, and evaluates the rules of these alerts.
    fn fires(&mut self, alerts: &[&str]) {
        self.pages.truncate(1);
        self.look();
        std::thread::sleep(Duration::from_secs(4));
        self.look();
        self.evaluate(alerts);
    }

    /// Evaluates the rules of these alerts on the three pages.
    fn evaluate(&self, alerts: &[&str]) {
        let Some(promtool) = promtool() else { return };
        for alert in alerts {
            let pages = self.pages.iter().map(|page| page.to_str().expect("a path"));
            let words: Vec<&str> = [promtool.as_str(), alert].into_iter().chain(pages).collect();
            println!("{alert}: {}", python::run("alerts.py", &words).trim_end());
        }
    }
}

#[test]
fn every_alert_fires_and_is_quiet_before_on_made_up_series() {
    if !python::available() {
        return;
    }
    let Some(promtool) = promtool() else { return };
    println!("{}", python::run("alerts.py", &[&promtool]));
}

#[test]
fn a_peer_that_is_frozen_is_an_alert() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = log.plan().without("listen");
    let addresses = [endpoints::fresh_address(), endpoints::fresh_address()];
    let mut run = Cluster::listening(&plan, &addresses);
    wait_until("it is ready", SOON, || endpoints::ask(&addresses[0], "/readyz").1 == 200);
    let mut told = Told::before(&plan, &addresses[0]);
    assert_eq!([told.sample("citystream_ready"), told.sample("citystream_peers")], [1.0, 1.0]);
    assert!(told.sample("citystream_exchange_sent_bytes_total{process=\"1\"}") > 0.0);
    run.signal(1, "STOP");
    wait_until("it is not ready", SOON, || endpoints::ask(&addresses[0], "/readyz").1 == 503);
    // Twice, before it is lost, and so is who tells of it.
    told.look();
    std::thread::sleep(Duration::from_secs(1));
    told.look();
    assert_eq!(told.sample("citystream_ready"), 0.0);
    assert!(told.sample("citystream_peer_silence_seconds{process=\"1\"}") >= 5.0);
    run.signal(1, "CONT");
    told.evaluate(&["CitystreamNotReady"]);
    run.interrupt();
}

#[test]
fn a_process_that_is_lost_again_and_again_is_an_alert() {
    if !python::available() {
        return;
    }
    let (log, address) = (JsonLog::new(), endpoints::fresh_address());
    log.minute(0, 50);
    let plan = log.plan().flag("listen", &address);
    let mut launched = Launched::start(&plan, 1, &["--log-format", "json"]);
    let restarts = || endpoints::metric(&address, "citystream_restarts_total");
    wait_until("it runs", SOON, || restarts() == Some(0));
    let mut told = Told::before(&plan, &address);
    for times in 1..=3 {
        send(launched.children()[0], "KILL");
        launched.wait_for("all start again");
        wait_until("it runs again", SOON, || restarts() == Some(times));
        told.look();
    }
    told.pages.remove(2);
    told.evaluate(&["CitystreamRestarts"]);
    assert_eq!(told.sample("citystream_restarts_total"), 3.0);
    send(launched.process.id(), "TERM");
    assert_eq!(launched.end().0, Some(0));
}

#[test]
fn a_store_that_refuses_and_delta_logs_that_are_behind_are_alerts() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "alerts", 1);
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 1, ..Shape::mixed() });
    let mut produce = |records: i64| topics.produce((0..records).map(|_| made.next(START)));
    produce(100);
    let ((mut failing, endpoint), address) = (faulty_s3(&servers), endpoints::fresh_address());
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("s3-endpoint", &endpoint).flag("listen", &address);
    let run = plan.start(1, 1);
    let lake = plan.lake();
    wait_until("a first commit", SOON, || lake.read() == 100);
    let mut told = Told::before(&plan, &address);
    assert_eq!(told.sample("citystream_store_errors_total{operation=\"put\"}"), 0.0);
    failing.say("refuse 1000000");
    produce(100);
    wait_until("somebody waits for the store", SOON, || endpoints::ask(&address, "/readyz").0.contains("store"));
    told.fires(&["CitystreamNotReady", "CitystreamStoreFails", "CitystreamHeldBack"]);
    assert!(told.sample("citystream_store_errors_total{operation=\"put\"}") > 0.0);
    assert!(told.sample("citystream_backpressure_seconds_total{cause=\"store\"}") > 3.0);
    assert!(told.sample("citystream_store_retries_total") > 0.0);
    failing.say("refuse none");
    wait_until("it is ready again", SOON, || lake.read() == 200 && endpoints::ask(&address, "/readyz").1 == 200);
    failing.say("logs 1000000");
    for round in 3..=5 {
        produce(100);
        wait_until("another commit", SOON, || lake.read() == round * 100);
    }
    wait_until("the lag is told", SOON, || endpoints::metric(&address, "citystream_delta_lag_commits") > Some(2));
    told.fires(&["CitystreamDeltaBehind"]);
    failing.say("logs none");
    wait_until("all are there", SOON, || endpoints::metric(&address, "citystream_delta_lag_commits") == Some(0));
    run.interrupt();
    plan.verify();
}

#[test]
fn a_broker_that_is_away_is_an_alert() {
    let Some(servers) = Servers::find() else { return };
    let kafka = ProxiedKafka::start(&servers);
    let address = endpoints::fresh_address();
    let (_, plan) = kafka.plan(&servers, "alert-away", 1);
    let plan = plan.flag("listen", &address).kafka_setting("socket.timeout.ms", "1500");
    let run = plan.start(1, 1);
    wait_until("it is ready", SOON, || endpoints::ask(&address, "/readyz").1 == 200);
    let mut told = Told::before(&plan, &address);
    let down = "citystream_kafka_errors_total{code=\"AllBrokersDown\"}";
    assert_eq!(told.sample(down), 0.0);
    kafka.cut();
    wait_until("it is told", SOON, || {
        told.look();
        told.sample(down) > 0.0
    });
    // Between two pages there is one more.
    let seen = told.sample(down);
    told.pages.truncate(1);
    told.look();
    wait_until("it is told again", SOON, || {
        told.pages.truncate(2);
        told.look();
        told.sample(down) > seen
    });
    wait_until("it connects again", SOON, || {
        endpoints::metric(&address, "citystream_kafka_reconnects_total") > Some(0)
    });
    told.evaluate(&["CitystreamKafkaAway"]);
    kafka.mend();
    run.interrupt();
}

#[test]
fn records_that_cannot_be_read_are_an_alert() {
    if !python::available() {
        return;
    }
    let (log, address) = (JsonLog::new(), endpoints::fresh_address());
    log.minute(0, 200);
    let plan = log.plan().flag("listen", &address).flag("commit-interval", "500ms");
    let run = plan.start(1, 1);
    wait_until("a first commit", SOON, || plan.lake().read() == 1000);
    let mut told = Told::before(&plan, &address);
    told.look();
    std::thread::sleep(Duration::from_secs(2));
    for second in 0..100 {
        log.append("gps", 0, f64::from(60 + second), &serde_json::json!("no record"));
    }
    wait_until("all is committed", SOON, || plan.lake().read() == 1100);
    told.look();
    assert_eq!(told.sample("citystream_dead_letters_total{reason=\"wrong_type\"}"), 100.0);
    told.evaluate(&["CitystreamManyDeadLetters"]);
    run.interrupt();
}
