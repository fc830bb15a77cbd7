//! What a run tells over HTTP, asked as an outside observer does.

use std::process::Command;

use xtask::process::free_ports;

/// An address to be given to `--listen`.
pub(crate) fn fresh_address() -> String {
    let [port] = free_ports().expect("a free port");
    format!("127.0.0.1:{port}")
}

/// The answer of a run that listens there, and its status; empty and 0 where nobody does.
pub(crate) fn ask(address: &str, path: &str) -> (String, u16) {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-m", "10", "-w", "\n%{http_code}", &format!("http://{address}{path}")]);
    let answer = String::from_utf8(curl.output().expect("curl").stdout).expect("text");
    let (text, status) = answer.rsplit_once('\n').expect("a status");
    (text.to_owned(), status.parse().expect("a status"))
}

/// A metric without labels; `None` until it is there.
pub(crate) fn metric(address: &str, name: &str) -> Option<u64> {
    let (text, _) = ask(address, "/metrics");
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// Bytes of state of each kind, as the run's gauges tell.
pub(crate) fn state(address: &str) -> Vec<(String, u64)> {
    let (text, _) = ask(address, "/metrics");
    let lines = text.lines().filter_map(|line| line.strip_prefix("citystream_state_bytes{kind=\""));
    lines
        .filter_map(|line| Some((line.split_once("\"} ")?.0.to_owned(), line.split_once("\"} ")?.1.parse().ok()?)))
        .collect()
}
