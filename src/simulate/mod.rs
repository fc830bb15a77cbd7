//! Vehicles that drive from London to Birmingham and report, in the wire format: what the original producer does, for any
//! number of vehicles and as fast as wanted.
//!
//! [`Simulator`] is pure: the records are a function of its options, the seed among them. [`run`] paces them and
//! hands them to a [`Sink`]: a directory of JSON lines, Kafka, or nothing. Log timestamps are simulated times: they start in
//! the past, and `run` never lets them pass the wall clock.

mod format;
mod kafka;
mod malformed;
mod options;
mod pace;
mod random;
mod records;
mod simulator;
mod sink;
mod vehicle;

#[cfg(test)]
mod tests;

pub use kafka::KafkaSink;
pub use options::{Faults, Key, OptionsError, SimOptions, default_start};
pub use pace::{Pace, run};
pub use simulator::{Counts, SimRecord, Simulator};
pub use sink::{JsonlSink, NullSink, Sink, SinkError};
