//! Rows to durable Parquet files, and the descriptions of those files downstream.
//!
//! Two operators, `write` and `gather`, each with a [lane](lane) of its own: `write` makes files of what its worker
//! has plenty of and sends the rest to one worker a table, where `gather` makes one file of all of it.

pub mod encoder;
pub mod lane;
mod operators;

pub use operators::{Written, gather, write};
