//! Records as Arrow columns: what tables look like, bytes to rows, rows to the records of the joins, changes to rows again.

pub mod decode;
pub mod extract;
pub mod names;
pub mod rebuild;
pub mod render;
pub mod row;
pub mod show;
pub mod tables;
pub mod text_hash;
pub mod whose;
