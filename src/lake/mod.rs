//! The lake: Parquet files, and the commits that say which of them count.
//!
//! **Invariant (P2):** `commits/<seq>.json` is the truth: dense, chained by digests, put if absent, never deleted.
//! Everything else (snapshots, Delta logs) is a function of it and may be missing.

pub mod delta;
pub mod history;
pub mod inspect;
pub mod recovery;
pub mod repair;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;

pub use history::State;
pub use history::committer::{CommitError, Committer};
pub use store::error::StoreError;
pub use store::s3::StoreOptions;
pub use store::{Lake, digest, random_id};
