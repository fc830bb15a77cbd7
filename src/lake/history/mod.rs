//! The history of a lake: commits, what they add up to, which may follow, and the one writer that makes them.

pub mod alerts;
pub mod commit;
pub mod committer;
pub mod layout;
pub mod live;
pub mod packs;
mod part;
pub mod protocol;
pub mod read;
pub mod roots;
pub mod settings;
mod state;
pub mod views;

pub use live::Live;
pub use state::{State, Violation, apply, bindings, check, keep_positions, name};
