//! P6: a run that is asked to end ends within ten seconds, whatever it waits for, and nothing is lost.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::faults::{ProxiedKafka, Proxy, Silent, faulty_s3};
use crate::common::json_log::{JsonLog, record};
use crate::common::{
    Cluster, Generator, Plan, Rng, Servers, Shape, Topics, cluster, endpoints, files, python, wait_until,
};
use crate::disk_full::OnSmallDisk;

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

/// Asks one process to end, which is to give up on something in time; what it said.
fn gives_up(run: &mut Cluster, index: usize) -> String {
    let (code, took) = run.terminate(index, SOON);
    let said = run.said(index);
    println!("process {index} ended with {code} after {took:?}: {}", said.lines().last().unwrap_or_default());
    assert!(code == 0 && took < AT_MOST, "{code} after {took:?}: {said}");
    said
}

#[test]
fn p6_a_run_whose_peer_is_frozen_ends_in_time_and_loses_nothing() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = log.plan().flag("commit-interval", "500ms");
    for (round, frozen) in [(0, 1), (1, 0)] {
        let mut run = plan.start(2, 1);
        log.minute(2 * round, 100);
        wait_until("it commits", SOON, || plan.lake().read() == u64::from(2 * round + 1) * 500);
        run.signal(frozen, "STOP");
        log.minute(2 * round + 1, 100);
        std::thread::sleep(Duration::from_secs(1));
        run.signal(frozen, "TERM");
        assert!(gives_up(&mut run, 1 - frozen).contains("gave up on the last commit"));
        run.signal(frozen, "CONT");
        assert_eq!(run.wait(AT_MOST), [0, 0]);
        assert!(run.said(frozen).contains("gave up on the last commit: peer lost"), "{}", run.said(frozen));
        plan.drain(1, 2);
        plan.verify();
    }
    plan.lake().contents_with(&files::ids(&plan, log.folder())).check_ids();
}

/// At the settings that users have; what the pair has not committed is read again.
#[test]
fn l1_a_run_whose_peer_stands_still_ends_by_itself_within_15_s_and_loses_nothing() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = log
        .plan()
        .flag("commit-interval", "500ms")
        .variable("CITYSTREAM_CLUSTER_SECRET", "the secret of two processes");
    let mut run = plan.start(2, 1);
    log.minute(0, 100);
    wait_until("it commits", SOON, || plan.lake().read() == 500);
    run.signal(1, "STOP");
    log.minute(1, 100);
    let (code, took) = run.wait_one(0, SOON);
    let said = run.said(0);
    println!("process 0 ended with {code} after {took:?}: {}", said.lines().last().unwrap_or_default());
    assert!(code == 4 && took < Duration::from_secs(15), "{code} after {took:?}: {said}");
    assert!(said.contains("peer lost: process 1 at 127.0.0.1:") && said.contains("no sign of life for 10 s"), "{said}");
    run.signal(1, "CONT");
    assert_eq!(run.wait(AT_MOST), [4, 4]);
    plan.drain(1, 2);
    plan.verify();
    plan.lake().contents_with(&files::ids(&plan, log.folder())).check_ids();
}

/// The Delta tables follow the commits: what they lack is no reason to read anything again.
#[test]
fn p6_a_run_whose_store_takes_no_delta_logs_says_so_once_and_ends_in_time() {
    let Some(servers) = Servers::find() else { return };
    let (mut failing, endpoint) = faulty_s3(&servers);
    let (log, address) = (JsonLog::new(), endpoints::fresh_address());
    let plan = log.plan().into_s3(&servers, "no-logs").flag("s3-endpoint", &endpoint).flag("listen", &address);
    let mut run = plan.start(1, 1);
    log.with("gps", "bus", 0.0, &json!({}));
    wait_until("a first commit", SOON, || plan.lake().read() == 1);
    failing.say("logs 1000000");
    log.with("gps", "bus", 1.0, &json!({}));
    wait_until("a second commit", SOON, || plan.lake().read() == 2);
    wait_until("it is not ready", SOON, || endpoints::ask(&address, "/readyz").1 == 503);
    let said = gives_up(&mut run, 0);
    assert!(said.contains("gave up on the Delta tables"), "{said}");
    assert_eq!(said.matches("not in all Delta tables yet").count(), 1, "{said}");
    failing.say("logs none");
    plan.drain(1, 1);
    plan.verify();
    assert_eq!(plan.lake().published(), plan.lake().commits().last().map(|commit| commit.seq));
}

