//! The rights that docs/operations.md calls the least: enough for a run, and none of them too many.

use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::process::Server;
use xtask::servers::{BUCKET, KAFKA_PASSWORD, KAFKA_USER, Kafka, KafkaOptions, S3};

use crate::common::json_log::JsonLog;
use crate::common::{Generator, Plan, Rng, Servers, Shape, Topics, document};

const START: i64 = 1_790_000_000_000;
/// What is said of topics whose timestamps nothing bounds, by who may look.
const WARNED: &str = "its producers set the timestamps";

/// Has the broker's own tool do what a command of the document says, with the test's topics.
fn run_acls(servers: &Servers, kafka: &Kafka, topics: &Topics, command: &str) {
    let mut command =
        command.replace("--command-config admin.properties ", "").replace("kafka.example:9092", &kafka.bootstrap());
    for (name, ours) in ["vehicle", "gps", "traffic", "weather", "emergency"].iter().zip(topics.names()) {
        command = command.replace(&format!("--topic {name}_data"), &format!("--topic {ours}"));
    }
    let words = command.strip_prefix("kafka-acls.sh ").expect("a command of Kafka's").split_whitespace();
    let done = kafka.tool(&servers.stack, "org.apache.kafka.tools.AclCommand").args(words).output().expect("java");
    assert!(done.status.success(), "{command}: {done:?}");
}

/// Whether the group's offsets are known to the broker.
fn has_group_offsets(plan: &Plan) -> bool {
    let status = plan.manage(&["topics", "status", "--json"]);
    let Ok(lines) = serde_json::from_slice::<Vec<Value>>(&status.stdout) else { return false };
    lines.iter().any(|line| line["group"].is_i64())
}

#[test]
fn the_least_rights_on_kafka_are_enough_and_each_is_needed() {
    let Some(servers) = Servers::find() else { return };
    let folder = TempDir::new().expect("a folder");
    let options = KafkaOptions { secured: true, authorized: true, ..KafkaOptions::default() };
    let kafka = Kafka::start(&servers.stack, &folder.path().join("kafka"), Server::guarded, options).expect("Kafka");
    let secured = kafka.secured.as_ref().expect("a secured listener");
    let topics = Topics::at(&kafka.bootstrap(), "rights");
    topics.make(1, "CreateTime");
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 1, ..Shape::mixed() });
    topics.produce((0..500).map(|n| made.next(START + n)));
    let plan = Plan::kafka_to_files(&servers, &topics)
        .flag("bootstrap-servers", &secured.bootstrap())
        .kafka_setting("security.protocol", "SASL_SSL")
        .kafka_setting("sasl.mechanism", "SCRAM-SHA-256")
        .kafka_setting("sasl.username", KAFKA_USER)
        .kafka_setting("sasl.password", KAFKA_PASSWORD)
        .kafka_setting("ssl.ca.location", &secured.authority.display().to_string());
    let all = document::block("tests/e2e/rights.rs runs");
    let [of_topics, of_group] = all.lines().collect::<Vec<_>>()[..] else { panic!("two commands: {all}") };
    let run = || plan.end_of_run(&["--until-drained"]);

    let (code, said) = run();
    assert!(code == 2 && said.contains("uthoriz") && plan.lake().commits().is_empty(), "no rights: {code} {said}");
    run_acls(&servers, &kafka, &topics, &of_topics.replace("--operation DescribeConfigs ", ""));
    let (code, said) = run();
    assert!(code == 0 && !said.contains(WARNED), "without DescribeConfigs: {code} {said}");
    assert!(!has_group_offsets(&plan), "without the group");
    run_acls(&servers, &kafka, &topics, of_topics);
    run_acls(&servers, &kafka, &topics, of_group);
    topics.produce((0..500).map(|n| made.next(START + 1000 + n)));
    let (code, said) = run();
    assert!(code == 0 && said.contains(WARNED), "{code} {said}");
    assert!(has_group_offsets(&plan));
    plan.verify();
    plan.lake().check(&plan, &made);
}

