//! V1: standing views, as people ask for them: right at commits while the run goes on and at rest, at any number of processes and
//! workers, and there again after each restart; and what is refused.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::live::{at_rest, start};
use crate::common::{Plan, Rng, endpoints, files, python, sized, wait_until};

const SOON: Duration = Duration::from_secs(60);
const BUILT_IN: &str = "vehicles,cells,incidents,clusters,worst";
const DECLARED_AND_ASKED: &str = "fast,few,here,slow,five,troubles,jams";

/// What the settings file declares.
const DECLARED: &str =
    "[views.fast]\nkind = \"vehicles\"\nspeed_above_kmh = 60\n\n[views.five]\nkind = \"worst\"\nk = 5\n";

/// A star around the middle of the road, with a hole.
fn area() -> Value {
    star([-1.2, 51.9], 1.0)
}

/// A star so wide around a place, with a hole.
fn star(centre: [f64; 2], wide: f64) -> Value {
    let place = |n: i32, far: f64| {
        let (angle, reach) =
            (f64::from(n % 40) / 40.0 * std::f64::consts::TAU, if n % 2 == 0 { far } else { far / 2.0 });
        json!([centre[0] + 0.8 * reach * angle.cos(), centre[1] + 0.5 * reach * angle.sin()])
    };
    let ring = |far: f64| (0..=40).map(|n| place(n, far)).collect::<Vec<_>>();
    json!({ "type": "Polygon", "coordinates": [ring(wide), ring(wide / 10.0)] })
}

/// What is asked for by `citystream view add`: name, kind, field, value.
fn asked(area: &Path, ids: &str) -> Vec<[String; 3]> {
    let at = format!("area=@{}", area.display());
    let view = |name: &str, kind: &str, field: &str| [name, kind, field].map(str::to_owned);
    vec![
        view("few", "vehicles", &format!("ids={ids}")),
        view("here", "vehicles", &at),
        view("slow", "cells", "ratio_below=0.5"),
        view("troubles", "incidents", &at),
        view("jams", "clusters", "cells_at_least=2"),
    ]
}

/// Views of all kinds, drawn at random.
fn drawn(plan: &Plan, rng: &mut Rng, many: usize) -> Vec<[String; 3]> {
    let area = |rng: &mut Rng| {
        let path = plan.fresh_path("drawn.geojson");
        let centre = [rng.between(-2.0, -0.4), rng.between(51.6, 52.2)];
        std::fs::write(&path, star(centre, rng.between(0.1, 1.0)).to_string()).expect("an area");
        format!("area=@{}", path.display())
    };
    let mut one = |n: usize| {
        let (kind, field) = match n % 6 {
            0 => ("vehicles", format!("speed_above_kmh={:.3}", rng.between(0.0, 120.0))),
            1 => ("vehicles", area(rng)),
            2 => ("cells", format!("ratio_below={:.3}", rng.between(0.1, 1.2))),
            3 => ("worst", format!("k={}", 1 + rng.below(20))),
            4 => ("incidents", area(rng)),
            _ => ("clusters", format!("cells_at_least={}", 1 + rng.below(6))),
        };
        [format!("drawn-{n}"), kind.to_owned(), field]
    };
    (0..many).map(&mut one).collect()
}

fn view(plan: &Plan, address: &str, words: &[&str]) -> Output {
    let base = plan.command(&["run"]);
    let page = format!("http://{address}");
    let mut command = Command::new(base.get_program());
    command.current_dir(plan.dir()).arg("view").args(words).args(["--page", &page]).output().expect("the program")
}

/// Listens to the changes of views from now on.
struct Listener(Child, PathBuf);

impl Listener {
    fn of(plan: &Plan, address: &str, names: &str) -> Listener {
        let path = plan.fresh_path("changes.sse");
        let mut curl = Command::new("curl");
        curl.args(["-sN", &format!("http://{address}/api/views/{names}/changes")]);
        let out = Stdio::from(File::create(&path).expect("a file"));
        Listener(curl.stdout(out).spawn().expect("curl"), path)
    }

    fn end(mut self) -> String {
        let _ = self.0.kill();
        let _ = self.0.wait();
        self.1.display().to_string()
    }
}

/// More of a log.
fn simulate(plan: &Plan, log: &Path, seed: &str) {
    simulate_at(plan, log, seed, ["30000", "1000000"]);
}

/// So many records more, so many a second.
fn simulate_at(plan: &Plan, log: &Path, seed: &str, [records, rate]: [&str; 2]) {
    let flags = ["--vehicles", "300", "--records", records, "--incidents", "60", "--out-of-order", "0.1", "--delayed"];
    let mut simulated = files::simulate(
        plan,
        log,
        &[flags.as_slice(), &["0.05", "--late", "0.01", "--seed", seed, "--rate", rate]].concat(),
    );
    assert!(simulated.wait().expect("the simulator ends").success());
}

