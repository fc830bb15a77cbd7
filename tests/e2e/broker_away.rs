//! P1, P3: a broker that cannot be reached for longer than L, while records arrive there, makes nothing expired.

use std::time::{Duration, Instant};

use crate::common::faults::ProxiedKafka;
use crate::common::live::now_ms;
use crate::common::{Cluster, Generator, Plan, Rng, Servers, Shape, Topics, sized, wait_until};

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

/// A broker of its own, topics of four partitions, and a plan that reaches it through the proxy.
struct Away {
    kafka: ProxiedKafka,
    topics: Topics,
    plan: Plan,
}

impl Away {
    fn start(servers: &Servers) -> Away {
        let kafka = ProxiedKafka::start(servers);
        let (topics, plan) = kafka.plan(servers, "away", 4);
        let plan = plan.flag("lateness", "4s").flag("slack", "1s");
        Away { kafka, topics, plan }
    }
}

#[test]
fn a_broker_out_of_reach_for_longer_than_the_lateness_expires_nothing() {
    let Some(servers) = Servers::find() else { return };
    let Away { kafka, topics, plan } = Away::start(&servers);
    let mut made = Generator::new(Rng::from_environment(), SHAPE);
    let mut run = plan.start(1, 2);
    produce_for(&topics, &mut made, Duration::from_secs(2));
    wait_until("it commits", SOON, || plan.lake().read() > 0);
    kafka.cut();
    produce_for(&topics, &mut made, sized(Duration::from_secs(10), Duration::from_secs(60)));
    assert!(run.running(), "the run ended: {}", run.said(0));
    kafka.mend();
    produce_for(&topics, &mut made, Duration::from_secs(2));
    wait_until("all is committed", SOON, || plan.lake().read() == made.ids.len() as u64);
    run.interrupt();
    plan.verify();
    plan.lake().check(&plan, &made);
}

#[test]
fn a_slow_link_to_the_broker_is_waited_for_and_said() {
    let Some(servers) = Servers::find() else { return };
    let Away { kafka, topics, plan } = Away::start(&servers);
    let mut made = Generator::new(Rng::from_environment(), SHAPE);
    produce_for(&topics, &mut made, Duration::from_secs(1));
    kafka.slow_down(900);
    let mut run = Cluster::start(&plan, 1, 2, &["--until-drained"]);
    assert_eq!(run.wait(SOON), [0], "{}", run.said(0));
    assert!(run.said(0).contains("to say where its partitions end"), "{}", run.said(0));
    plan.verify();
    plan.lake().check(&plan, &made);
}
