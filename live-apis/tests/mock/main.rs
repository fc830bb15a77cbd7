//! The feeds against servers that answer as the APIs do, that fail in every way, and that cut the line. Everything on
//! the loopback address; what is waited for is short and bounded.
#![allow(clippy::unwrap_used)]

mod answers;
mod failures;
mod keys;
mod quota;
mod raw;
mod world;
