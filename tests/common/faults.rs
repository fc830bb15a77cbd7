//! toxiproxy through its API: a proxy before a server, and what goes wrong in it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use xtask::process::free_ports;
use xtask::servers::Toxiproxy;

use super::{Plan, Servers};

/// A proxy before one server.
#[derive(Debug)]
pub(crate) struct Proxy {
    toxiproxy: Toxiproxy,
    /// Where clients connect.
    pub(crate) port: u16,
}

impl Proxy {
    /// A proxy before `upstream`, without faults.
    pub(crate) fn before(servers: &Servers, plan_dir: &std::path::Path, upstream: &str) -> Proxy {
        let toxiproxy = Toxiproxy::start(&servers.stack, plan_dir).expect("toxiproxy starts");
        let [port] = free_ports().expect("a free port");
        let proxy = Proxy { toxiproxy, port };
        proxy.call(
            "POST",
            "/proxies",
            &format!(r#"{{"name": "p", "listen": "127.0.0.1:{port}", "upstream": "{upstream}", "enabled": true}}"#),
        );
        proxy
    }

    /// A proxy before the S3 server, in the plan's folder.
    pub(crate) fn before_s3(servers: &Servers, plan: &Plan) -> Proxy {
        let upstream = servers.s3.trim_start_matches("http://").trim_end_matches('/');
        Proxy::before(servers, plan.dir(), upstream)
    }

    /// The proxy as an endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Adds a fault: its kind, its direction (`upstream`, `downstream`), its attributes as JSON.
    pub(crate) fn add(&self, kind: &str, direction: &str, attributes: &str) {
        self.call("POST", "/proxies/p/toxics", &format!(
            r#"{{"name": "{kind}-{direction}", "type": "{kind}", "stream": "{direction}", "toxicity": 1.0, "attributes": {attributes}}}"#
        ));
    }

    /// Removes a fault.
    pub(crate) fn remove(&self, kind: &str, direction: &str) {
        self.call("DELETE", &format!("/proxies/p/toxics/{kind}-{direction}"), "");
    }

    fn call(&self, method: &str, path: &str, body: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.toxiproxy.api)).expect("toxiproxy's API");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split_whitespace().nth(1).unwrap_or_default();
        assert!(status.starts_with('2'), "toxiproxy: {method} {path} {body}: {answer}");
    }
}
