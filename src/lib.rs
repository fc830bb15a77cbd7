//! citystream: five Kafka topics in; correct, explainable tables out, committed atomically.
//!
//! A record's way: `source -> columns -> pipeline -> sink -> lake`.

pub mod cli;
pub mod columns;
pub mod config;
pub mod error;
pub mod explain;
pub mod lake;
pub mod pipeline;
pub mod process;
pub mod produce;
pub mod sink;
pub mod source;
pub mod timestamps;
