//! Stations that report what live APIs tell of their places: cameras, weather stations, and places whose emergency
//! services are known.
//!
//! A value is live, or cached, or made up, in that order, and its record says which.

mod climate;
mod live;
mod overlay;
mod records;
mod start;
mod stations;
mod stdout;

pub use live::Apis;
pub use records::{Reporter, Tally};
pub use start::start;
pub use stations::{Kind, Station, stations};
pub use stdout::StdoutSink;
