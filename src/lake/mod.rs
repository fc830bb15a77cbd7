//! The lake: Parquet files, and the commits that say which of them count.

pub mod commit;
