//! `citystream feed` as a process, against a server that answers as the three APIs do. No other server is needed.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use serde_json::Value;
use tempfile::TempDir;

/// Stands in requests, and must stand nowhere else.
const KEY: &str = "0123456789abcdef";

const STATIONS: &str = "id,kind,lat,lon\nM40-J9,camera,51.8794,-1.1710\nOxford,weather,51.7520,-1.2577\n\
                        Oxford,services,51.7520,-1.2577\n";
const WEATHER: &str = r#"{"weather": [{"main": "Rain"}], "main": {"temp": 7.4, "pressure": 1009, "humidity": 87},
                         "wind": {"speed": 5.6}, "rain": {"1h": 0.8}}"#;
const TRAFFIC: &str = r#"{"flowSegmentData": {"currentSpeed": 31, "freeFlowSpeed": 96, "confidence": 0.93,
                         "roadClosure": false}}"#;
const SERVICES: &str = r#"{"elements": [{"tags": {"amenity": "hospital"}}, {"tags": {"amenity": "police"}}]}"#;

/// A server on the loopback address, and how often it was asked.
struct Apis {
    address: String,
    asked: Arc<AtomicU32>,
    _runtime: tokio::runtime::Runtime,
}

impl Apis {
    fn start() -> Self {
        Self::answering_after(Duration::ZERO)
    }

    fn answering_after(pause: Duration) -> Self {
        let asked = Arc::new(AtomicU32::new(0));
        let answer = |text: &'static str| {
            let asked = Arc::clone(&asked);
            move || async move {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause).await;
                text
            }
        };
        let routes = Router::new()
            .route("/data/2.5/weather", get(answer(WEATHER)))
            .route("/traffic/services/4/flowSegmentData/absolute/10/json", get(answer(TRAFFIC)))
            .route("/api/interpreter", post(answer(SERVICES)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Apis { address, asked, _runtime: runtime }
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A directory of its own, and what is done in it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("stations.csv"), STATIONS).unwrap();
        Place { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_citystream"));
        command.current_dir(self.path()).args(args);
        command.env("OPENWEATHER_API_KEY", KEY).env("TOMTOM_API_KEY", KEY).env("CITYSTREAM_LOG", "trace");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn feed(&self, endpoint: &str, args: &[&str]) -> Command {
        let mut command = self.command(&["feed", "--places", "stations.csv"]);
        for api in ["--openweather-endpoint", "--tomtom-endpoint", "--overpass-endpoint"] {
            command.args([api, endpoint]);
        }
        command.args(args);
        command
    }

    /// All lines of the log in `city`, in no order.
    fn records(&self) -> Vec<Value> {
        let files = ["traffic_data", "weather_data", "emergency_data"];
        let text =
            |topic: &&str| std::fs::read_to_string(self.path().join("city").join(topic).join("0.jsonl")).unwrap();
        let lines: Vec<Value> = files
            .iter()
            .flat_map(|t| text(t).lines().map(|l| serde_json::from_str(l).unwrap()).collect::<Vec<_>>())
            .collect();
        lines.into_iter().filter_map(|line: Value| line.get("value").cloned()).collect()
    }
}

/// What a command has printed, once it has ended well. The key stands nowhere in it.
fn done(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{err}");
    assert!(!format!("{out}{err}").contains(KEY), "the key is in the output: {out}{err}");
    output
}

fn json(output: &[u8]) -> Value {
    serde_json::from_slice(output).unwrap()
}

#[test]
fn live_values_reach_a_lake_and_nothing_of_them_is_a_dead_letter() {
    let (apis, place) = (Apis::start(), Place::new());
    let account = json(&done(place.feed(&apis.address, &["--to", "dir:city", "--once", "--json"])).stdout);
    for kind in ["camera", "weather", "services"] {
        assert_eq!(account["stations"][kind]["live"], 1, "{account}");
    }
    assert_eq!((apis.asked(), &account["feeds"][1]["left"]), (3, &Value::from(2399)));
    let records = place.records();
    let of = |field: &str| records.iter().find(|record| record.get(field).is_some()).unwrap().clone();
    assert!(records.iter().all(|record| record["source"] == "live"), "{records:?}");
    let (traffic, weather, services) = (of("trafficLevel"), of("temperature"), of("hasIncident"));
    assert_eq!((&traffic["trafficLevel"], &traffic["currentSpeed"]), (&"HEAVY".into(), &31.0.into()));
    assert_eq!((&traffic["cameraId"], &traffic["location"]), (&"M40-J9".into(), &"(51.879400, -1.171000)".into()));
    assert_eq!((&weather["weatherCondition"], &weather["precipitation"]), (&"Rain".into(), &0.8.into()));
    assert_eq!((&weather["airQualityIndex"], &weather["visibility"]), (&Value::Null, &Value::Null));
    assert_eq!((&services["nearbyServices"], &services["hasIncident"]), (&2.into(), &false.into()));

    done(place.command(&["run", "--source", "dir:city", "--lake", "lake", "--until-drained", "--listen", "none"]));
    done(place.command(&["lake", "verify", "--lake", "lake"]));
    let (mut read, mut dead) = (0, 0);
    for commit in std::fs::read_dir(place.path().join("lake/commits")).unwrap() {
        for ledger in json(&std::fs::read(commit.unwrap().path()).unwrap())["ledger"].as_object().unwrap().values() {
            read += ledger["read"].as_u64().unwrap();
            dead += ledger["dead"].as_u64().unwrap();
        }
    }
    assert_eq!((read, dead), (3, 0));
}

#[test]
fn without_an_api_records_are_made_up_or_left_out() {
    let place = Place::new();
    let nobody = "http://127.0.0.1:1";
    let account = json(&done(place.feed(nobody, &["--to", "dir:city", "--once", "--json"])).stdout);
    assert_eq!(account["stations"]["weather"]["synthetic"], 1, "{account}");
    assert_eq!(account["feeds"][0]["failures"]["down"], 1, "{account}");
    let records = place.records();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record["source"] == "synthetic"), "{records:?}");
    let account = json(&done(place.feed(nobody, &["--to", "dir:city", "--once", "--json", "--no-synthetic"])).stdout);
    assert_eq!((&account["records"], &account["stations"]["camera"]["left_out"]), (&0.into(), &1.into()));
    assert_eq!(place.records().len(), 3);
}

