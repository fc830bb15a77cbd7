//! The history of a lake: commits, what they add up to, which may follow, and the one writer that makes them.

pub mod alerts;
pub mod base;
pub mod commit;
pub mod committer;
pub mod erasure;
mod error;
mod finality;
mod graves;
pub mod layout;
pub mod live;
pub mod needs;
mod packing;
pub mod packs;
mod part;
pub mod patience;
pub mod protocol;
pub mod read;
pub(in crate::lake) mod rebuilt;
pub mod requests;
pub mod retention;
pub mod roots;
pub mod settings;
mod state;
pub mod tidy;
pub mod versions;
pub mod views;

pub use error::Violation;
pub use live::Live;
pub use state::{State, apply, bindings, check, keep_positions, name};
