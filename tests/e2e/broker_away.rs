//! P1, P3: a broker that cannot be reached for longer than L, while records arrive there, makes nothing expired.

use std::time::{Duration, Instant};

use xtask::process::{Server, free_ports};
use xtask::servers::{Kafka, KafkaOptions};

use crate::common::cluster::Cluster;
use crate::common::faults::Proxy;
use crate::common::live::now_ms;
use crate::common::{Generator, Plan, Rng, Servers, Shape, Topics, sized, wait_until};

const SOON: Duration = Duration::from_secs(60);
const SHAPE: Shape = Shape { partitions: 4, late: 0.0, repeated: 0.0, disordered: 0.0 };

fn produce_for(topics: &Topics, made: &mut Generator, time: Duration) {
    let mut feed = topics.feed();
    let began = Instant::now();
    while began.elapsed() < time {
        let now = now_ms();
        (0..40).for_each(|_| feed.send(&made.next(now)));
        std::thread::sleep(Duration::from_millis(20));
    }
    feed.finish();
}

/// A broker of its own, behind a proxy, with topics of four partitions.
struct Away {
    // Dropping them ends the broker.
    _folder: tempfile::TempDir,
    proxy: Proxy,
    _kafka: Kafka,
    topics: Topics,
}

impl Away {
    fn start(servers: &Servers) -> Away {
        let folder = tempfile::TempDir::new().expect("a folder");
        let [second] = free_ports().expect("a free port");
        let proxy = Proxy::before(servers, folder.path(), &format!("127.0.0.1:{second}"));
        let options = KafkaOptions { proxied: Some((second, proxy.port)), ..KafkaOptions::default() };
        let kafka =
            Kafka::start(&servers.stack, &folder.path().join("kafka"), Server::guarded, options).expect("Kafka");
        let topics = Topics::at(&kafka.bootstrap(), "away");
        topics.make(4, "CreateTime");
        Away { _folder: folder, proxy, _kafka: kafka, topics }
    }

    fn plan(&self, servers: &Servers) -> Plan {
        Plan::kafka_to_files(servers, &self.topics)
            .flag("bootstrap-servers", &format!("127.0.0.1:{}", self.proxy.port))
            .flag("lateness", "4s")
            .flag("slack", "1s")
    }
}

#[test]
fn a_broker_out_of_reach_for_longer_than_the_lateness_expires_nothing() {
    let Some(servers) = Servers::find() else { return };
    let away = Away::start(&servers);
    let (plan, topics, proxy) = (away.plan(&servers), &away.topics, &away.proxy);
    let mut made = Generator::new(Rng::from_environment(), SHAPE);
    let mut run = plan.start(1, 2);
    produce_for(topics, &mut made, Duration::from_secs(2));
    wait_until("it commits", SOON, || plan.lake().read() > 0);
    ["upstream", "downstream"].iter().for_each(|way| proxy.add("timeout", way, r#"{"timeout": 0}"#));
    produce_for(topics, &mut made, sized(Duration::from_secs(10), Duration::from_secs(60)));
    assert!(run.running(), "the run ended: {}", run.said(0));
    ["upstream", "downstream"].iter().for_each(|way| proxy.remove("timeout", way));
    produce_for(topics, &mut made, Duration::from_secs(2));
    wait_until("all is committed", SOON, || plan.lake().read() == made.ids.len() as u64);
    run.interrupt();
    plan.verify();
    plan.lake().check(&plan, &made);
}

#[test]
fn a_slow_link_to_the_broker_is_waited_for_and_said() {
    let Some(servers) = Servers::find() else { return };
    let away = Away::start(&servers);
    let plan = away.plan(&servers);
    let mut made = Generator::new(Rng::from_environment(), SHAPE);
    produce_for(&away.topics, &mut made, Duration::from_secs(1));
    away.proxy.add("latency", "downstream", r#"{"latency": 900}"#);
    let mut run = Cluster::start(&plan, 1, 2, &["--until-drained"]);
    assert_eq!(run.wait(SOON), [0], "{}", run.said(0));
    assert!(run.said(0).contains("to say where its partitions end"), "{}", run.said(0));
    plan.verify();
    plan.lake().check(&plan, &made);
}
