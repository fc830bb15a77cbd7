//! citystream: five Kafka topics in; correct, explainable tables out, committed atomically.
//!
//! A record's way: `source -> decode -> classify -> write -> commit -> publish`.

pub mod decode;
pub mod lake;
pub mod source;
pub mod tables;
pub mod write;
