//! Which processes and workers there are, and the checked sockets between them.
//!
//! A start has three steps, in this order and nowhere else:
//!
//! 1. [`Topology::new`]: `-n -w -p -h` as the user gave them, checked.
//! 2. [`Mesh::connect`]: every process holds a socket to every other one, each checked to be the right peer with
//!    the same settings, before a deadline. Nothing has been computed yet: now is the time to claim what may be
//!    claimed once only; the dataflow itself tells the others.
//! 3. [`Mesh::run`]: the workers start. A lost process ends the run of all others, as [`RunError::PeerLost`].
//!
//! Timely's membership is fixed: a lost process is not replaced; all start again from the last commit.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod accept;
mod dial;
mod error;
mod frame;
pub mod hostfile;
mod identity;
mod mesh;
mod panics;
mod run;
mod topology;
mod watch;

pub use error::{ClusterError, Mismatch, Missing};
pub use mesh::{Mesh, Options};
pub use panics::install_panic_hook;
pub use run::RunError;
pub use topology::{Topology, TopologyError};
pub use watch::PeerLost;
