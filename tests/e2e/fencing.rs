//! P2: of two runs on one lake the later one goes on, the earlier one ends with 3, and history has one line.

use std::time::Duration;

use citystream::parts::Kind;
use serde_json::{Value, json};

use crate::common::faults::faulty_s3;
use crate::common::json_log::JsonLog;
use crate::common::python::Script;
use crate::common::{Generator, Lake, Plan, Rng, Servers, Shape, Topics, wait_until};

const SOON: Duration = Duration::from_secs(40);

/// A log of some thousand records, and its account.
fn log(servers: &Servers, test: &str) -> (Topics, Generator) {
    let topics = Topics::create(servers, test, 2);
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 2, ..Shape::mixed() });
    more(&topics, &mut made, 0);
    (topics, made)
}

/// Adds records, the `part`-th time.
fn more(topics: &Topics, made: &mut Generator, part: i64) {
    let start = 1_790_000_000_000 + part * 100_000;
    topics.produce((0..5_000).map(|n| made.next(start + n * 20)));
}

fn data_commits_of(lake: &Lake, run: &str) -> usize {
    lake.commits().iter().filter(|commit| commit.kind == Kind::Data && commit.run == run).count()
}

#[test]
fn a_run_that_was_replaced_while_it_stood_still_ends_with_3_and_changes_nothing() {
    let Some(servers) = Servers::find() else { return };
    let (topics, mut made) = log(&servers, "fence");
    let plan = Plan::kafka_to_s3(&servers, &topics);
    let lake = plan.lake();
    let mut first = plan.start(1, 2);
    wait_until("the first run commits", SOON, || lake.read() > 0);
    first.signal(0, "STOP");
    more(&topics, &mut made, 1);
    let second = plan.start(2, 1);
    wait_until("the second run claims the lake", SOON, || lake.claims().len() == 2);
    let successor = lake.claims()[1].clone();
    wait_until("the second run commits", SOON, || data_commits_of(&lake, &successor) > 0);
    let before = lake.commits();
    first.signal(0, "CONT");
    more(&topics, &mut made, 2);
    assert_eq!(first.wait(SOON), [3]);
    let said = first.said(0);
    let last = said.trim_end().lines().last().unwrap_or_default();
    assert!(last.contains(&successor[..8]), "who replaced it ({successor}) is not in: {last}");
    second.interrupt();
    plan.drain(1, 1);
    plan.verify();
    let after = lake.commits();
    assert_eq!(after[..before.len()], before, "history before the first run woke");
    let woken = after[before.len()..].iter().filter(|commit| commit.run == before[0].run).count();
    assert_eq!(woken, 0, "commits of the replaced run after it woke");
    lake.check(&plan, &made);
}

/// A plan whose S3 server is behind the proxy that mistreats commits.
fn behind_proxy(servers: &Servers, topics: &Topics) -> (Script, Plan) {
    let (proxy, endpoint) = faulty_s3(servers);
    let plan = Plan::kafka_to_s3(servers, topics).flag("s3-endpoint", &endpoint);
    (proxy, plan)
}

/// The proxy says that a commit is there, and that its writer was not told.
fn landed_and_lost(line: &str) -> bool {
    line.starts_with("lost ") && line.ends_with(" 200")
}

#[test]
fn a_commit_whose_reply_is_lost_counts_once() {
    let Some(servers) = Servers::find() else { return };
    let (topics, mut made) = log(&servers, "lost-reply");
    let (mut proxy, plan) = behind_proxy(&servers, &topics);
    proxy.say("lose 1"); // the claim's
    let run = plan.start(1, 1);
    let lake = plan.lake();
    assert!(landed_and_lost(&proxy.hear()));
    wait_until("it goes on", SOON, || lake.read() > 0);
    proxy.say("lose 2"); // a data commit's, and that of the retry, which is told 412
    more(&topics, &mut made, 1);
    assert!(landed_and_lost(&proxy.hear()));
    assert!(proxy.hear().starts_with("lost "));
    wait_until("all is committed", SOON, || lake.read() == made.ids.len() as u64);
    run.interrupt();
    plan.verify();
    assert_eq!(lake.claims().len(), 1);
    lake.check(&plan, &made);
}

#[test]
fn a_commit_that_lands_after_its_writers_death_leaves_one_line_of_history() {
    let Some(servers) = Servers::find() else { return };
    let (topics, made) = log(&servers, "late-put");
    let (mut proxy, behind) = behind_proxy(&servers, &topics);
    let mut first = behind.start(1, 1);
    let lake = behind.lake();
    wait_until("the first run claims the lake", SOON, || !lake.commits().is_empty());
    proxy.say("hold");
    let held = proxy.hear();
    assert!(held.starts_with("held "), "{held}");
    first.signal(0, "KILL");
    assert_eq!(first.wait(SOON), [-9]);

    let direct = Plan::kafka_to_s3(&servers, &topics).into_lake(lake.place());
    let second = direct.start(1, 2);
    wait_until("the second run commits", SOON, || lake.claims().len() == 2 && lake.read() > 0);
    proxy.say("release");
    let landed = proxy.hear();
    assert!(landed.starts_with("landed ") && !landed.ends_with(" 200"), "{landed}");
    wait_until("all is committed", SOON, || lake.read() == made.ids.len() as u64);
    second.interrupt();
    direct.verify();
    lake.check(&direct, &made);
}

/// A start with the source of another lake, and a look at whether one would succeed: neither may end the run that is there.
#[test]
fn a_start_that_is_refused_leaves_the_run_that_holds_the_lake_alone() {
    let (log, other) = (JsonLog::new(), JsonLog::new());
    log.records("gps", 0, &[0, 1, 2], |_| json!({}));
    let plan = log.plan();
    let mut healthy = plan.start(1, 1);
    wait_until("it commits", SOON, || plan.lake().read() == 3);
    // The same topics, but shorter: what the lake has read is not there.
    let wrong = other.plan().into_lake(plan.lake().place());
    for (words, code) in [(vec!["run", "-w", "1"], 6), (vec!["check"], 6)] {
        let refused = wrong.command(&words).output().expect("the program");
        assert_eq!(refused.status.code(), Some(code), "{words:?}: {refused:?}");
    }
    let good = plan.command(&["check", "--json"]).output().expect("the program");
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let lines = String::from_utf8(good.stdout).expect("text");
    let checks = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let checks: Vec<_> =
        checks.map(|line| (line["check"].as_str().unwrap_or_default().to_owned(), line["ok"] == true)).collect();
    assert_eq!(checks, ["listen", "peers", "source", "lake", "begin"].map(|what| (what.to_owned(), true)), "{lines}");
    log.records("gps", 0, &[3], |_| json!({}));
    wait_until("it goes on", SOON, || plan.lake().read() == 4);
    assert!(healthy.running());
    healthy.interrupt();
    assert_eq!(plan.lake().claims().len(), 1, "nobody else claimed the lake");
}
