//! The lake: Parquet files, and the commits that say which of them count.
//!
//! **Invariant (P2):** `commits/<seq>.json`, later its pack, is the truth: dense, chained by digests, put if absent, never changed.
//! Everything else (snapshots, Delta logs) is a function of it and may be missing; but for the snapshot that stands for commits that are
//! kept no longer.

pub mod delta;
pub mod garbage;
pub mod history;
pub mod inspect;
pub mod origin;
pub mod recovery;
pub mod repair;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
pub mod traces;

pub use history::State;
pub use history::committer::{CommitError, Committer};
pub use store::error::StoreError;
pub use store::{Clock, Lake, StoreOptions, digest, random_id};

#[cfg(test)]
mod kept_tests;
