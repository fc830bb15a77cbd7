//! Why a history could not be read, or may not go on so.

use crate::lake::store::error::StoreError;

/// What a commit breaks: one line. Exit code 5.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// Why a history could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The store did not give it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it gave is not a sound history: exit code 5.
    #[error(transparent)]
    Integrity(#[from] Violation),
}
