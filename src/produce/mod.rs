//! What writes records to topics: a simulated city at a pace, and what live APIs tell.

pub mod feed;
pub mod simulate;
