//! The lake: Parquet files, and the commits that say which of them count.
//!
//! **Invariant (P2):** `commits/<seq>.json` is the truth: dense, chained by digests, put if absent, never deleted.
//! Everything else (snapshots, Delta logs) is a function of it and may be missing.

pub mod checkpoint;
mod checkpoint_file;
pub mod commit;
pub mod commits_table;
pub mod committer;
pub mod delta;
pub mod delta_schema;
pub mod history;
pub mod layout;
pub mod probe;
pub mod protocol;
pub mod publish;
pub mod reach;
pub mod recover;
pub mod rows;
pub mod s3;
pub mod seeds;
pub mod settings;
pub mod sql;
pub mod status;
pub mod store;
pub mod store_error;
#[cfg(test)]
pub(crate) mod testing;
pub mod verify;

pub use committer::{CommitError, Committer};
pub use history::State;
pub use s3::StoreOptions;
pub use store::Lake;
pub use store_error::StoreError;

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 in hex: how one commit names the one before.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

/// A new 128-bit random id in hex, for a run or a lake.
pub fn random_id() -> Result<String, StoreError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| StoreError::Unusable(format!("no random numbers from the system: {e}")))?;
    Ok(hex(&bytes))
}