#[test]
fn p6_a_run_whose_disk_is_full_ends_in_time_and_loses_nothing() {
    let Some((on, mut run)) = OnSmallDisk::full("none") else { return };
    assert!(gives_up(&mut run, 0).contains("gave up on the last commit"));
    on.disk.make_room();
    on.plan.drain(1, 1);
    on.check();
}

/// What was read before is committed though no broker answers.
#[test]
fn p6_a_run_whose_broker_is_out_of_reach_commits_what_it_has_read_and_ends_in_time() {
    let Some(servers) = Servers::find() else { return };
    let kafka = ProxiedKafka::start(&servers);
    let (topics, plan) = kafka.plan(&servers, "cut", 2);
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 2, ..Shape::mixed() });
    topics.produce((0..2000).map(|n| made.next(START + n * 20)));
    let address = endpoints::fresh_address();
    let plan = plan.flag("commit-interval", "1h").flag("listen", &address);
    let mut run = plan.start(1, 2);
    wait_until("all is read", SOON, || endpoints::metric(&address, "citystream_read_total") == Some(2000));
    kafka.cut();
    topics.produce((0..2000).map(|n| made.next(START + 40_000 + n * 20)));
    std::thread::sleep(Duration::from_secs(3));
    let (code, took) = run.terminate(0, SOON);
    println!("ended with {code} after {took:?}: {}", run.said(0));
    assert!(code == 0 && took < AT_MOST, "{code} after {took:?}");
    assert!(!run.said(0).contains("gave up"), "{}", run.said(0));
    assert_eq!(plan.lake().read(), 2000);
    kafka.mend();
    plan.drain(1, 1);
    plan.verify();
    plan.lake().check(&plan, &made);
}

#[test]
fn p6_who_waits_for_a_broker_or_a_store_at_its_start_ends_at_once() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "at-start", 1);
    let (silent, nobody) = (Silent::start(), endpoints::fresh_address());
    let broker = |address: &str| Plan::kafka_to_files(&servers, &topics).flag("bootstrap-servers", address);
    let store = Plan::kafka_to_s3(&servers, &topics).flag("s3-endpoint", &format!("http://{}", silent.address()));
    let plans = [broker(&nobody), broker(&silent.address()), store];
    let mut runs = plans.each_ref().map(|plan| plan.start(1, 1));
    std::thread::sleep(Duration::from_secs(2));
    for run in &mut runs {
        assert!(run.running(), "{}", run.said(0));
        let (code, took) = run.terminate(0, SOON);
        assert!(code == 0 && took < Duration::from_secs(2), "{code} after {took:?}");
        assert!(run.said(0).contains("nothing was read"), "{}", run.said(0));
    }
}

/// A terminal that is closed ends a run as SIGTERM does, and one under `nohup` not at all.
#[test]
fn p6_a_hangup_ends_a_run_in_order_unless_it_is_to_outlive_the_terminal() {
    let log = JsonLog::new();
    log.append("gps", 0, 1.0, &record("a", "bus", 1.0));
    let plan = log.plan();
    let program = plan.command(&["run", "-w", "1"]);
    let under = |wrapper: &[&str]| {
        let mut command = std::process::Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(program.get_program()).args(program.get_args()).current_dir(plan.dir());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect(wrapper[0])
    };
    // Whatever these tests run under themselves.
    let mut child = under(&["env", "--default-signal=HUP"]);
    wait_until("it commits", SOON, || plan.lake().read() == 1);
    cluster::send(child.id(), "HUP");
    let mut ended = None;
    wait_until("it ends", SOON, || {
        ended = child.try_wait().expect("a child");
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    let mut child = under(&["nohup"]);
    wait_until("the second run has claimed the lake", SOON, || plan.lake().claims().len() == 2);
    cluster::send(child.id(), "HUP");
    std::thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().expect("a child").is_none(), "it goes on");
    assert_eq!(terminate(child).0, 0);
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
