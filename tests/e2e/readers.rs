//! P2 for readers: at one version, all tables together are exactly one commit, also while the pipeline writes.

use std::time::Duration;

use crate::common::{Plan, Servers, Shape, Topics, python, sized, wait_until, while_producing};

#[test]
fn every_read_while_the_pipeline_writes_is_exactly_one_commit() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "readers", 2);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("commit-interval", "5s");
    let shape = Shape { partitions: 2, ..Shape::mixed() };
    let made = while_producing(&topics, shape, 20, || {
        let mut run = plan.start(2, 1);
        let lake = plan.lake();
        wait_until("some commits", Duration::from_secs(60), || lake.commits().len() > 2);
        let answer = python::run("readers.py", &[lake.place(), sized("100", "400")]);
        println!("{answer}");
        assert!(run.running(), "the pipeline ended while it was read");
        run.interrupt();
    });
    plan.drain(1, 1);
    plan.verify();
    plan.lake().check(&plan, &made);
}
