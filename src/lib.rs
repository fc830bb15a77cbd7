//! citystream: five Kafka topics in; correct, explainable tables out, committed atomically.
//!
//! A record's way: `source -> decode -> classify -> (derive) -> write -> commit -> publish`.

pub mod cli;
pub mod commands;
pub mod commit;
pub mod config;
pub mod decode;
pub mod error;
pub mod explain;
pub mod extract;
pub mod feed;
pub mod lake;
pub mod metrics;
pub mod names;
pub mod process;
pub mod render;
pub mod run;
pub mod simulate;
pub mod source;
pub mod sources;
pub mod tables;
pub mod write;
