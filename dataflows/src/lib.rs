//! The dataflow of citystream and its types.
//!
//! Pure: no I/O, no wall clock, no environment. What happens here is a function of the records and of the
//! [bindings](time::bindings) that say which epoch each of them belongs to.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod city;
pub mod held;
pub mod operators;
pub mod records;
pub mod tables;
pub mod time;
