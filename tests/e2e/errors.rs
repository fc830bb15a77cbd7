//! What goes wrong ends in one clear line with its exit code, and nothing is lost.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use citystream::parts::Commit;
use citystream_dataflows::time::bindings::Topic;

use crate::common::cluster::LONG;
use crate::common::json_log::JsonLog;
use crate::common::{Cluster, Generator, Plan, Rng, Servers, Shape, Topics, python, wait_until};

const START: i64 = 1_790_000_000_000;

fn log(servers: &Servers, test: &str) -> (Topics, Generator) {
    let topics = Topics::create(servers, test, 1);
    let shape = Shape { partitions: 1, late: 0.0, repeated: 0.0, disordered: 0.0 };
    let mut made = Generator::new(Rng::from_environment(), shape);
    topics.produce((0..1_000).map(|n| made.next(START + n)));
    (topics, made)
}

/// The run ends by itself with this code and a last line that names these words.
pub(crate) fn ends_with(plan: &Plan, flags: &[&str], code: i32, words: &[&str]) {
    let (ended, said) = plan.end_of_run(flags);
    assert_eq!(ended, code, "{flags:?}: {said}");
    assert!(!said.contains("panicked"), "{flags:?}: {said}");
    let last = said.trim_end().lines().last().unwrap_or_default().to_lowercase();
    println!("{ended}: {last}");
    for word in words {
        assert!(last.contains(word), "{word:?} is not in the last line: {said}");
    }
}

#[test]
fn a_missing_topic_is_named() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::absent(&servers, "absent");
    let plan = Plan::kafka_to_files(&servers, &topics);
    ends_with(&plan, &["--until-drained"], 2, &[topics.prefix(), "topics create"]);
}

#[test]
fn offsets_that_are_lost_stop_the_run() {
    let Some(servers) = Servers::find() else { return };
    let (topics, made) = log(&servers, "lost");
    let plan = Plan::kafka_to_files(&servers, &topics);
    plan.drain(1, 1);
    let gps = topics.names()[1].clone();
    let mut later = made;
    topics.produce((0..100).map(|n| later.next_in(1, 0, START + 5_000 + n)));
    python::run("delete_records.py", &[topics.bootstrap(), &gps, "0"]);
    ends_with(&plan, &["--until-drained"], 6, &[&gps, "--accept-loss"]);
    plan.verify();
}

/// The records of the GPS topic that the lake has.
fn pings(plan: &Plan) -> u64 {
    let commits = plan.lake().commits();
    commits.iter().filter_map(|commit| commit.ledger.get(&Topic::GPS)).map(|ledger| ledger.read).sum()
}

/// Every record made is there once, `doubled` of them at an offset that another one had in an earlier topic.
fn check_incarnations(plan: &Plan, made: &Generator, doubled: u64) {
    plan.verify();
    let contents = plan.lake().contents(plan, made);
    assert_eq!((contents.missing, contents.extra, contents.doubled), (0, 0, doubled), "(lost, too many, doubled)");
}

