//! What packing and erasing have in common: files are read as their commits tell, at a pace, and what is made of them is held
//! against what was read.

mod pace;
mod rows;

pub use pace::{Now, Pace};
pub use rows::{Adder, Sum};

use bytes::Bytes;

use super::write::EncodeError;
use crate::error::RunError;
use crate::lake::digest;
use crate::lake::history::commit::File;
use crate::lake::history::read::ReadError;
use crate::lake::store::error::StoreError;

/// Why files were not made of others.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// A file is not what its commit says.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Which files there are.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was made is not what was to be made: a fault of this program.
    #[error("{0}")]
    Refused(String),
    /// A file could not be written: as above.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The run is over.
    #[error("the run is over")]
    Ended,
}

/// The bytes of a file, if they are those that its commit tells.
///
/// # Errors
/// They are not, or it is missing.
pub fn sound(file: &File, bytes: Option<Bytes>) -> Result<Bytes, TidyError> {
    let damaged = |why: &str| TidyError::Damaged { path: file.path.clone(), why: why.to_owned() };
    let bytes = bytes.ok_or_else(|| damaged("it is missing"))?;
    if digest(&bytes) != file.sha256 {
        return Err(damaged("its bytes are not those that its commit tells"));
    }
    Ok(bytes)
}

impl From<TidyError> for RunError {
    fn from(error: TidyError) -> Self {
        match error {
            TidyError::Store(error) => error.into(),
            TidyError::Read(error) => error.into(),
            TidyError::Damaged { .. } | TidyError::Refused(_) | TidyError::Encode(_) => {
                RunError::Integrity(error.to_string())
            }
            TidyError::Ended => RunError::Failed(error.to_string()),
        }
    }
}
