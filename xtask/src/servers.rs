//! How each server is started: one Kafka process (KRaft), one S3 server, toxiproxy. All on loopback ports that were
//! free a moment before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::Stack;
use crate::jars::KAFKA;
use crate::process::{Server, accepts, free_ports, log_says};
use crate::tls::Authority;

/// The bucket that is there from the start.
pub const BUCKET: &str = "citystream-test";
/// The access key of the S3 servers started here.
pub const ACCESS_KEY: &str = "citystream-access";
/// Their secret; it protects nothing, they serve test data to loopback.
pub const SECRET_KEY: &str = "citystream-secret";

const LOG4J: &str = include_str!("../assets/log4j2.properties");
/// Who comes without a password is trusted, as who comes with one is not.
const AUTHORIZED: &str = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
";
const READY: Duration = Duration::from_secs(60);

/// Starts a server: [`Server::guarded`] or [`Server::detached`].
pub type Start = fn(&str, &Command, &Path) -> Result<Server>;

/// The user of a secured broker.
pub const KAFKA_USER: &str = "citystream";
/// Their password.
pub const KAFKA_PASSWORD: &str = "citystream-kafka-secret";

/// A running broker.
#[derive(Debug)]
pub struct Kafka {
    /// What clients connect to.
    pub port: u16,
    /// Where its controller is.
    pub controller: u16,
    /// Where they connect with TLS and a password.
    pub secured: Option<Secured>,
    /// Its process.
    pub server: Server,
    log: PathBuf,
}

/// What a broker is to be like.
#[derive(Clone, Copy, Debug, Default)]
pub struct KafkaOptions {
    /// A second port to listen on, and the port (a proxy's) that its clients are sent to.
    pub proxied: Option<(u16, u16)>,
    /// Whether to listen with SASL_SSL too (SCRAM-SHA-256, an authority of its own).
    pub secured: bool,
    /// Whether who comes by that listener may do only what ACLs allow; who comes by another may do all.
    pub authorized: bool,
    /// The controller that it is a second broker of; by default it has one of its own.
    pub controller: Option<u16>,
}

/// The controller of a broker, by its port.
#[derive(Clone, Copy)]
enum Quorum {
    /// The broker is that, too.
    Own(u16),
    /// It is the second broker of another's.
    Joined(u16),
}

/// The secured listener of a broker.
#[derive(Clone, Debug)]
pub struct Secured {
    /// Its port.
    pub port: u16,
    /// The certificate of the authority that vouches for it.
    pub authority: PathBuf,
    keystore: PathBuf,
}

impl Secured {
    fn new(dir: &Path) -> Result<Secured> {
        let authority = Authority::new(&dir.join("tls"))?;
        let [port] = free_ports()?;
        Ok(Secured { port, keystore: authority.server()?, authority: authority.certificate() })
    }

    /// `host:port`, as clients want it.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn properties(&self) -> String {
        let keystore = self.keystore.display();
        format!(
            "listener.name.secured.ssl.keystore.type=PEM
listener.name.secured.ssl.keystore.location={keystore}
listener.name.secured.sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.secured.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"
        )
    }
}

impl Kafka {
    /// Starts a broker whose files are in `dir`; a log that is there already goes on.
    pub fn start(stack: &Stack, dir: &Path, start: Start, options: KafkaOptions) -> Result<Kafka> {
        fs::create_dir_all(dir)?;
        let [port, controller, internal, unused] = free_ports()?;
        let quorum = options.controller.map_or(Quorum::Own(controller), Quorum::Joined);
        let (second, advertised) = options.proxied.unwrap_or((unused, unused));
        let secured = if options.secured { Some(Secured::new(dir)?) } else { None };
        let config = dir.join("server.properties");
        let mut settings = properties(dir, [port, internal, second, advertised], quorum, secured.as_ref());
        if options.authorized {
            settings += AUTHORIZED;
        }
        fs::write(&config, settings)?;
        fs::write(dir.join("log4j2.properties"), LOG4J)?;
        let log = dir.join("kafka.log");
        let _ = fs::remove_file(&log);
        if !dir.join("data/meta.properties").exists() {
            format_storage(stack, dir, &config)?;
        }
        let mut java = java(stack, dir);
        java.args(["-Xms32m", "-Xmx320m", "kafka.Kafka"]).arg(&config);
        let mut server = start("Kafka", &java, &log)?;
        server.wait_ready(READY, || log_says(&log, "Kafka Server started") && accepts(port))?;
        Ok(Kafka { port, controller: options.controller.unwrap_or(controller), secured, server, log })
    }