/// Ids of some vehicles, as JSON.
fn some_vehicles(address: &str) -> String {
    let mut ids = Vec::new();
    wait_until("there are vehicles", SOON, || {
        let vehicles: Value =
            serde_json::from_str(&endpoints::ask(address, "/api/views/vehicles").0).unwrap_or_default();
        ids = vehicles["views"]["vehicles"].as_object().into_iter().flatten().map(|it| it.0.clone()).take(40).collect();
        ids.len() == 40
    });
    json!(ids).to_string()
}

#[test]
fn standing_views_are_what_the_lake_says_at_commits_at_any_width_and_after_restarts() {
    if !python::available() {
        return;
    }
    let mut rng = Rng::from_environment();
    let seed = rng.below(1_000_000).to_string();
    let folder = tempfile::TempDir::new().expect("a folder");
    let plan = Plan::files(folder.path()).flag("live", "on").flag("epoch", "50ms").flag("idle", "1h");
    let plan = plan.flag("commit-interval", "200ms");
    std::fs::write(plan.dir().join("citystream.toml"), DECLARED).expect("settings");
    let polygon = plan.fresh_path("area.geojson");
    std::fs::write(&polygon, area().to_string()).expect("an area");
    let drawn = drawn(&plan, &mut rng, sized(12, 50));
    let names: Vec<&str> = drawn.iter().map(|[name, ..]| name.as_str()).collect();
    let all = [BUILT_IN, DECLARED_AND_ASKED, &names.join(",")].join(",");
    let mut seen = Vec::new();
    for (n, (processes, workers)) in [(1, 1), (2, 2), (3, 1)].into_iter().enumerate() {
        if n == 0 {
            simulate(&plan, folder.path(), &seed);
        }
        let address = endpoints::fresh_address();
        let run = start(&plan, &address, processes, workers);
        if n == 0 {
            for [name, kind, field] in asked(&polygon, &some_vehicles(&address)).iter().chain(&drawn) {
                let added = view(&plan, &address, &["add", name, kind, field]);
                assert!(added.status.success(), "{name}: {}", String::from_utf8_lossy(&added.stderr));
            }
        }
        wait_until("all views are there", SOON, || endpoints::ask(&address, &format!("/api/views/{all}")).1 == 200);
        let listener = Listener::of(&plan, &address, &all);
        // Slowly, so that there are many commits.
        simulate_at(&plan, folder.path(), &seed, [sized("30000", "300000"), "7500"]);
        seen.push(at_rest(&plan, &address, &format!("/api/views/{all}")));
        seen.push(listener.end());
        let definitions = plan.fresh_path("definitions.json");
        std::fs::write(&definitions, endpoints::ask(&address, "/api/standing").0).expect("a file");
        seen.insert(0, definitions.display().to_string());
        run.interrupt();
    }
    let lake = plan.lake();
    let args: Vec<&str> = [lake.place()].into_iter().chain(seen.iter().map(String::as_str)).collect();
    print!("{}", python::run("../oracle/views.py", &args));
}

#[test]
fn what_cannot_be_kept_is_refused_with_the_field_and_the_reason() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let plan = Plan::files(folder.path()).flag("live", "on").flag("most-views", "2");
    simulate(&plan, folder.path(), "7");
    let address = endpoints::fresh_address();
    let run = start(&plan, &address, 1, 1);
    let mut added = None;
    wait_until("a view is kept", SOON, || {
        let answer = view(&plan, &address, &["add", "slow", "cells", "ratio_below=0.5"]);
        added = Some(answer.status.success());
        added == Some(true)
    });
    for (words, expected) in [
        (["add", "slow", "worst", "k=5"], "name: a view `slow` is there"),
        (["add", "worst", "worst", "k=5"], "name: `worst` is a view that is always there"),
        (["add", "other", "worst", "k=500"], "k: expected a whole number from 1 to 100"),
        (["add", "other", "buses", "k=5"], "kind: \"buses\" is none of vehicles"),
    ] {
        let refused = view(&plan, &address, &words);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && text.contains(expected), "{words:?}: {text}");
    }
    let post = |headers: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", "{\"kind\":\"worst\",\"k\":3}"]);
        for header in headers {
            curl.args(["-H", header]);
        }
        let answer = curl.arg(format!("http://{address}/api/standing/posted")).output().expect("curl");
        String::from_utf8_lossy(&answer.stdout).into_owned()
    };
    let json = "Content-Type: application/json";
    assert_eq!(post(&[json, "Origin: http://evil.test"]), "403", "a page of another site");
    assert_eq!(post(&["Content-Type: text/plain"]), "403", "what a form can send");
    assert_eq!(post(&[json, "Host: evil.test"]), "403", "a name that was made to mean this machine");
    let listed = String::from_utf8(view(&plan, &address, &["list"]).stdout).expect("text");
    assert_eq!(listed, "{\"slow\":{\"kind\":\"cells\",\"ratio_below\":0.5}}\n");
    assert_eq!(post(&[json]), "200");
    assert!(view(&plan, &address, &["remove", "slow"]).status.success());
    let names = endpoints::ask(&address, &format!("/api/views/{BUILT_IN},posted")).1;
    assert_eq!((names, endpoints::ask(&address, "/api/views/slow").1), (200, 404));
    run.interrupt();
}

