//! Which processes and workers there are, and the checked sockets between them.
//!
//! A start has three steps, in this order and nowhere else:
//!
//! 1. [`Topology::new`]: `-n -w -p -h` as the user gave them, checked.
//! 2. [`Mesh::connect`]: every process holds a socket to every other one, each checked to be the right peer with
//!    the same settings, before a deadline. Nothing has been computed yet: now is the time to claim what may be
//!    claimed once only; the dataflow itself tells the others.
//! 3. [`Mesh::run`]: the workers start. A process that is lost, or gives no sign of life, ends the run of all others, as
//!    [`RunError::PeerLost`].
//!
//! Timely's membership is fixed: a lost process is not replaced; all start again from the last commit.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod accept;
mod attempt;
mod complaints;
mod control;
mod dial;
mod end;
mod error;
mod frame;
mod generation;
mod handshake;
pub mod hostfile;
mod known;
mod lookout;
mod mesh;
mod messages;
mod panics;
mod pulse;
mod run;
mod secret;
mod slots;
mod sockets;
mod stream;
mod topology;
mod vitals;
mod watch;

pub use error::{ClusterError, Mismatch, Missing};
pub use generation::Generation;
pub use mesh::{Mesh, Options};
pub use panics::install_panic_hook;
pub use pulse::Liveness;
pub use run::RunError;
pub use secret::{Secret, ShortSecret};
pub use topology::{MOST, Topology, TopologyError};
pub use vitals::Vitals;
pub use watch::PeerLost;

/// What the fuzz target of the handshake takes from the inside; no interface for anyone else.
#[doc(hidden)]
pub mod parts {
    use std::io::Read;

    use crate::frame::{self, FrameError, HEADER, Kind};
    use crate::handshake::{CLAIM, Claim};

    /// The length of a hello.
    pub const HELLO: usize = HEADER + CLAIM;
    /// The longest payload of a handshake.
    pub const LONGEST: usize = frame::SHORT;

    /// What a listener makes of the first bytes of a connection: the hello in them, written again; `None` while more is
    /// to come.
    pub fn heard(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let stranger = |error: FrameError| error.to_string();
        let Some(payload) = frame::expected(bytes, Kind::Hello, CLAIM).map_err(stranger)? else { return Ok(None) };
        let hello = Claim::decode(payload).ok_or(FrameError::Stranger).map_err(stranger)?;
        Ok(Some(frame::encode(Kind::Hello, &hello.encode())))
    }

    /// A frame as a caller reads it, written again.
    pub fn answered(from: &mut impl Read) -> Result<Vec<u8>, String> {
        let (kind, payload) = frame::read(from, LONGEST).map_err(|error| error.to_string())?;
        Ok(frame::encode(kind, &payload))
    }
}
