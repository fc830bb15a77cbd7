//! What the manifests say is run here, without an engine: their commands, variables, files and probes, as they stand there.
//!
//! What is other: each pod, service or host is an address of this machine; its files are in a folder of its own; broker,
//! topics, store and lake are the test's, as is the pace where none is given. `tests/python/manifests.py` reads the manifests
//! and holds them against their schemas.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::common::{Cluster, Generator, Plan, Rng, Servers, Shape, Topics, endpoints, python, wait_until};

const SOON: Duration = Duration::from_secs(60);
const RECORDS: u64 = 500;
/// Variables that are to be changed before use.
const YOURS: [&str; 3] = ["CITYSTREAM_LAKE", "CITYSTREAM_BOOTSTRAP_SERVERS", "CITYSTREAM_S3_ENDPOINT"];

/// A pod, a service or a unit.
#[derive(Deserialize)]
struct Program {
    /// How the hostfile calls it.
    name: String,
    args: Vec<String>,
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
    probes: Vec<Probe>,
    /// Seconds in which it has to end.
    grace: u64,
    /// The exit code with which it then ends.
    code: i32,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Probe {
    Get { path: String, port: u16 },
    Run { command: Vec<String> },
}

#[test]
fn the_pods_of_kubernetes_start_are_ready_outlive_the_end_of_one_and_end_in_order() {
    let Some(servers) = Servers::find() else { return };
    let pods = read(&["kubernetes", &file("cluster/deploy/kubernetes.yml")]);
    let mut all = Deployment::start(&servers, "kubernetes", &pods);
    all.commit_more();
    // As when a pod is deleted: it drains all, is replaced, and is waited for meanwhile.
    let (code, _) = all.runs[1].terminate(0, Duration::from_secs(pods[1].grace));
    assert_eq!(code, pods[1].code);
    let (alive, ready) = (&pods[0].probes[1], &pods[0].probes[2]);
    let waits = || all.places[0].answers(alive) && !all.places[0].answers(ready);
    wait_until("the other one waits, alive and not ready", SOON, waits);
    all.runs[1] = all.places[1].start(&all.plan);
    all.commit_more();
    all.end();
}

#[test]
fn the_services_of_compose_start_are_healthy_and_end_in_order() {
    let Some(servers) = Servers::find() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let printed = folder.path().join("compose.json");
    let mut loader = Command::new(servers.stack.bin("compose-go"));
    let output =
        loader.args(["-format", "json", &file("docker-compose.yml")]).output().expect("the loader of compose files");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    fs::write(&printed, output.stdout).expect("a file");
    let printed = printed.to_str().expect("a path");
    run_and_end(&servers, "compose", &read(&["compose", printed, &file("cluster/deploy/Dockerfile")]));
}

#[test]
fn the_unit_of_systemd_is_sound_and_its_command_starts_and_ends_in_order() {
    let Some(servers) = Servers::find() else { return };
    let unit = file("cluster/deploy/citystream.service");
    let folder = tempfile::tempdir().expect("a folder");
    let installed = folder.path().join("citystream.service");
    let text = fs::read_to_string(&unit).expect("the unit");
    fs::write(&installed, text.replace("/usr/local/bin/citystream", env!("CARGO_BIN_EXE_citystream"))).expect("a file");
    let analyze = |words: &[&str]| {
        let output = Command::new("systemd-analyze").args(words).arg(&installed).output().expect("systemd-analyze");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        said
    };
    // A key that is misspelt is said, and no failure.
    let said = analyze(&["verify"]);
    assert!(!said.contains("citystream.service"), "{said}");
    analyze(&["security", "--no-pager", "--offline=true", "--threshold=20"]);
    run_and_end(&servers, "systemd", &read(&["systemd", &unit]));
}

#[test]
fn images_and_actions_are_named_by_digest() {
    if !python::available() {
        return;
    }
    let files = [
        "docker-compose.yml",
        "cluster/deploy/Dockerfile",
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
    ];
    let files = files.map(file);
    let words = ["pinned"].into_iter().chain(files.iter().map(String::as_str));
    assert!(read(&words.collect::<Vec<_>>()).is_empty());
}

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name).display().to_string()
}

fn read(words: &[&str]) -> Vec<Program> {
    serde_json::from_str(&python::run("manifests.py", words)).expect("programs")
}

/// Runs all of them until everything is read, and asks them to end, as whoever runs them would.
fn run_and_end(servers: &Servers, name: &str, programs: &[Program]) {
    let mut all = Deployment::start(servers, name, programs);
    all.commit_more();
    all.end();
}

/// All programs of a manifest.
struct Deployment<'a> {
    plan: Plan,
    topics: Topics,
    made: Generator,
    places: Vec<Place<'a>>,
    /// One a program.
    runs: Vec<Cluster>,
}

