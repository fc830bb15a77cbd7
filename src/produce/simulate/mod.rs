//! A simulated city at a pace, into a sink: a directory of JSON lines, Kafka, or nothing.
//!
//! What is sent is [`citystream_simulator`]'s, a function of its options alone; here is how fast, and where to. Log
//! timestamps are simulated times: they start in the past, and [`run`] never lets them pass the wall clock.

mod kafka;
mod pace;
mod sink;

#[cfg(test)]
mod tests;

pub use kafka::KafkaSink;
pub use pace::{Pace, run, wall_ms};
pub use sink::{JsonlSink, NullSink, Sink, SinkError};
