//! The original producer, unchanged: keys are record ids, event time runs ahead of the broker's clock.

use std::collections::BTreeMap;

use crate::common::{Plan, Servers, Topics, python, sized};

#[test]
fn a_foreign_producer_ahead_of_the_clock_is_never_late() {
    let Some(servers) = Servers::find() else { return };
    let topics = Topics::create_stamped_by_broker(&servers, "foreign", 4);
    let plan = Plan::kafka_to_s3(&servers, &topics);
    let ids = plan.fresh_path("foreign-ids");
    let steps = sized("400", "1500");
    let names = topics.names();
    let mut args = vec![topics.bootstrap(), steps, ids.to_str().expect("a path")];
    args.extend(names.iter().map(String::as_str));
    python::run("foreign_producer.py", &args);

    plan.drain(1, 2);
    plan.verify();
    let contents = plan.lake().contents_with(&ids);
    contents.check_ids();
    let steps: u64 = steps.parse().expect("a number");
    for (table, rows) in &contents.dispositions {
        assert_eq!(*rows, BTreeMap::from([("on_time".into(), steps)]), "{table}");
    }
    assert_eq!(contents.raw_rows(), 5 * steps);
    assert_eq!(contents.tables["dead_letters"].0, 0);
}