impl<'a> Deployment<'a> {
    fn start(servers: &Servers, name: &str, programs: &'a [Program]) -> Deployment<'a> {
        let topics = Topics::create(servers, name, 1);
        let plan = Plan::kafka_to_s3(servers, &topics);
        plan.init();
        let made = Generator::new(Rng::from_environment(), Shape { partitions: 1, ..Shape::mixed() });
        let places: Vec<Place> = programs.iter().zip(1..).map(|(program, at)| Place::new(program, at, &plan)).collect();
        let runs = places.iter().map(|place| place.start(&plan)).collect();
        Deployment { plan, topics, made, places, runs }
    }

    /// Waits for each probe of each program, and for the commit of records that are produced now.
    fn commit_more(&mut self) {
        for place in &self.places {
            for probe in &place.program.probes {
                let what = format!("{probe:?} of {}", place.program.name);
                wait_until(&what, SOON, || place.answers(probe) || !all_run(&mut self.runs));
            }
        }
        let before = self.plan.lake().read();
        self.topics.produce((0..RECORDS as i64).map(|n| self.made.next(1_790_000_000_000 + n)));
        let committed = || self.plan.lake().read() == before + RECORDS;
        wait_until("all is committed", SOON, || committed() || !all_run(&mut self.runs));
        assert!(all_run(&mut self.runs), "one has ended");
    }

    /// Asks all to end, which they do in time, with the code that is expected of them, and having written to no disk.
    fn end(mut self) {
        let asked = Instant::now();
        self.runs.iter_mut().for_each(|run| run.signal_all("TERM"));
        for (place, run) in self.places.iter().zip(&mut self.runs) {
            let program = place.program;
            let codes = run.wait(Duration::from_secs(program.grace).saturating_sub(asked.elapsed()));
            println!("{}: {codes:?} after {:?} of {} s", program.name, asked.elapsed(), program.grace);
            assert_eq!(codes, [program.code]);
            assert_eq!(fs::read_dir(&place.disk).expect("a folder").count(), 0, "it has written to the disk");
        }
        self.plan.verify();
    }
}

fn all_run(runs: &mut [Cluster]) -> bool {
    runs.iter_mut().all(Cluster::running)
}

/// Where a program is here.
struct Place<'a> {
    program: &'a Program,
    /// What is written otherwise here, and how.
    other: Vec<(String, String)>,
    /// Its address.
    address: String,
    /// Where it runs.
    disk: PathBuf,
}

impl<'a> Place<'a> {
    fn new(program: &'a Program, at: usize, plan: &Plan) -> Place<'a> {
        let address = address(plan, at);
        // What a container calls its own, and the names of all.
        let mut other: Vec<_> = ["0.0.0.0", "127.0.0.1"].map(|own| (own.to_owned(), address.clone())).into();
        let hosts = program.files.iter().find(|(path, _)| path.ends_with("hosts")).expect("a hostfile").1;
        let names = hosts.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'));
        other.extend(names.zip(1..).map(|((name, _), at)| (name.to_owned(), self::address(plan, at))));
        let folder = plan.fresh_path("files");
        let moved = |path: &PathBuf| {
            (path.display().to_string(), folder.join(path.file_name().expect("a name")).display().to_string())
        };
        other.extend(program.files.keys().map(moved));
        let place = Place { program, other, address, disk: plan.fresh_path("disk") };
        [&folder, &place.disk].into_iter().for_each(|folder| fs::create_dir(folder).expect("a folder"));
        for (path, text) in &program.files {
            fs::write(place.here(&path.display().to_string()), place.here(text)).expect("a file");
        }
        place
    }

    /// A text as it is here.
    fn here(&self, text: &str) -> String {
        self.other.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there.as_str(), here))
    }

    fn start(&self, plan: &Plan) -> Cluster {
        Cluster::of(plan, vec![self.command(plan)])
    }

    fn command(&self, plan: &Plan) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_citystream"));
        command.args(self.program.args.iter().map(|arg| self.here(arg)));
        command.env_clear().current_dir(&self.disk);
        command.envs(self.program.variables.iter().map(|(name, value)| (name, self.here(value))));
        let given = |name: &str| self.program.variables.contains_key(name) && !YOURS.contains(&name);
        command.envs(plan.as_variables().into_iter().filter(|(name, _)| !given(name)));
        command.envs(std::env::vars().filter(|(name, _)| name.starts_with("AWS_")));
        command
    }

    fn answers(&self, probe: &Probe) -> bool {
        match probe {
            Probe::Get { path, port } => endpoints::ask(&format!("{}:{port}", self.address), path).1 == 200,
            Probe::Run { command } => {
                let mut words = command.iter().map(|word| self.here(word));
                let mut command = Command::new(words.next().expect("a program"));
                command.args(words).output().is_ok_and(|output| output.status.success())
            }
        }
    }
}

/// An address of this machine that no other test has.
fn address(plan: &Plan, at: usize) -> String {
    let mut hasher = DefaultHasher::new();
    plan.dir().hash(&mut hasher);
    let [a, b, ..] = hasher.finish().to_le_bytes();
    format!("127.{}.{b}.{at}", a.max(1))
}
