//! A broker behind TLS and a password (SASL_SSL, SCRAM-SHA-256), reached by `--kafka` settings alone.

use std::path::Path;

use xtask::process::Server;
use xtask::servers::{KAFKA_PASSWORD, KAFKA_USER, Kafka, KafkaOptions, Secured};
use xtask::tls::Authority;

use crate::common::{Generator, Plan, Rng, Servers, Shape, Topics};
use crate::errors::ends_with;

const START: i64 = 1_790_000_000_000;

fn plan(servers: &Servers, topics: &Topics, secured: &Secured, authority: &Path, password: &str) -> Plan {
    Plan::kafka_to_files(servers, topics)
        .flag("bootstrap-servers", &secured.bootstrap())
        .kafka_setting("security.protocol", "SASL_SSL")
        .kafka_setting("sasl.mechanism", "SCRAM-SHA-256")
        .kafka_setting("sasl.username", KAFKA_USER)
        .kafka_setting("sasl.password", password)
        .kafka_setting("ssl.ca.location", &authority.display().to_string())
}

#[test]
fn a_secured_broker_is_read_and_a_wrong_password_or_authority_is_named() {
    let Some(servers) = Servers::find() else { return };
    let folder = tempfile::TempDir::new().expect("a folder");
    let options = KafkaOptions { secured: true, ..KafkaOptions::default() };
    let kafka = Kafka::start(&servers.stack, &folder.path().join("kafka"), Server::guarded, options).expect("Kafka");
    let secured = kafka.secured.as_ref().expect("a secured listener");
    let topics = Topics::at(&kafka.bootstrap(), "secured");
    topics.make(2, "CreateTime");
    let shape = Shape { partitions: 2, late: 0.0, repeated: 0.0, disordered: 0.0 };
    let mut made = Generator::new(Rng::from_environment(), shape);
    topics.produce((0..1_000).map(|n| made.next(START + n)));

    let right = plan(&servers, &topics, secured, &secured.authority, KAFKA_PASSWORD);
    right.drain(1, 2);
    right.verify();
    right.lake().check(&right, &made);
    let status = right.manage(&["topics", "status"]);
    assert!(status.status.success(), "{status:?}");

    let wrong = plan(&servers, &topics, secured, &secured.authority, "hunter2");
    ends_with(&wrong, &["--until-drained"], 2, &[&secured.bootstrap(), "credentials", "sasl"]);
    let (_, said) = wrong.end_of_run(&["--until-drained"]);
    assert!(!said.contains("hunter2"), "a secret is shown: {said}");
    assert_eq!(wrong.lake().commits(), [], "nothing was claimed");

    let other = Authority::new(&folder.path().join("other")).expect("another authority").certificate();
    let unknown = plan(&servers, &topics, secured, &other, KAFKA_PASSWORD);
    ends_with(&unknown, &["--until-drained"], 1, &[&secured.bootstrap(), "certificate", "ssl.ca.location"]);
    assert_eq!(unknown.lake().commits(), [], "nothing was claimed");
}