    /// `host:port`, as clients want it.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// One of its tools, by its class.
    pub fn tool(&self, stack: &Stack, class: &str) -> Command {
        let mut java = java(stack, self.log.parent().unwrap_or(&self.log));
        java.arg(class);
        java
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

fn java(stack: &Stack, dir: &Path) -> Command {
    let mut java = Command::new("java");
    java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    java.arg(format!("-Dlog4j2.configurationFile={}", dir.join("log4j2.properties").display()));
    java.arg("-cp").arg(KAFKA.libs(stack).join("*"));
    java
}

fn format_storage(stack: &Stack, dir: &Path, config: &Path) -> Result<()> {
    let mut java = java(stack, dir);
    java.args(["kafka.tools.StorageTool", "format", "-t", "Y2l0eXN0cmVhbS10ZXN0cw", "-c"]).arg(config);
    let user = format!("SCRAM-SHA-256=[name={KAFKA_USER},password={KAFKA_PASSWORD}]");
    java.args(["--add-scram", &user]);
    let output = java.stdin(Stdio::null()).output().context("cannot run java")?;
    if !output.status.success() {
        bail!("Kafka cannot format its storage: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn properties(
    dir: &Path,
    [port, internal, second, advertised]: [u16; 4],
    quorum: Quorum,
    secured: Option<&Secured>,
) -> String {
    let data = dir.join("data");
    let data = data.display();
    let listener = secured.map(|s| format!(",SECURED://127.0.0.1:{}", s.port)).unwrap_or_default();
    let settings = secured.map(Secured::properties).unwrap_or_default();
    let (roles, node, controller, its) = match quorum {
        Quorum::Own(controller) => {
            ("broker,controller", 1, controller, format!(",CONTROLLER://127.0.0.1:{controller}"))
        }
        Quorum::Joined(controller) => ("broker", 2, controller, String::new()),
    };
    format!(
        "process.roles={roles}
node.id={node}
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=CLIENTS://127.0.0.1:{port},PROXIED://127.0.0.1:{second},INTERNAL://127.0.0.1:{internal}{its}{listener}
advertised.listeners=CLIENTS://127.0.0.1:{port},PROXIED://127.0.0.1:{advertised},INTERNAL://127.0.0.1:{internal}{listener}
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=CLIENTS:PLAINTEXT,PROXIED:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
log.retention.check.interval.ms=3600000
{settings}"
    )
}

/// A running S3 server.
#[derive(Debug)]
pub struct S3 {
    /// Where it listens.
    pub port: u16,
    /// Its process.
    pub server: Server,
    /// The folder that holds a folder a bucket.
    pub buckets: PathBuf,
}

impl S3 {
    /// Starts versitygw over `dir/buckets`.
    pub fn versitygw(stack: &Stack, dir: &Path, start: Start, port: Option<u16>) -> Result<S3> {
        let (buckets, iam) = (dir.join("buckets"), dir.join("iam"));
        fs::create_dir_all(buckets.join(BUCKET))?;
        fs::create_dir_all(&iam)?;
        let port = chosen(port)?;
        let mut command = Command::new(stack.bin("versitygw"));
        command.args(["--port", &format!("127.0.0.1:{port}"), "--keep-alive", "--quiet", "--health", "/healthz"]);
        command.arg("--iam-dir").arg(&iam).arg("posix").arg(&buckets);
        command.env("ROOT_ACCESS_KEY", ACCESS_KEY).env("ROOT_SECRET_KEY", SECRET_KEY);
        let mut server = start("versitygw", &command, &dir.join("s3.log"))?;
        server.wait_ready(READY, || accepts(port))?;
        Ok(S3 { port, server, buckets })
    }

    /// Starts MinIO over `dir/buckets`.
    pub fn minio(stack: &Stack, dir: &Path, start: Start) -> Result<S3> {
        let buckets = dir.join("buckets");
        fs::create_dir_all(buckets.join(BUCKET))?;
        let port = chosen(None)?;
        let [console] = free_ports()?;
        let mut command = Command::new(stack.bin("minio"));
        command.args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")]);
        command.args(["--console-address", &format!("127.0.0.1:{console}")]).arg(&buckets);
        command.env("MINIO_ROOT_USER", ACCESS_KEY).env("MINIO_ROOT_PASSWORD", SECRET_KEY);
        command.env("MINIO_BROWSER", "off").env("MINIO_UPDATE", "off");
        let mut server = start("MinIO", &command, &dir.join("s3.log"))?;
        server.wait_ready(READY, || accepts(port))?;
        Ok(S3 { port, server, buckets })
    }

    /// Its endpoint.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl S3 {
    /// Makes a user of versitygw, who may do nothing yet.
    pub fn create_user(&self, stack: &Stack, access: &str, secret: &str) -> Result<()> {
        let mut command = Command::new(stack.bin("versitygw"));
        command.args(["admin", "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--endpoint-url", &self.url()]);
        command.args(["create-user", "--access", access, "--secret", secret, "--role", "user"]);
        let output = command.stdin(Stdio::null()).output().context("cannot run versitygw")?;
        if !output.status.success() {
            bail!("versitygw makes no user: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Puts a policy of the bucket into force.
    pub fn put_policy(&self, policy: &str) -> Result<()> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail-with-body", "--aws-sigv4", "aws:amz:us-east-1:s3"]);
        curl.args(["--user", &format!("{ACCESS_KEY}:{SECRET_KEY}"), "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
        curl.args(["-X", "PUT", "--data-binary", policy, &format!("{}/{BUCKET}?policy=", self.url())]);
        let output = curl.output().context("cannot run curl")?;
        if !output.status.success() {
            bail!("the policy is not taken: {}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(())
    }
}

/// A running toxiproxy; its proxies and toxics are made through its API.
#[derive(Debug)]
pub struct Toxiproxy {
    /// The port of its API.
    pub api: u16,
    /// Its process.
    pub server: Server,
}

impl Toxiproxy {
    /// Starts it without any proxy.
    pub fn start(stack: &Stack, dir: &Path) -> Result<Toxiproxy> {
        fs::create_dir_all(dir)?;
        let [api] = free_ports()?;
        let mut command = Command::new(stack.bin("toxiproxy-server"));
        command.args(["-host", "127.0.0.1", "-port", &api.to_string()]);
        let mut server = Server::guarded("toxiproxy", &command, &dir.join("toxiproxy.log"))?;
        server.wait_ready(READY, || accepts(api))?;
        Ok(Toxiproxy { api, server })
    }
}

fn chosen(port: Option<u16>) -> Result<u16> {
    match port {
        Some(port) => Ok(port),
        None => Ok(free_ports::<1>()?[0]),
    }
}