#[test]
fn a_thousand_views_that_come_and_go_take_no_memory() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let plan = Plan::files(folder.path()).flag("live", "on").flag("epoch", "10ms").flag("idle", "1h");
    simulate(&plan, folder.path(), "7");
    let address = endpoints::fresh_address();
    let run = start(&plan, &address, 1, 2);
    some_vehicles(&address);
    let request = |method: &str, name: &str, body: Value| {
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-X",
            method,
            "-H",
            "Content-Type: application/json",
        ]);
        curl.args(["-d", &body.to_string(), &format!("http://{address}/api/standing/{name}")]);
        let answer = curl.output().expect("curl");
        assert_eq!(String::from_utf8_lossy(&answer.stdout), "200", "{method} {name}");
    };
    let come_and_go = &|n: usize| {
        let name = format!("view-{n}");
        let kinds = [
            json!({ "kind": "vehicles", "area": area() }),
            json!({ "kind": "cells", "ratio_below": 2 }),
            json!({ "kind": "vehicles", "speed_above_kmh": 1 }),
        ];
        request("POST", &name, kinds[n % 3].clone());
        request("DELETE", &name, json!(null));
    };
    let side_by_side = |from: usize, until: usize| {
        let some = &|first: usize| (first..until).step_by(20).for_each(come_and_go);
        std::thread::scope(|scope| (from..from + 20).for_each(|first| drop(scope.spawn(move || some(first)))));
    };
    side_by_side(0, 200);
    let before = run.peak_memory(0);
    side_by_side(200, 1200);
    let after = run.peak_memory(0);
    println!("at most resident after 200 views: {} KiB, after 1,200: {} KiB", before >> 10, after >> 10);
    assert!(after < before + (8 << 20), "{before} bytes, then {after}");
    run.interrupt();
}

/// What stands in the blocks of a kind in a document.
fn blocks(document: &str, kind: &str) -> String {
    let begin = format!("```{kind}\n");
    document.split(&begin).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_examples_of_the_docs_work() {
    let document = std::fs::read_to_string("docs/live.md").expect("the document");
    let folder = tempfile::TempDir::new().expect("a folder");
    let plan = Plan::files(folder.path()).flag("live", "on").flag("epoch", "50ms");
    simulate(&plan, folder.path(), "7");
    std::fs::write(plan.dir().join("citystream.toml"), blocks(&document, "toml")).expect("settings");
    let address = endpoints::fresh_address();
    let run = start(&plan, &address, 1, 1);
    wait_until("the run has begun", SOON, || endpoints::ask(&address, "/api/views/slow,centre").1 == 200);
    let commands = blocks(&document, "sh");
    let mut done = Vec::new();
    for words in commands.lines().filter_map(|line| line.strip_prefix("citystream view ")) {
        let words: Vec<&str> = words.split_whitespace().collect();
        let answer = view(&plan, &address, &words);
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        // `slow` is in the settings too: there it stays.
        let is_kept = words == ["remove", "slow"] && said.contains("the settings declare `slow`");
        assert!(answer.status.success() || is_kept, "{words:?}: {said}");
        done.push(words[0]);
    }
    assert_eq!(done, ["add", "add", "add", "list", "remove"]);
    let url = |line: &str| {
        line.split("localhost:9090").nth(1).and_then(|path| path.split(['\'', ' ']).next()).map(str::to_owned)
    };
    for path in commands.lines().filter(|line| line.starts_with("curl")).filter_map(url) {
        // As JSON, and not for ever.
        let path = path.replace("/changes", "").replace("?format=arrow", "");
        assert_eq!(endpoints::ask(&address, &path).1, 200, "{path}");
    }
    let alerts: Value = serde_json::from_str(&endpoints::ask(&address, "/api/alerts").0).expect("JSON");
    assert!(alerts["raised"].is_array());
    run.interrupt();
}