#[test]
fn a_topic_made_anew_stops_the_run_and_is_read_where_the_loss_is_accepted() {
    let Some(servers) = Servers::find() else { return };
    let (topics, mut made) = log(&servers, "anew");
    let plan = Plan::kafka_to_files(&servers, &topics).flag("discover-interval", "1s").flag("tables", "raw");
    let derives = Plan::kafka_to_files(&servers, &topics);
    derives.drain(1, 1);
    plan.drain(1, 1);
    let (before, old) = (plan.lake().commits().len(), pings(&plan));
    topics.delete(1);
    topics.create_one(1, 1);
    ends_with(&plan, &["--until-drained"], 6, &[&topics.names()[1], "made anew", "--accept-loss"]);
    ends_with(&derives, &["--until-drained", "--accept-loss"], 6, &[&topics.names()[1], "made anew", "another lake"]);
    derives.verify();
    let is_data = |commit: &Commit| commit.added.values().flatten().any(|file| file.level == 0);
    let data = plan.lake().commits()[before..].iter().any(is_data);
    assert!(!data, "a run that was stopped wrote data");
    plan.verify();

    let new = 300;
    topics.produce((0..new).map(|n| made.next_in(1, 0, START + 5_000 + n)));
    let (code, said) = plan.end_of_run(&["--until-drained", "--accept-loss"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("made anew") && said.contains("told apart by their seq"), "{said}");
    let doubled = old.min(new as u64);
    check_incarnations(&plan, &made, doubled);

    // Accepted once and for all: the next start needs no flag, and goes on where the new topic stood.
    topics.produce((0..100).map(|n| made.next_in(3, 0, START + 6_000 + n)));
    plan.drain(2, 1);
    check_incarnations(&plan, &made, doubled);
    let commits = plan.lake().commits();
    let ids: BTreeSet<_> = commits.iter().filter_map(|commit| commit.topics.get(&Topic::GPS)).map(|t| &t.id).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");

    // While running it always is a stop.
    let claims = plan.lake().claims().len();
    let mut run = Cluster::start(&plan, 1, 1, &["--accept-loss"]);
    wait_until("the run has claimed the lake", LONG, || plan.lake().claims().len() > claims);
    topics.delete(1);
    topics.create_one(1, 1);
    assert_eq!(run.wait(LONG), [6], "{}", run.said(0));
    assert!(
        run.said(0).trim_end().lines().last().is_some_and(|line| line.contains("--accept-loss")),
        "{}",
        run.said(0)
    );
    check_incarnations(&plan, &made, doubled);
}

#[test]
fn a_changed_setting_of_the_lake_is_refused_by_name() {
    let Some(servers) = Servers::find() else { return };
    let (topics, made) = log(&servers, "changed");
    let plan = Plan::kafka_to_files(&servers, &topics);
    plan.drain(1, 1);
    let (code, said) = plan.end_of_run(&["--lateness=5m", "--until-drained"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.trim_end().lines().last().unwrap_or_default().contains("lateness"), "{said}");
    plan.drain(1, 1);
    plan.lake().check(&plan, &made);
}

#[test]
fn a_cluster_that_cannot_form_says_why() {
    let Some(servers) = Servers::find() else { return };
    let (topics, _) = log(&servers, "form");
    let plan = Plan::kafka_to_files(&servers, &topics).flag("connect-timeout", "2s");
    let [mine, peer] = xtask::process::free_ports().expect("free ports");
    let write = |lines: String| {
        let path = plan.fresh_path("hosts");
        std::fs::write(&path, lines).expect("a hostfile");
        path.display().to_string()
    };
    let short = write(format!("127.0.0.1:{mine}\n"));
    let both = write(format!("127.0.0.1:{mine}\n127.0.0.1:{peer}\n"));
    ends_with(&plan, &["-n2", "-p0", "-h", &short], 2, &["hostfile"]);
    let open = write("node-0.example:2101\nnode-1.example:2101\n".to_owned());
    ends_with(&plan, &["-n2", "-p0", "-h", &open], 2, &["node-0.example:2101", "citystream_cluster_secret"]);

    let (code, said) = plan.end_of_run(&["-n2", "-p0", "-h", &both]);
    assert!([1, 4, 7].contains(&code), "an absent peer: {code}: {said}");
    assert!(said.contains(&peer.to_string()) || said.contains("process 1"), "an absent peer: {said}");
    assert!(!said.contains("panicked"), "{said}");

    let taken = TcpListener::bind(("127.0.0.1", mine)).expect("the port");
    ends_with(&plan, &["-n2", "-p0", "-h", &both], 2, &[&mine.to_string()]);
    drop(taken);
    stranger(&plan, &both, peer);
}

/// A peer's port where something else answers.
fn stranger(plan: &Plan, hosts: &str, peer: u16) {
    let listener = TcpListener::bind(("127.0.0.1", peer)).expect("the port");
    listener.set_nonblocking(true).expect("a listener");
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        while receiver
            .recv_timeout(Duration::from_millis(20))
            .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            if let Ok((mut stream, _)) = listener.accept() {
                let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        }
    });
    // It answers in the peer's place; or it sits in one's own, which no restart mends.
    for (process, expected) in [("-p0", 1), ("-p1", 2)] {
        let (code, said) = plan.end_of_run(&["-n2", process, "-h", hosts]);
        assert_eq!(code, expected, "{process}: {said}");
        assert!(!said.contains("panicked"), "{process}: {said}");
    }
    drop(sender);
    server.join().expect("the stranger");
}

/// A reader that has gone is no error, a disk that is full is one line.
#[test]
fn an_output_that_cannot_be_written_ends_a_command_quietly_or_in_one_line() {
    let log = JsonLog::new();
    let plan = log.plan();
    plan.init();
    for words in [&["config"][..], &["lake", "sql"], &["lake", "status"], &["check"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let gone = plan.command(words).stdout(writer).output().expect("the program");
        assert_eq!((gone.status.code(), &*gone.stderr), (Some(0), &b""[..]), "{words:?}: {gone:?}");
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux");
        let full = plan.command(words).stdout(full).output().expect("the program");
        let said = String::from_utf8_lossy(&full.stderr);
        assert_eq!((full.status.code(), said.lines().count()), (Some(1), 1), "{words:?}: {said}");
        assert!(said.contains("standard output"), "{words:?}: {said}");
    }
}
