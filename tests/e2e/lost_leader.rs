//! P6: a partition whose leader is lost before its first record has been read lets no state grow without bound. On the mock
//! cluster inside librdkafka: needs no server.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::common::json_log::{JsonLog, record};
use crate::common::kafka::Feed;
use crate::common::{Plan, Topics, endpoints, wait_until};

const SOON: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
const GPS: usize = 1;

/// Pings at their own log times.
fn send(feed: &mut Feed, partition: i32, device: impl Fn(u32) -> String, count: u32, apart: f64) {
    for n in 0..count {
        let (device, second) = (device(n), f64::from(n) * apart);
        let json = record(&format!("{device}-{n}"), &device, second).to_string();
        let time_ms = JsonLog::START * 1000 + (second * 1000.0) as i64;
        feed.send_raw(GPS, partition, time_ms, None, Some(json.as_bytes()));
    }
}

fn held(address: &str) -> u64 {
    endpoints::state(address).iter().map(|(_, bytes)| bytes).sum()
}

#[test]
fn p6_a_leader_lost_before_the_first_record_lets_no_state_grow_without_bound() {
    let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(2).expect("a cluster");
    let topics = Topics::at(&cluster.bootstrap_servers(), "leader");
    for name in topics.names() {
        cluster.create_topic(&name, 2, 1).expect("a topic");
    }
    let [_, gps, ..] = topics.names();
    // Two hours, of which nothing leaves reach before the horizon has moved: some 8 MiB of state.
    let mut feed = topics.feed();
    send(&mut feed, 0, |n| format!("bus-{n}"), 72_000, 0.1);
    send(&mut feed, 1, |_| "tram".into(), 100, 1.0);
    feed.finish();
    cluster.partition_leader(&gps, 1, None).expect("no leader");

    let address = endpoints::fresh_address();
    let plan = Plan::from_topics(&topics).flag("listen", &address).flag("state-memory", "1MiB");
    let run = plan.start(1, 2);
    wait_until("state is at its bound", SOON, || run.said(0).contains("--state-memory is 1 MiB"));
    std::thread::sleep(Duration::from_secs(5));
    let (held, read) = (held(&address), plan.lake().read());
    println!("{held} B of state, {read} records read");
    assert!(held < 2 * MIB, "{held} B of state after {read} records");
    assert!(read < 72_000, "nobody was held back");

    cluster.partition_leader(&gps, 1, Some(2)).expect("a leader");
    wait_until("all is committed", SOON, || plan.lake().read() == 72_100);
    run.interrupt();
    plan.verify();
}
