//! P6: a run that is asked to end ends within ten seconds, whatever it waits for, and nothing is lost.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::faults::Proxy;
use crate::common::json_log::{JsonLog, record};
use crate::common::{Generator, Plan, Rng, Servers, Shape, Topics, cluster, wait_until};

const START: i64 = 1_790_000_000_000;
const SOON: Duration = Duration::from_secs(90);
/// Ten seconds, and what a busy machine adds.
const AT_MOST: Duration = Duration::from_secs(13);

/// Asks a process to end; its exit code and how long that took.
fn terminate(mut child: Child) -> (i32, Duration) {
    let asked = Instant::now();
    cluster::send(child.id(), "TERM");
    let mut code = None;
    wait_until("it has ended", SOON, || {
        code = child.try_wait().expect("a child").map(|status| status.code());
        code.is_some()
    });
    (code.flatten().unwrap_or(-1), asked.elapsed())
}

#[test]
fn p6_a_run_whose_store_stands_still_ends_in_time_and_loses_nothing() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "ending", 2);
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 2, ..Shape::mixed() });
    topics.produce((0..2000).map(|n| made.next(START + n * 20)));
    let plan = Plan::kafka_to_s3(&servers, &topics);
    let proxy = Proxy::before_s3(&servers, &plan);
    let plan = plan.flag("s3-endpoint", &proxy.url());
    let mut run = plan.start(1, 1);
    let lake = plan.lake();
    wait_until("a first commit", SOON, || lake.read() == 2000);
    proxy.add("timeout", "upstream", r#"{"timeout": 0}"#);
    topics.produce((0..2000).map(|n| made.next(START + 40_000 + n * 20)));
    std::thread::sleep(Duration::from_secs(3));
    let asked = Instant::now();
    run.signal_all("TERM");
    assert_eq!(run.wait(SOON), [0]);
    assert!(asked.elapsed() < AT_MOST, "{:?}", asked.elapsed());
    assert!(run.said(0).contains("gave up on the last commit"), "{}", run.said(0));
    proxy.remove("timeout", "upstream");
    plan.drain(1, 2);
    plan.verify();
    lake.check(&plan, &made);
}

#[test]
fn p6_who_waits_for_peers_ends_at_once() {
    let log = JsonLog::new();
    let plan = log.plan();
    let hosts = plan.fresh_path("hosts");
    let [one, other] = xtask::process::free_ports().expect("free ports");
    std::fs::write(&hosts, format!("127.0.0.1:{one}\n127.0.0.1:{other}\n")).expect("a hostfile");
    let words = ["run", "-n", "2", "-p", "0", "-h", hosts.to_str().expect("a path")];
    let child = plan.command(&words).stderr(Stdio::null()).spawn().expect("the program");
    std::thread::sleep(Duration::from_secs(1));
    let (code, took) = terminate(child);
    assert!(code == 0 && took < Duration::from_secs(2), "{code} after {took:?}");
}

/// Vehicle traces are personal data.
#[test]
fn new_files_of_a_local_lake_are_for_owner_and_group() {
    use std::os::unix::fs::PermissionsExt;
    let log = JsonLog::new();
    log.append("gps", 0, 1.0, &record("a", "bus", 1.0));
    let plan = log.plan();
    plan.drain(1, 1);
    let mut folders = vec![std::path::PathBuf::from(plan.lake().place())];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let mode = |path: &std::path::Path| path.metadata().expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&folder) & 0o027, 0, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(mode(&path) & 0o137, 0, "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 5, "{files} files");
}
