//! Proxies before a server, and what goes wrong in them: toxiproxy through its API, one of our own before S3; servers that do not answer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use tempfile::TempDir;
use xtask::process::{Server, free_ports};
use xtask::servers::{Kafka, KafkaOptions, Toxiproxy};

use super::python::Script;
use super::{Plan, Servers, Topics};

/// A proxy before the S3 server that does as it is told, and its endpoint.
pub(crate) fn faulty_s3(servers: &Servers) -> (Script, String) {
    let proxy = Script::start("faulty_proxy.py", &[&servers.s3]);
    let endpoint = format!("http://127.0.0.1:{}", proxy.hear());
    (proxy, endpoint)
}

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

/// A broker of the test's own that can be cut off from who connects through the proxy before it.
#[derive(Debug)]
pub(crate) struct ProxiedKafka {
    kafka: Kafka,
    proxy: Proxy,
    _folder: TempDir,
}

impl ProxiedKafka {
    /// Starts both. What the broker tells its clients leads them to the proxy again.
    pub(crate) fn start(servers: &Servers) -> ProxiedKafka {
        ProxiedKafka::join(servers, None)
    }

    /// The same as the second broker of a controller.
    fn join(servers: &Servers, controller: Option<u16>) -> ProxiedKafka {
        let folder = TempDir::new().expect("a folder");
        let [second] = free_ports().expect("a free port");
        let proxy = Proxy::before(servers, folder.path(), &format!("127.0.0.1:{second}"));
        let options = KafkaOptions { proxied: Some((second, proxy.port)), controller, ..KafkaOptions::default() };
        let kafka = Kafka::start(&servers.stack, &folder.path().join("kafka"), Server::guarded, options);
        ProxiedKafka { kafka: kafka.expect("Kafka"), proxy, _folder: folder }
    }

    /// Topics that no other test uses, and a plan that reaches them through the proxy.
    pub(crate) fn plan(&self, servers: &Servers, test: &str, partitions: i32) -> (Topics, Plan) {
        let topics = Topics::at(&self.direct(), test);
        topics.make(partitions, "CreateTime");
        let plan = Plan::kafka_to_files(servers, &topics).flag("bootstrap-servers", &self.proxied());
        (topics, plan)
    }

    /// Where to connect past the proxy.
    pub(crate) fn direct(&self) -> String {
        self.kafka.bootstrap()
    }

    /// Where to connect through it.
    pub(crate) fn proxied(&self) -> String {
        format!("127.0.0.1:{}", self.proxy.port)
    }

    /// From now on nothing comes through.
    pub(crate) fn cut(&self) {
        ["upstream", "downstream"].iter().for_each(|way| self.proxy.add("timeout", way, r#"{"timeout": 0}"#));
    }

    /// From now on each answer takes so many milliseconds more.
    pub(crate) fn slow_down(&self, millis: u32) {
        self.proxy.add("latency", "downstream", &format!(r#"{{"latency": {millis}}}"#));
    }

    /// All comes through again.
    pub(crate) fn mend(&self) {
        ["upstream", "downstream"].iter().for_each(|way| self.proxy.remove("timeout", way));
    }
}

/// Two brokers of one cluster, of which the second can be cut off.
#[derive(Debug)]
pub(crate) struct TwoBrokers {
    // Before the first one, which it asks whether it may end.
    second: ProxiedKafka,
    first: ProxiedKafka,
}

impl TwoBrokers {
    /// Starts both.
    pub(crate) fn start(servers: &Servers) -> TwoBrokers {
        let first = ProxiedKafka::start(servers);
        let second = ProxiedKafka::join(servers, Some(first.kafka.controller));
        TwoBrokers { second, first }
    }

    /// Topics of two partitions, one on each broker, and a plan that reaches them through the proxies.
    pub(crate) fn plan(&self, servers: &Servers, test: &str) -> (Topics, Plan) {
        let topics = Topics::at(&self.first.direct(), test);
        topics.make_on(&[&[1], &[2]], "CreateTime");
        let plan = Plan::kafka_to_files(servers, &topics).flag("bootstrap-servers", &self.first.proxied());
        (topics, plan)
    }

    /// From now on nothing comes from the second one's partitions.
    pub(crate) fn cut(&self) {
        self.second.cut();
    }

    /// It does again.
    pub(crate) fn mend(&self) {
        self.second.mend();
    }
}

/// A server that takes connections and never says anything.
pub(crate) struct Silent(TcpListener);

impl Silent {
    /// Listens from now on.
    pub(crate) fn start() -> Silent {
        Silent(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        self.0.local_addr().expect("an address").to_string()
    }
}
