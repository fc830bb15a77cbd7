//! A lake as a source: what its raw tables and dead letters hold, in the order of its bindings, as the records that they came
//! from. A new lake that is filled from it is what it would be had it read the whole log itself (P3), and goes on from the
//! topics where the old one stood.
//!
//! **Contract** ([`crate::source`]). Topic, partition, offset and log time of a record are those that the old lake recorded;
//! its payload is rebuilt (`src/columns/rebuild.rs`) and decoded anew, so its disposition is decided anew, too. Next offsets
//! come from the bindings, as offsets have gaps. The end of a partition is where the old lake's last commit has it; while the
//! old lake's run goes on, it is followed.
//!
//! **Only reads.** Of an old lake, whatever its format, settings, commits, and the files that these name of raw tables and dead
//! letters count; nothing is claimed or written there. A file that is missing or is not what was written is a loss: the run
//! ends with 6, unless losses are accepted.
//!
//! ```text
//! commits (old.rs, commits.rs) -> a portion: epochs and their files (portion.rs) -> their rows, by partition (load.rs) -> reader.rs
//! ```
//!
//! **Why nobody waits for ever.** All partitions of a worker are read together, a portion of some epochs after the other, and what
//! waits to be handed out is bounded. A partition that has nothing left while there is no room is read ahead by itself if it is
//! behind all that waits: others may be waiting for it (aligned backfill), and whoever is the furthest behind is always polled.

mod catalog;
mod commits;
mod load;
mod old;
mod portion;
mod reader;

#[cfg(test)]
mod tests;

pub use catalog::OriginCatalog;
pub use old::{OldLake, Options, SETTLED};
pub use reader::OriginReader;
