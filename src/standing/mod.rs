//! Standing views as users see them: what they may ask ([`definition`]), and which there are ([`registry`]).
//!
//! ```text
//! citystream.toml, the lake ----------------+
//! POST, DELETE -> page -> registry -> clock -+-> tick -> every worker, and the next commit
//! ```

mod definition;
mod registry;

pub use definition::{Definition, Limits, Refused};
pub use registry::Registry;
