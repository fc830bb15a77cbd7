//! Rows to durable files, files to commits, commits to whoever follows them.

pub mod commit;
pub mod write;
