//! P2, P3: every record lands exactly once, and the tables are the same at any number of processes and workers.

use crate::common::{Generator, Plan, Rng, Servers, Shape, Topics, sized};

#[test]
fn every_record_lands_once_and_the_same_at_any_width() {
    let Some(servers) = Servers::find() else { return };
    let records = sized(100_000, 1_000_000);
    let topics = Topics::create(&servers, "real", 4);
    let mut made = Generator::new(Rng::from_environment(), Shape::mixed());
    topics.produce((0..records).map(|n| made.next(1_790_000_000_000 + n * 20)));

    let plan = Plan::kafka_to_s3(&servers, &topics);
    plan.drain(2, 2);
    plan.verify();
    let rows = plan.lake().check(&plan, &made).rows();
    for (processes, workers, epoch) in [(1, 1, "250ms"), (1, 2, "100ms"), (3, 1, "500ms")] {
        let plan = Plan::kafka_to_s3(&servers, &topics).flag("epoch", epoch);
        plan.drain(processes, workers);
        plan.verify();
        assert_eq!(plan.lake().contents(&plan, &made).rows(), rows, "at {processes} x {workers}");
    }
}
