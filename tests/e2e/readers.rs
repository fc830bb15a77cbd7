//! P2 for readers: at one version, all tables together are exactly one commit, also while the pipeline writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::{Generator, Plan, Rng, Servers, Shape, Topics, python, sized, wait_until};

#[test]
fn every_read_while_the_pipeline_writes_is_exactly_one_commit() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create(&servers, "readers", 2);
    let plan = Plan::kafka_to_s3(&servers, &topics).flag("commit-interval", "500ms");
    let stop = AtomicBool::new(false);
    let made = thread::scope(|scope| {
        let producer = scope.spawn(|| produce_until(&topics, &stop));
        let mut run = plan.start(2, 1);
        let lake = plan.lake();
        wait_until("some commits", Duration::from_secs(60), || lake.commits().len() > 3);
        let answer = python::run("readers.py", &[lake.place(), sized("100", "400")]);
        println!("{answer}");
        assert!(run.running(), "the pipeline ended while it was read");
        stop.store(true, Ordering::Relaxed);
        run.interrupt();
        producer.join().expect("the producer")
    });
    plan.drain(1, 1);
    plan.lake().check(&plan, &made);
}

fn produce_until(topics: &Topics, stop: &AtomicBool) -> Generator {
    let mut made = Generator::new(Rng::from_environment(), Shape { partitions: 2, ..Shape::mixed() });
    let mut feed = topics.feed();
    while !stop.load(Ordering::Relaxed) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64;
        (0..20).for_each(|_| feed.send(&made.next(now)));
        thread::sleep(Duration::from_millis(20));
    }
    feed.finish();
    made
}
