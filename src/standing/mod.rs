//! Standing views as users see them: what they may ask ([`definition`]), and which there are ([`registry`]). And alerts: what is
//! declared ([`rule`]), and what becomes of it at a seal ([`decisions`]), or by the
//! clock, where it is about silence ([`silence`]).
//!
//! ```text
//! citystream.toml, the lake ----------------+
//! POST, DELETE -> page -> registry -> clock -+-> tick -> every worker, and the next commit
//! ```

mod decisions;
mod definition;
mod registry;
mod rule;
mod silence;

pub use decisions::Decisions;
pub use definition::{Definition, Limits, Refused};
pub use registry::Registry;
pub use rule::{Rules, rules};
pub use silence::{Heard, Silences};
