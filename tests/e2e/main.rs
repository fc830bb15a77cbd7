//! End-to-end tests: the program as processes against a real broker, a real S3 server and independent readers.
//!
//! One file a promise or an edge. `cargo xtask test` starts the servers; without them these tests are skipped, and say
//! so. One binary, so that it is linked once.
#![allow(clippy::print_stdout, reason = "a failed test shows its seed and its processes' logs")]

#[path = "../common/mod.rs"]
mod common;

mod age;
mod aged;
mod alerting;
mod alerts;
mod answers;
mod bad_input;
mod broker_away;
mod causes;
mod command_line;
mod deploy;
mod disk_full;
mod ending;
mod erasure;
mod errors;
mod fencing;
mod foreign_producer;
mod holding;
mod hostile;
mod kafka_edges;
mod kill;
mod launch;
mod launch_kill;
mod live;
mod memory;
mod monitoring;
mod oracle;
mod origin;
mod packing;
mod page;
mod points;
mod readers;
mod ready;
mod real_servers;
mod restore;
mod retention;
mod rights;
mod sealed_reads;
mod sealing;
mod secured;
mod store_edges;
mod truth;
mod versions;
mod views;
mod why;
