//! The city, live: collections that show the present guess, kept right by retraction.
//!
//! ```text
//! pings ---> latest --+--------------------------> vehicles --+
//!                     +-- summed by cell --+                  |
//! traffic -> latest --+--------------------+-> cells ---------+
//!                     +-> levels -> clusters -----------------+-> changes -+------------------------+-> frames
//!                     +-> worst ------------------------------+            +-> standing views ------+   (worker 0)
//! lives ---> open lives -> incidents -------------------------+   commands --^  (peek when they begin)
//! ```
//!
//! Each collection is arranged once. A record is *in reach* here from the minute of the horizon on; what is behind that is retracted and freed. Every
//! collection is a function of the records in reach and of how epochs cut them (`since` of a level alone depends on the cut).
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod area;
pub mod cells;
pub mod clusters;
pub mod collections;
pub mod frames;
pub mod incidents;
pub mod latest;
pub mod rows;
pub mod standing;
pub mod updates;
pub mod worst;
