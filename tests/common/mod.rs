//! The harness of the end-to-end tests: real servers, the real program as processes, independent readers.
//!
//! Every wait has a deadline, every process is ended by its id, every random choice comes from a seed that is printed.

pub(crate) mod cluster;
pub(crate) mod document;
pub(crate) mod endpoints;
pub(crate) mod faults;
pub(crate) mod files;
pub(crate) mod growing;
pub(crate) mod json_log;
pub(crate) mod kafka;
pub(crate) mod lake;
pub(crate) mod launched;
pub(crate) mod live;
pub(crate) mod plan;
pub(crate) mod python;
pub(crate) mod records;
pub(crate) mod rng;
pub(crate) mod servers;
pub(crate) mod small_disk;
pub(crate) mod store_proxy;

pub(crate) use cluster::Cluster;
pub(crate) use kafka::Topics;
pub(crate) use lake::Lake;
pub(crate) use live::while_producing;
pub(crate) use plan::Plan;
pub(crate) use records::{Generator, Shape};
pub(crate) use rng::Rng;
pub(crate) use servers::{Servers, sized};

use std::time::{Duration, Instant};

/// Waits until `holds`, looking every 100 ms; panics with `what` once `limit` has passed.
pub(crate) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not so after {} s: {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}