#[test]
fn a_restart_begins_no_new_quota() {
    let (apis, place) = (Apis::start(), Place::new());
    let limits =
        ["--to", "-", "--once", "--tomtom-per-day", "1", "--openweather-per-day", "1", "--overpass-per-day", "1"];
    for sources in ["live", "synthetic", "synthetic"] {
        let lines = String::from_utf8(done(place.feed(&apis.address, &limits)).stdout).unwrap();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3, "standard output holds the records alone");
        assert!(lines.iter().all(|line| line["value"]["source"] == sources), "{lines:?}");
        assert_eq!((&lines[1]["topic"], &lines[1]["key"]), (&"weather_data".into(), &"Oxford".into()));
    }
    assert_eq!(apis.asked(), 3);
}

#[test]
fn a_signal_ends_it_in_order() {
    let (apis, place) = (Apis::start(), Place::new());
    let mut feed = place.feed(&apis.address, &["--to", "-", "--interval", "1s"]).spawn().unwrap();
    let errors = BufReader::new(feed.stderr.take().unwrap());
    // Read to its end, so that the program is never held up by its own log.
    let rest = std::thread::spawn(move || errors.lines().map_while(Result::ok).collect::<Vec<_>>().join("\n"));
    let mut records = BufReader::new(feed.stdout.take().unwrap()).lines();
    let seen: Vec<String> = records.by_ref().take(6).map(Result::unwrap).collect();
    assert_eq!(seen.len(), 6, "two rounds");
    let signalled = Command::new("kill").args(["-INT", &feed.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let more = records.count();
    assert_eq!(feed.wait().unwrap().code(), Some(0));
    let said = rest.join().unwrap();
    assert!(said.contains(&format!("{} records in", seen.len() + more)), "{said}");
    assert!(!said.contains(KEY), "{said}");
    assert_eq!(apis.asked(), 3, "what is live is not asked for again");
}

#[test]
fn a_simulation_says_what_is_live_where_its_vehicles_are() {
    // The first records come before the first answers.
    let (apis, place) = (Apis::answering_after(Duration::from_millis(300)), Place::new());
    let flags = ["simulate", "--to", "dir:city", "--partitions", "1", "--vehicles", "3", "--step", "100ms", "--live"];
    // Simulated time passes no faster than answers come.
    let mut simulate = place.command(&flags);
    simulate.args(["--start", "2026-01-05T12:00:00Z", "--time-scale", "1", "--duration", "4s"]);
    for api in ["--openweather-endpoint", "--tomtom-endpoint", "--overpass-endpoint"] {
        simulate.args([api, &apis.address]);
    }
    done(simulate);
    let records = place.records();
    let count =
        |field: &str, source: &str| records.iter().filter(|r| r.get(field).is_some() && r["source"] == source).count();
    for field in ["temperature", "trafficLevel", "hasIncident"] {
        let (live, synthetic) = (count(field, "live"), count(field, "synthetic"));
        assert!(live > synthetic && synthetic > 0, "{field}: {live} live, {synthetic} synthetic");
    }
    let live = |r: &&Value| r["source"] == "live";
    assert!(records.iter().filter(live).all(|r| r.get("temperature").is_none_or(|t| *t == 7.4)));
    assert!(records.iter().filter(live).all(|r| r.get("currentSpeed").is_none_or(|s| *s == 31.0)));
    assert!(apis.asked() < 30, "asked {} times for 3 vehicles", apis.asked());
}

#[test]
fn a_slow_api_does_not_hold_up_a_simulation() {
    // It takes connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (place, address) = (Place::new(), format!("http://{}", silent.local_addr().unwrap()));
    let mut simulate =
        place.command(&["simulate", "--to", "dir:city", "--partitions", "1", "--records", "20000", "--live"]);
    for api in ["--openweather-endpoint", "--tomtom-endpoint", "--overpass-endpoint"] {
        simulate.args([api, &address]);
    }
    simulate.env("CITYSTREAM_LOG", "warn");
    let began = std::time::Instant::now();
    done(simulate);
    // One request of 5 s that is waited for would be seen.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(place.records().iter().all(|record| record["source"] == "synthetic"));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let place = Place::new();
    let says = |stations: &str, args: &[&str], words: &str| {
        std::fs::write(place.path().join("stations.csv"), stations).unwrap();
        let output = place
            .command(&["feed", "--places", "stations.csv"])
            .args(args)
            .env("CITYSTREAM_LOG", "warn")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.lines().count() == 1 && said.contains(words), "{said}");
    };
    says("id,kind,lat,lon\na,radar,1,2\n", &[], "stations.csv: line 2: kind `radar`");
    says("", &[], "no station in it");
    says(STATIONS, &["--to", "s3://x"], "expected kafka, dir:PATH or -");
    says(STATIONS, &["--to", "-", "--interval", "soon"], "expected a time");
    says(STATIONS, &["--to", "-", "--interval", "10ms"], "the shortest is 1s");
    says(STATIONS, &["--to", "-", "--tomtom-endpoint", "tomtom"], "--tomtom-endpoint tomtom: expected an address");
}
