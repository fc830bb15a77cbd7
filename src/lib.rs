//! citystream: five Kafka topics in; correct, explainable tables out, committed atomically.
//!
//! A record's way: `source -> decode -> classify -> write -> commit -> publish`.

pub mod lake;
pub mod source;
