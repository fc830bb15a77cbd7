//! Rows to Parquet files, in memory: sorted by event time, in bounded row groups, by table and log date.

pub mod complete;
pub mod encoder;
mod group;
mod properties;
#[cfg(test)]
mod tests;

pub use complete::complete;
pub use encoder::{EncodedFile, Encoder, EncoderOptions, Remainder, Sealed};

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
