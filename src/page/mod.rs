//! The page and its API: live views of the city as snapshots and as streams of changes.
//!
//! ```text
//! frames of the dataflow -> feed -> hub -> /api/views, /api/views/NAME, /api/views/NAME/changes
//! assets ------------------------------------> /
//! ```

mod access;
mod area;
mod arrow;
mod assets;
pub mod connections;
mod feed;
mod guard;
mod hub;
mod rows;
mod show;
mod standing;
mod views;

pub use access::values;
pub use feed::feed;
pub use hub::Hub;
pub use show::key as key_text;
pub use views::{Site, router};
