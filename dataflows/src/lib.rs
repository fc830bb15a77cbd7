//! The dataflow of citystream and its types.
//!
//! Pure: no I/O, no wall clock, no environment. What happens here is a function of the records and of the
//! [bindings] that say which epoch each of them belongs to.

pub mod bindings;
pub mod changes;
pub mod city;
pub mod classify;
pub mod disposition;
pub mod enrich;
pub mod hash;
pub mod incidents;
pub mod measures;
pub mod progress;
pub mod reason;
pub mod records;
pub mod repeats;
pub mod stage;
pub mod tables;
pub mod ticks;
pub mod time;
pub mod timeline;
pub mod turns;
pub mod windows;