/// A user of an S3 server of the test's own, and what they may do.
struct Least {
    s3: S3,
    statements: Vec<Value>,
}

impl Least {
    const USER: &str = "least";

    fn start(servers: &Servers, folder: &TempDir) -> Least {
        let s3 = S3::versitygw(&servers.stack, folder.path(), Server::guarded, None).expect("an S3 server");
        s3.create_user(&servers.stack, Least::USER, "least-secret").expect("a user");
        let policy: Value = serde_json::from_str(&document::block("tests/e2e/rights.rs puts")).expect("a policy");
        let statements = policy["Statement"].as_array().expect("statements").clone();
        Least { s3, statements }
    }

    /// The user may do what these statements of the document say, below a prefix of the bucket.
    fn allow(&self, prefix: &str, is_kept: impl Fn(usize) -> bool) {
        let kept = self.statements.iter().enumerate().filter(|(at, _)| is_kept(*at));
        let ours = |(_, statement): (_, &Value)| {
            let mut statement = statement.clone();
            let resource = statement["Resource"].to_string();
            let resource = resource
                .replace(":::bucket/city", &format!(":::{BUCKET}/{prefix}"))
                .replace(":::bucket", &format!(":::{BUCKET}"));
            statement["Resource"] = serde_json::from_str(&resource).expect("resources");
            statement["Principal"] = json!({"AWS": [Least::USER]});
            statement
        };
        let policy = json!({"Version": "2012-10-17", "Statement": kept.map(ours).collect::<Vec<_>>()});
        self.s3.put_policy(&policy.to_string()).expect("a policy");
    }

    /// From a log into a lake at a prefix, with the user's rights.
    fn plan(&self, log: &JsonLog, prefix: &str) -> Plan {
        log.plan()
            .into_lake(&format!("s3://{BUCKET}/{prefix}"))
            .flag("s3-endpoint", &self.s3.url())
            .variable("AWS_ACCESS_KEY_ID", Least::USER)
            .variable("AWS_SECRET_ACCESS_KEY", "least-secret")
    }
}

#[test]
fn the_least_policy_on_s3_is_enough_and_each_statement_is_needed() {
    let Some(servers) = Servers::find() else { return };
    let (folder, log) = (TempDir::new().expect("a folder"), JsonLog::new());
    let least = Least::start(&servers, &folder);
    log.minute(0, 50);
    least.allow("city", |_| true);
    let plan = least.plan(&log, "city");
    let (code, said) = plan.end_of_run(&["--until-drained"]);
    assert!(code == 0 && !said.contains("remain"), "{code} {said}");
    plan.verify();
    let probes = least.s3.buckets.join(BUCKET).join("city/probe");
    let left = std::fs::read_dir(&probes).map_or(0, |found| found.count());
    assert_eq!(left, 0, "what the check of the store has made is deleted");
    // Beside its prefix it may do nothing.
    let (code, said) = least.plan(&log, "elsewhere").end_of_run(&["--until-drained"]);
    assert!(code == 2 && said.contains("access denied"), "{code} {said}");
    // Who only reads.
    least.allow("city", |at| {
        ["s3:ListBucket", "s3:GetObject"].iter().any(|action| least.statements[at]["Action"] == *action)
    });
    plan.verify();
    for (at, statement) in least.statements.iter().enumerate() {
        let prefix = format!("without-{at}");
        least.allow(&prefix, |other| other != at);
        let (code, said) = least.plan(&log, &prefix).end_of_run(&["--until-drained"]);
        let is_deletion = statement["Action"] == "s3:DeleteObject";
        let lacks = if is_deletion { code == 0 && said.contains("remain") } else { code == 2 };
        assert!(lacks, "without {statement}: {code} {said}");
    }
}
