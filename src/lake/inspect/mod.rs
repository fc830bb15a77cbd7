//! What people and programs ask of a lake: where it stands, how to read it, whether it is sound.

pub mod beyond;
pub mod dead_letters;
pub mod scan;
pub mod sql;
pub mod status;
pub mod tail;
pub mod verify;
pub mod wait;
