//! The history of a lake: commits, what they add up to, which may follow, and the one writer that makes them.

pub mod commit;
pub mod committer;
pub mod layout;
pub mod protocol;
pub mod read;
pub mod settings;
mod state;
pub mod views;

pub use state::{State, Violation, apply, bindings, check, keep_positions, name};
