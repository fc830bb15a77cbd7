//! Rows to durable Parquet files, and the descriptions of those files downstream.
//!
//! Two operators, `write` and `gather`, each with an [encoder thread](encoder_thread) of its own: `write` makes files of
//! what its worker has plenty of and sends the rest, encoded, to one worker a table, where `gather` [joins](join) it to one
//! file. The thread's [encoder] sorts rows by event time into bounded row groups, by table and date.

pub mod complete;
pub mod encoder;
pub mod encoder_thread;
pub(in crate::sink) mod group;
mod join;
mod operators;
mod properties;

pub use complete::complete;
pub use encoder::{Encoder, EncoderOptions};
pub use group::EncodedFile;
pub use operators::{Written, gather, write};
pub(in crate::sink) use properties::Properties;

use crate::error::RunError;

/// Rows that do not fit their table's schema, or a codec that failed: always a fault of this program.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Columns that do not fit.
    #[error("columns that do not fit their table: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A Parquet file that could not be written.
    #[error("a Parquet file could not be written: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}

impl From<EncodeError> for RunError {
    fn from(error: EncodeError) -> Self {
        RunError::Integrity(error.to_string())
    }
}

#[cfg(test)]
mod tests;
