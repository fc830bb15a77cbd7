//! Why the processes do not come together. Each message is one line: what, where, what to do.

use std::fmt;
use std::time::Duration;

use crate::watch::PeerLost;

/// Why a process cannot join the others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Its own address is in use.
    #[error("port taken: {address} (process {process}) is in use; stop what listens there, or change its address")]
    PortTaken {
        /// This process.
        process: usize,
        /// Its address.
        address: String,
    },
    /// Its own address cannot be listened on.
    #[error("cannot listen on {address}, the address of process {process}: {reason}; does --process fit this machine?")]
    Listen {
        /// This process.
        process: usize,
        /// Its address.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// Strangers could join.
    #[error(
        "process {process} is at {address}, which is no loopback address, and there is no secret to keep strangers out: set \
         CITYSTREAM_CLUSTER_SECRET, or _FILE, for all processes (`openssl rand -hex 32` makes one), or --insecure-cluster where \
         nobody else reaches these addresses"
    )]
    Exposed {
        /// The first such process.
        process: usize,
        /// Its address.
        address: String,
    },
    /// Some peers were not there in time.
    #[error("not connected within {}: {}", Seconds(*waited), List(missing))]
    Unreachable {
        /// Who is missing, in order; never empty.
        missing: Vec<Missing>,
        /// The deadline that passed.
        waited: Duration,
    },
    /// A peer was started in another way.
    #[error("{peer} does not belong to this start: {mismatch}")]
    Mismatch {
        /// Which process, as far as it is known, and where it is.
        peer: String,
        /// What differs.
        mismatch: Mismatch,
    },
    /// A peer sent this process away.
    #[error("refused by process {process} at {address}: {reason}")]
    Refused {
        /// The peer.
        process: usize,
        /// Where it is.
        address: String,
        /// Its words.
        reason: String,
    },
    /// A peer was there and went away before all were ready.
    #[error(transparent)]
    PeerLost(#[from] PeerLost),
    /// The operating system would not do its part.
    #[error("cannot start: {0}")]
    System(String),
}

/// A peer that was not there in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The process.
    pub process: usize,
    /// Where it should be.
    pub address: String,
    /// The last thing known of it.
    pub last: String,
}

/// How a peer differs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another number of processes.
    #[error("it has --processes {theirs}, this one {ours}")]
    Processes {
        /// This process's number.
        ours: u32,
        /// The peer's number.
        theirs: u32,
    },
    /// Another number of workers.
    #[error("it has --workers {theirs}, this one {ours}")]
    Workers {
        /// This process's number.
        ours: u32,
        /// The peer's number.
        theirs: u32,
    },
    /// Other settings.
    #[error("its settings differ (compare `citystream config` on both)")]
    Settings,
    /// Another process answers there.
    #[error("it says that it is process {theirs}: the hostfiles differ, or two processes share an index")]
    Index {
        /// The index that the peer says it has.
        theirs: u32,
    },
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", (self.0.as_secs_f64() * 10.0).round() / 10.0)
    }
}

pub(crate) struct List<'a>(pub(crate) &'a [Missing]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Missing { process, address, last }) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}process {process} at {address} ({last})")?;
        }
        Ok(())
    }
}
