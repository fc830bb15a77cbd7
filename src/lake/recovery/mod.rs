//! What a start reads from the lake: the records and rows that are not final yet.

pub mod lookback;
pub mod seeds;
