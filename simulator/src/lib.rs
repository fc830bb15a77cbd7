//! A simulated city: vehicles between London and Birmingham, its weather, traffic and incidents, whose truth is known.
//!
//! Pure: no I/O, no clock, no environment. What comes out is a function of the options alone.

pub mod wire;
