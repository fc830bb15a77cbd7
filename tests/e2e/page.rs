//! Who looks at a run costs it nothing that it needs.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::live::start;
use crate::common::json_log::JsonLog;
use crate::common::{Cluster, Plan, endpoints, files, python, sized, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// A command that may open so many files.
fn with_descriptors(command: &Command, most: u32) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]).arg(command.get_program());
    limited.args(command.get_args()).current_dir(command.get_current_dir().expect("a folder"));
    limited
}

#[test]
fn half_sent_requests_leave_commits_their_file_descriptors() {
    let (log, address) = (JsonLog::new(), endpoints::fresh_address());
    log.minute(0, 50);
    let plan = log.plan().flag("listen", &address).flag("commit-interval", "200ms");
    let run = Cluster::of(&plan, vec![with_descriptors(&plan.command(&["run"]), 256)]);
    wait_until("a first commit", SOON, || plan.lake().read() == 250);
    let half = |_| {
        let mut stream = TcpStream::connect(&address).expect("a connection");
        stream.write_all(b"GET /api/why HTTP/1.1\r\nHo").expect("half a request");
        stream
    };
    let flood: Vec<TcpStream> = (0..366).map(half).collect();
    for minute in 1..=8 {
        log.minute(minute, 50);
        wait_until("commits land", Duration::from_secs(5), || plan.lake().read() == 250 * (1 + u64::from(minute)));
    }
    assert_eq!(flood.len(), 366, "they are still there");
    // Each has ten seconds for its request; then there is room for who asks in earnest.
    wait_until("it answers", SOON, || endpoints::ask(&address, "/readyz").1 == 200);
    run.interrupt();
    plan.verify();
}

#[test]
fn two_hundred_who_watch_get_the_same_and_one_who_does_not_read_is_hung_up_on() {
    if !python::available() {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a folder");
    let plan = Plan::files(folder.path()).flag("live", "on").flag("epoch", "250ms");
    let simulate = |records: &str, more: &[&str]| {
        // So many vehicles that a snapshot is more than a connection takes unread.
        let flags = [&["--vehicles", "40000", "--records", records], more].concat();
        files::simulate(&plan, folder.path(), &flags)
    };
    assert!(simulate("200000", &[]).wait().expect("the simulator ends").success());
    let address = endpoints::fresh_address();
    let run = start(&plan, &address, 1, 1);
    wait_until("vehicles are there", SOON, || {
        let views: Value = serde_json::from_str(&endpoints::ask(&address, "/api/views").0).unwrap_or_default();
        views["views"][0]["rows"].as_u64() > Some(30_000)
    });
    let seconds = sized(36, 330);
    let mut feed = simulate(&(1000 * seconds).to_string(), &["--rate", "1000"]);
    print!("{}", python::run("watchers.py", &[&address, &run.pid(0).to_string(), &seconds.to_string()]));
    assert!(feed.wait().expect("the simulator ends").success());
    run.interrupt();
    plan.verify();
}
