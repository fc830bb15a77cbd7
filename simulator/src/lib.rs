//! A simulated city: vehicles between London and Birmingham, its weather, traffic and incidents, whose truth is known.
//!
//! Pure: no I/O, no clock, no environment. What comes out is a function of [`Options`] alone: every number is a hash of
//! the seed and of what it is for (`draw`), so it matters neither how fast records are asked for nor how many threads make
//! them.
//!
//! ```text
//! road, weather, incidents -> city -> vehicles' steps -> five records each -> trouble -> messages
//!                                                                                \-> truth
//! ```
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod city;
mod draw;
mod effects;
mod held;
mod incidents;
mod malformed;
mod options;
mod overlay;
mod refusal;
mod report;
mod road;
mod simulator;
mod slice;
mod topics;
mod trouble;
mod truth;
mod vehicle;
mod weather;

#[cfg(test)]
mod tests;

pub use effects::Effects;
pub use malformed::Defect;
pub use options::{Options, default_start};
pub use overlay::Overlay;
pub use refusal::OptionsError;
pub use simulator::{Message, Simulator};
pub use trouble::Trouble;
pub use truth::{Expected, Happened, Injected, Truth};
