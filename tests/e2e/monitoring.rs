//! The dashboard and the alerts of docs/monitoring ask for what a run serves.

use std::process::Command;
use std::time::Duration;

use crate::common::{Cluster, Generator, Plan, Rng, Servers, Shape, Topics, endpoints, python, wait_until};

#[test]
fn every_query_of_the_dashboard_and_the_alerts_has_its_metrics() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "monitoring", 1);
    let addresses = [endpoints::fresh_address(), endpoints::fresh_address()];
    let address = &addresses[0];
    let plan = Plan::kafka_to_s3(&servers, &topics).without("listen");
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 1, ..Shape::mixed() });
    topics.produce((0..500).map(|n| made.next(1_790_000_000_000 + n)));
    let run = Cluster::listening(&plan, &addresses);
    // What a metric counts by is served once there is a value.
    let there = |name: &str| endpoints::ask(address, "/metrics").0.contains(&format!("\n{name}{{"));
    let by_value =
        ["citystream_records_total", "citystream_missed_total", "citystream_horizon_holder", "citystream_live_files"];
    wait_until("all metrics", Duration::from_secs(60), || by_value.into_iter().all(there));
    let metrics = plan.fresh_path("metrics");
    std::fs::write(&metrics, endpoints::ask(address, "/metrics").0).expect("a file of metrics");
    println!("{}", python::run("monitoring.py", &[metrics.to_str().expect("a path")]));
    run.interrupt();
    if std::env::var_os("CITYSTREAM_FULL").is_some() {
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/monitoring/alerts.yml");
        let checked = Command::new(servers.stack.bin("promtool")).args(["check", "rules", rules]).output();
        let checked = checked.expect("promtool");
        assert!(checked.status.success(), "{checked:?}");
    }
}
