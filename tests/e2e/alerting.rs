//! A1: alerts while runs are killed and a webhook is down: what the commits say is told, all of it, and nothing else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use serde_json::Value;

use super::live::start;
use crate::common::{Plan, Rng, Servers, Topics, endpoints, files, sized, wait_until};

const SOON: Duration = Duration::from_secs(90);
const SECRET: &str = "a secret of this test";
const DECLARED: &str = "
[views.moving]
kind = \"vehicles\"
area = { type = \"Polygon\", coordinates = [[[-1.3, 51.8], [-0.9, 51.8], [-0.9, 52.2], [-1.3, 52.2], [-1.3, 51.8]]] }

[alerts.fast]
ready = \"overspeed\"
at_least = 70
until_below = 60

[alerts.jam]
ready = \"congestion\"
at_least = 1
for = \"2m\"

[alerts.fence]
ready = \"geofence\"
view = \"moving\"

[alerts.waiting]
ready = \"no-response\"
for = \"1m\"
";

/// What was told, in order: id and message.
type Told = Vec<(String, Value)>;

/// Somebody who takes posts, or does not.
struct Listener {
    address: String,
    is_down: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<(String, String)>>>,
    refused: Arc<Mutex<usize>>,
}

impl Listener {
    fn begin() -> Listener {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("an address").to_string();
        let is_down = Arc::new(AtomicBool::new(true));
        let (taken, refused) = (Arc::default(), Arc::default());
        let listener = Listener { address, is_down, taken, refused };
        let (down, taken, refused) =
            (Arc::clone(&listener.is_down), Arc::clone(&listener.taken), Arc::clone(&listener.refused));
        std::thread::spawn(move || {
            for stream in server.incoming().flatten() {
                // Who is killed says nothing, or half of it.
                let Some((signature, body)) = post(&stream) else { continue };
                let status = if down.load(Ordering::Relaxed) {
                    *refused.lock().expect("a count") += 1;
                    "503 Service Unavailable"
                } else {
                    taken.lock().expect("a list").push((signature, body));
                    "204 No Content"
                };
                let _ = write!(&stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            }
        });
        listener
    }

    fn told(&self) -> Told {
        let taken = self.taken.lock().expect("a list");
        taken.iter().map(|(_, body)| message(body)).collect()
    }
}

/// The signature and the body of a request.
fn post(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let (mut signature, mut length, mut line) = (String::new(), 0, String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        let (name, value) = line.trim().split_once(": ").unwrap_or_default();
        match name {
            "x-citystream-signature" => signature = value.to_owned(),
            "content-length" => length = value.parse().expect("a length"),
            _ => {}
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    (length > 0).then(|| (signature, String::from_utf8(body).expect("text")))
}

fn message(text: &str) -> (String, Value) {
    let value: Value = serde_json::from_str(text).expect("JSON");
    (value["id"].as_str().expect("an id").to_owned(), value)
}

fn in_file(path: &Path) -> Told {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(message).collect()
}

/// What the commits say, by id.
fn decided(plan: &Plan) -> BTreeMap<String, Value> {
    let mut decided = BTreeMap::new();
    let folder = Path::new(plan.lake().place()).join("commits");
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    // A commit has another name while it is being written.
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "json")) {
        let Ok(commit) = serde_json::from_slice::<Value>(&std::fs::read(path).unwrap_or_default()) else {
            continue;
        };
        for event in commit["alerts"].as_array().into_iter().flatten() {
            if ["raised", "cleared"].contains(&event["phase"].as_str().expect("a phase")) {
                let text = |field: &str| event[field].as_str().expect("a text");
                let id = format!("{}/{}/{}", text("alert"), text("key"), commit["seq"]);
                assert!(decided.insert(id, event.clone()).is_none(), "twice in a commit");
            }
        }
    }
    decided
}

/// Nothing but what was decided was told, and all of what was settled when there was time for it; what was told twice was told in the same words; of each alert the steps are in order.
fn check(told: &Told, decided: &BTreeMap<String, Value>, settled: &BTreeMap<String, Value>, what: &str) {
    let mut by_id: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut last: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for (id, message) in told {
        if let Some(before) = by_id.insert(id, message) {
            assert_eq!(before, message, "{what}: {id} was told in other words");
            continue;
        }
        let event = decided.get(id).unwrap_or_else(|| panic!("{what}: {id} was told and is in no commit"));
        assert_eq!(
            (&message["state"], &message["key"], &message["value"]),
            (&event["phase"], &event["key"], &event["value"])
        );
        let name = format!("{}/{}", message["alert"], message["key"]);
        let step = (message["seq"].as_u64().expect("a number"), message["state"].to_string());
        if let Some(before) = last.insert(name.clone(), step.clone()) {
            assert!(before.0 < step.0 && before.1 != step.1, "{what}: {name}: {before:?}, then {step:?}");
        }
    }
    let missing: Vec<&String> = settled.keys().filter(|id| !by_id.contains_key(id.as_str())).collect();
    assert!(missing.is_empty(), "{what}: never told: {missing:?}");
}

fn more(plan: &Plan, log: &Path, seed: &str) {
    let flags =
        ["--vehicles", "150", "--records", "15000", "--incidents", "60", "--out-of-order", "0.1", "--seed", seed];
    assert!(files::simulate(plan, log, &flags).wait().expect("the simulator ends").success());
}

#[test]
fn none_is_lost_or_told_otherwise_when_runs_are_killed_and_the_webhook_is_down() {
    let mut random = Rng::from_environment();
    let seed = random.below(1_000_000).to_string();
    let folder = tempfile::TempDir::new().expect("a folder");
    let (log, webhook) = (folder.path().join("log"), Listener::begin());
    let told = folder.path().join("alerts.jsonl");
    let plan = Plan::files(&log).flag("live", "on").flag("epoch", "50ms").flag("commit-interval", "100ms");
    let plan = plan.flag("alert-log", &told.display().to_string()).flag("idle", "1h");
    let plan = plan.flag("alert-webhook", &format!("http://{}/alerts", webhook.address));
    let plan = plan.variable("CITYSTREAM_ALERT_SECRET", SECRET);
    std::fs::write(plan.dir().join("citystream.toml"), DECLARED).expect("settings");
    let kills = sized(6, 30);
    for kill in 0..kills {
        more(&plan, &log, &seed);
        let address = endpoints::fresh_address();
        let mut run = start(&plan, &address, 1 + kill % 2, 1);
        let before = decided(&plan).len();
        wait_until("alerts are decided", SOON, || decided(&plan).len() > before);
        std::thread::sleep(Duration::from_millis(random.below(600)));
        run.signal_all("KILL");
        drop(run);
        webhook.is_down.store(kill + 2 < kills, Ordering::Relaxed);
    }
    webhook.is_down.store(true, Ordering::Relaxed);
    let address = endpoints::fresh_address();
    let run = start(&plan, &address, 1, 2);
    // The run goes on, and decides, while the webhook is down.
    let refused = || *webhook.refused.lock().expect("a count");
    let (until, before) =
        (Instant::now() + sized(Duration::ZERO, Duration::from_secs(600)), (decided(&plan).len(), refused()));
    loop {
        more(&plan, &log, &seed);
        wait_until("it decides, and is refused", SOON, || decided(&plan).len() > before.0 && refused() > before.1);
        if Instant::now() >= until {
            break;
        }
        std::thread::sleep(Duration::from_secs(20));
    }
    webhook.is_down.store(false, Ordering::Relaxed);
    let mut last = 0;
    wait_until("all is decided and told", SOON, || {
        let decided = decided(&plan);
        let is_told = |told: Told| decided.keys().all(|id| told.iter().any(|(of, _)| of == id));
        std::thread::sleep(Duration::from_secs(1));
        std::mem::replace(&mut last, decided.len()) == decided.len()
            && is_told(webhook.told())
            && is_told(in_file(&told))
    });
    let mut settled = decided(&plan);
    wait_until("what is open is what the commits leave open", SOON, || {
        let open: Value = serde_json::from_str(&endpoints::ask(&address, "/api/alerts").0).unwrap_or_default();
        let raised = settled.values().filter(|event| event["phase"] == "raised").count();
        let is_same = open["raised"].as_array().map(Vec::len) == Some(2 * raised - settled.len());
        if !is_same {
            settled = decided(&plan);
        }
        is_same
    });
    let is_told = |told: Told| settled.keys().all(|id| told.iter().any(|(of, _)| of == id));
    wait_until("that is told", SOON, || is_told(webhook.told()) && is_told(in_file(&told)));
    run.interrupt();
    let decided = decided(&plan);
    let of = |alert: &str| decided.values().filter(|event| event["alert"] == alert).count();
    println!("{} alerts: {:?}", decided.len(), ["fast", "jam", "fence", "waiting"].map(of));
    assert!(["fast", "jam", "fence", "waiting"].iter().all(|alert| of(alert) > 2));
    check(&in_file(&told), &decided, &settled, "the file");
    check(&webhook.told(), &decided, &settled, "the webhook");
    assert!(*webhook.refused.lock().expect("a count") > 3, "it was down");
    let (signature, body) = webhook.taken.lock().expect("a list").last().cloned().expect("a post");
    assert_eq!(signature, format!("sha256={}", hmac(&body)));
}

/// As somebody else makes it.
fn hmac(body: &str) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-hmac", SECRET, "-r"]);
    let mut openssl =
        openssl.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().expect("openssl");
    openssl.stdin.take().expect("a pipe").write_all(body.as_bytes()).expect("a body");
    let made = openssl.wait_with_output().expect("openssl");
    String::from_utf8_lossy(&made.stdout).split_whitespace().next().unwrap_or_default().to_owned()
}

/// All messages of a topic, in the order of their partitions.
fn in_topic(bootstrap: &str, topic: &str, count: usize) -> Told {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("group.id", "none").create().expect("a consumer");
    let mut assigned = TopicPartitionList::new();
    for partition in 0..2 {
        assigned.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&assigned).expect("an assignment");
    let (mut told, end) = (Told::new(), Instant::now() + SOON);
    // A little longer: there may be more than are expected.
    while told.len() < count && Instant::now() < end {
        let polled = consumer.poll(Duration::from_secs(1)).map(|polled| polled.expect("a message"));
        let text = polled.and_then(|it| Some(String::from_utf8_lossy(it.payload()?).into_owned()));
        told.extend(text.map(|text| message(&text)));
    }
    while let Some(more) = consumer.poll(Duration::from_secs(2)) {
        told.push(message(&String::from_utf8_lossy(more.expect("a message").payload().expect("a body"))));
    }
    told
}

#[test]
fn a_topic_is_told_of_alerts() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "alerting", 2);
    let topic = topics.names()[0].clone();
    let folder = tempfile::TempDir::new().expect("a folder");
    let plan = Plan::files(folder.path()).flag("live", "on").flag("epoch", "50ms").flag("commit-interval", "100ms");
    let plan = plan.flag("bootstrap-servers", topics.bootstrap()).flag("alert-topic", &topic).flag("idle", "1h");
    std::fs::write(plan.dir().join("citystream.toml"), DECLARED).expect("settings");
    let mut settled = BTreeMap::new();
    for kill in [true, false] {
        more(&plan, folder.path(), "3");
        let address = endpoints::fresh_address();
        let mut run = start(&plan, &address, 1, 1);
        let before = decided(&plan).len();
        wait_until("alerts are decided", SOON, || decided(&plan).len() > before);
        if kill {
            run.signal_all("KILL");
            continue;
        }
        let mut last = 0;
        wait_until("all is decided and told", SOON, || {
            settled = decided(&plan);
            let told = in_topic(topics.bootstrap(), &topic, settled.len());
            let is_told = settled.keys().all(|id| told.iter().any(|(of, _)| of == id));
            std::mem::replace(&mut last, settled.len()) == settled.len() && is_told
        });
        run.interrupt();
    }
    let decided = decided(&plan);
    let told = in_topic(topics.bootstrap(), &topic, decided.len());
    println!("{} alerts, {} messages", decided.len(), told.len());
    check(&told, &decided, &settled, "the topic");
}

