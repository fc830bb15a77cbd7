//! The live views of a run at rest are what SQL over the lake says, at any number of processes and workers.

use std::process::Command;
use std::time::Duration;

use crate::common::cluster::Cluster;
use crate::common::{Plan, Rng, endpoints, files, python, wait_until};
use serde_json::Value;
use xtask::process::free_ports;

const SOON: Duration = Duration::from_secs(60);
const VIEWS: &str = "/api/views/vehicles,cells,incidents,clusters,worst";

/// One process of a run; process 0 listens.
fn process(plan: &Plan, address: &str, hosts: &str, shape: [usize; 3]) -> Command {
    let base = plan.command(&["run"]);
    let [processes, workers, index] = shape.map(|number| number.to_string());
    let is_listen = |arg: &&std::ffi::OsStr| arg.to_string_lossy().starts_with("--listen");
    let mut command = Command::new(base.get_program());
    command.args(base.get_args().filter(|arg| !is_listen(arg))).current_dir(plan.dir());
    command.envs(base.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["-n", &processes, "-w", &workers, "-p", &index, "-h", hosts]);
    command.args(["--listen", if index == "0" { address } else { "none" }]);
    command
}

pub(crate) fn start(plan: &Plan, address: &str, processes: usize, workers: usize) -> Cluster {
    let ports = free_ports::<4>().expect("free ports");
    let lines: String = ports.iter().take(processes).map(|port| format!("127.0.0.1:{port}\n")).collect();
    let hosts = plan.fresh_path("hosts");
    std::fs::write(&hosts, lines).expect("a hostfile");
    let hosts = hosts.display().to_string();
    let commands = (0..processes).map(|index| process(plan, address, &hosts, [processes, workers, index]));
    Cluster::of(plan, commands.collect())
}

fn snapshot(address: &str, views: &str) -> (String, Value) {
    let (text, _) = endpoints::ask(address, views);
    let value = serde_json::from_str(&text).unwrap_or_default();
    (text, value)
}

/// The views once all is read: the horizon and the rows no longer change. Where they are kept.
pub(crate) fn at_rest(plan: &Plan, address: &str, views: &str) -> String {
    let mut last = (String::new(), Value::Null);
    let mut since = std::time::Instant::now();
    wait_until("the views are at rest", SOON, || {
        let (text, value) = snapshot(address, views);
        let metrics = endpoints::ask(address, "/metrics").0;
        let is_zero = |name: &str| !metrics.lines().any(|line| line.starts_with(name) && !line.ends_with(" 0"));
        // What is read and not committed is in the views, and not in the lake.
        let is_committed = is_zero("citystream_lag_offsets{") && is_zero("citystream_uncommitted_bytes ");
        if !is_committed || value["views"] != last.1["views"] || value["horizon"] != last.1["horizon"] {
            since = std::time::Instant::now();
        }
        last = (text, value);
        last.1["horizon"].is_string() && since.elapsed() > Duration::from_secs(3)
    });
    let path = plan.fresh_path("snapshot.json");
    std::fs::write(&path, &last.0).expect("a file");
    path.display().to_string()
}

/// The views at rest as Arrow are those of the snapshot.
fn as_arrow(plan: &Plan, address: &str, snapshot: &str) {
    let folder = plan.fresh_path("arrow");
    std::fs::create_dir(&folder).expect("a folder");
    for view in VIEWS.rsplit('/').next().expect("names").split(',') {
        let mut curl = Command::new("curl");
        curl.args(["-sf", "-m", "10", "-H", "Accept: application/vnd.apache.arrow.stream", "-o"]);
        curl.arg(folder.join(format!("{view}.arrows"))).arg(format!("http://{address}/api/views/{view}"));
        assert!(curl.status().expect("curl").success(), "{view} as Arrow");
    }
    print!("{}", python::run("arrow_views.py", &[snapshot, &folder.display().to_string()]));
}

#[test]
fn live_views_are_what_the_lake_says_at_any_width_and_after_a_restart() {
    if !python::available() {
        return;
    }
    let seed = Rng::from_environment().below(1_000_000).to_string();
    let folder = tempfile::TempDir::new().expect("a folder");
    // Quiet partitions let go of the horizon, and move it, only after this test.
    let plan = Plan::files(folder.path()).flag("live", "on").flag("epoch", "100ms").flag("idle", "1h");
    let flags = ["--vehicles", "300", "--records", "60000", "--incidents", "60", "--out-of-order", "0.1"];
    let flags =
        [flags.as_slice(), &["--delayed", "0.05", "--late", "0.01", "--duplicates", "0.01", "--seed", &seed]].concat();
    let mut simulated = files::simulate(&plan, folder.path(), &flags);
    assert!(simulated.wait().expect("the simulator ends").success());
    let mut snapshots = Vec::new();
    for (processes, workers) in [(1, 1), (2, 2), (3, 1)] {
        let address = endpoints::fresh_address();
        let run = start(&plan, &address, processes, workers);
        snapshots.push(at_rest(&plan, &address, VIEWS));
        as_arrow(&plan, &address, &snapshots[snapshots.len() - 1]);
        run.interrupt();
    }
    let lake = plan.lake();
    let args: Vec<&str> = [lake.place()].into_iter().chain(snapshots.iter().map(String::as_str)).collect();
    print!("{}", python::run("../oracle/views.py", &args));
}
