//! Rows to durable files, files to commits, commits to whoever follows them.

pub mod commit;
pub mod compact;
pub mod erase;
pub mod retain;
pub mod tidy;
pub mod write;