#[test]
fn silence_is_told_by_the_clock_and_so_is_its_end() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let (log, told) = (folder.path().join("log"), folder.path().join("alerts.jsonl"));
    let plan = Plan::files(&log).flag("live", "on").flag("epoch", "50ms").flag("commit-interval", "100ms");
    let plan = plan.flag("alert-log", &told.display().to_string());
    let declared = "[alerts.quiet]\nready = \"topic-silent\"\ntopic = \"gps\"\nsilent_for = \"3s\"\n\
                    [alerts.lost]\nready = \"vehicle-silent\"\nsilent_for = \"3s\"\n";
    std::fs::write(plan.dir().join("citystream.toml"), declared).expect("settings");
    more(&plan, &log, "3");
    let run = start(&plan, &endpoints::fresh_address(), 1, 1);
    let states = |alert: &str, state: &str| {
        let all = in_file(&told);
        all.iter().filter(|(_, it)| it["alert"] == alert && it["state"] == state && it["by"] == "the clock").count()
    };
    // On a slow machine they may be silent for so long, and back, before all is read.
    let open = |alert: &str| states(alert, "raised") - states(alert, "cleared");
    wait_until("nothing is heard", SOON, || open("quiet") == 1 && open("lost") > 100);
    let before = (states("quiet", "cleared"), states("lost", "cleared"));
    more(&plan, &log, "3");
    let is_back = |alert: &str, before: usize, least: usize| states(alert, "cleared") >= before + least;
    wait_until("they are back", SOON, || is_back("quiet", before.0, 1) && is_back("lost", before.1, 100));
    run.interrupt();
}
