//! The truth about a simulated city against what the tables hold: counts to the record, effects within their interval; and
//! its records against the schema of the original producer's consumers.

use std::path::{Path, PathBuf};

use crate::common::{Plan, Rng, Servers, Topics, files, python, sized};

/// Everything that can go wrong, at once.
const TROUBLE: &str = "--out-of-order=0.05 --delayed=0.05 --late=0.02 --duplicates=0.02 --malformed=0.02 --skewed=0.1 \
                       --ahead=0.08 --bursts=0.05 --silent=0.05 --hot-cell=0.1";

const NO_RUSH: &str = "--rush-town-effect 1 --rush-trunk-effect 1 --rush-motorway-effect 1";

/// A simulation into a folder of its own, read to its end.
struct City {
    folder: tempfile::TempDir,
    plan: Plan,
}

impl City {
    fn new() -> City {
        let folder = tempfile::TempDir::new().expect("a folder");
        let plan = Plan::files(&folder.path().join("log"));
        City { folder, plan }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Simulates with these flags, and gives where the truth is.
    fn simulate(&self, flags: &str) -> PathBuf {
        let truth = self.folder.path().join("truth.json");
        let flags: Vec<&str> = ["--truth", text(&truth)].into_iter().chain(flags.split_whitespace()).collect();
        let ended = files::simulate(&self.plan, &self.log(), &flags).wait().expect("the simulator");
        assert!(ended.success(), "{flags:?}: {ended}");
        truth
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[test]
fn what_was_injected_is_in_the_tables_to_the_record() {
    if !python::available() {
        return;
    }
    let mut rng = Rng::from_environment();
    for (processes, workers) in [(1, 2), (2, 1)] {
        let (city, seed, vehicles) = (City::new(), rng.below(1_000_000), sized(100, 2000));
        println!("seed {seed}");
        let truth = city.simulate(&format!("--seed {seed} --span 3h --vehicles {vehicles} --incidents 20 {TROUBLE}"));
        city.plan.drain(processes, workers);
        let lake = city.plan.lake();
        print!("{}", python::run("../oracle/truth.py", &[lake.place(), text(&truth)]));
        print!("{}", python::run("../oracle/compare.py", &[lake.place()]));
        city.plan.verify();
    }
}

/// One cause at a time, and none at all. The seed is fixed: what an interval holds once, it holds always.
#[test]
fn the_tables_show_the_effects_that_were_configured() {
    if !python::available() {
        return;
    }
    for (of, flags) in [
        ("rain", "--incidents 0"),
        ("incident", "--rain-effect 1 --snow-effect 1 --incidents 25"),
        ("rain,incident", "--rain-effect 1 --snow-effect 1 --incident-effect 1 --incidents 25"),
    ] {
        let (city, vehicles) = (City::new(), sized(400, 3000));
        let truth = city.simulate(&format!("--seed 1 --span 8h --vehicles {vehicles} {NO_RUSH} {flags}"));
        city.plan.drain(1, 2);
        print!("{}", python::run("../oracle/effects.py", &[city.plan.lake().place(), text(&truth), "--of", of]));
    }
}

/// `docs/questions.md`: every query runs as it stands there, and some answers are those found another way. Vehicles report often,
/// so that there is something to say of how they brake.
#[test]
fn the_questions_that_people_ask_have_answers() {
    if !python::available() {
        return;
    }
    let (city, trouble) = (City::new(), "--out-of-order=0.05 --late=0.02 --duplicates=0.02 --malformed=0.02");
    city.simulate(&format!("--seed 1 --span 100m --vehicles 50 --step 2s..8s --incidents 60 {trouble}"));
    city.plan.drain(1, 2);
    let views = city.folder.path().join("lake.sql");
    std::fs::write(&views, city.plan.manage(&["lake", "sql"]).stdout).expect("the views");
    let questions = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/questions.md");
    print!("{}", python::run("questions.py", &[city.plan.lake().place(), text(&views), questions]));
}

#[test]
fn the_schema_of_the_originals_consumers_reads_every_record() {
    if !python::available() {
        return;
    }
    let (city, seed, records) = (City::new(), Rng::from_environment().below(1_000_000), sized(100_000, 2_000_000));
    println!("seed {seed}");
    city.simulate(&format!("--seed {seed} --records {records} --incidents 20"));
    print!("{}", python::run("wire_format.py", &[text(&city.log())]));
}

#[test]
fn the_same_flags_send_the_same_bytes_whatever_the_rate_and_the_threads() {
    let sent = |pace: &str| {
        let city = City::new();
        city.simulate(&format!("--seed 3 --span 40m --vehicles 60 --partitions 1 {TROUBLE} {pace}"));
        let lines = |topic: &str| {
            let file = city.log().join(topic).join("0.jsonl");
            let text = std::fs::read(file).expect("a log");
            // After the header, which has a random id.
            let first = text.iter().position(|byte| *byte == b'\n').expect("a header");
            text[first..].to_vec()
        };
        ["vehicle_data", "gps_data", "traffic_data", "weather_data", "emergency_data"].map(lines)
    };
    let fast = sent("");
    assert!(fast.iter().all(|lines| lines.len() > 100_000));
    assert!(fast == sent("--rate 8000 --threads 3"), "another rate, other bytes");
    assert!(fast == sent("--time-scale 800 --threads 2"), "another time scale, other bytes");
}

#[test]
fn kafka_gets_the_same_records_as_a_directory() {
    let Some(servers) = Servers::find() else { return };
    let (city, topics, seed) =
        (City::new(), Topics::create(&servers, "same", 2), Rng::from_environment().below(1_000_000));
    let flags = format!(
        "--seed {seed} --span 40m --vehicles 60 --late 0.05 --delayed 0.05 --out-of-order 0.05 --duplicates 0.05 --ahead 0.1"
    );
    city.simulate(&format!("{flags} --partitions 2"));
    let names = topics.names();
    let [vehicle, gps, traffic, weather, emergency] = &names;
    let there = format!(
        "--bootstrap-servers {} --vehicle-topic {vehicle} --gps-topic {gps} --traffic-topic {traffic} \
         --weather-topic {weather} --emergency-topic {emergency} --threads 2",
        servers.kafka
    );
    let flags: Vec<&str> = flags.split_whitespace().chain(there.split_whitespace()).collect();
    let ended = files::simulate_to(&city.plan, "kafka", &flags).wait().expect("the simulator");
    assert!(ended.success(), "{flags:?}: {ended}");
    let log = city.log();
    let mut compared = vec![servers.kafka.as_str(), text(&log)];
    compared.extend(names.iter().map(String::as_str));
    print!("{}", python::run("same_log.py", &compared));
}
