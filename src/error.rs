//! Why a run ends, and with which exit code.

use citystream_cluster::{ClusterError, RunError as WorkersError};

use crate::columns::extract::ExtractError;
use crate::columns::render::RenderError;
use crate::lake::history::Violation;
use crate::lake::history::read::ReadError;
use crate::lake::{CommitError, StoreError};
use crate::source::SourceError;

/// The exit code after a second signal.
pub const INTERRUPTED: i32 = 130;

/// Why a run ends. One line: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Something that may be otherwise the next time: a broker, a store or a peer that does not answer.
    #[error("{0}")]
    Failed(String),
    /// A mistake that no restart mends: the command line, a setting, a source or a lake that is not there.
    #[error("{0}")]
    Usage(String),
    /// Another run has claimed the lake.
    #[error("{0}")]
    Replaced(String),
    /// Another process of the cluster has gone.
    #[error("{0}")]
    PeerLost(String),
    /// The lake or the run contradicts itself.
    #[error("{0}")]
    Integrity(String),
    /// The log no longer holds what is to be read, or is another log.
    #[error("{0}")]
    SourceLost(String),
    /// Something did not happen in the time given.
    #[error("{0}")]
    TimedOut(String),
}

impl RunError {
    /// The process's exit code; a supervisor restarts on 1 and 4 only.
    pub fn exit_code(&self) -> i32 {
        match self {
            RunError::Failed(_) => 1,
            RunError::Usage(_) => 2,
            RunError::Replaced(_) => 3,
            RunError::PeerLost(_) => 4,
            RunError::Integrity(_) => 5,
            RunError::SourceLost(_) => 6,
            RunError::TimedOut(_) => 7,
        }
    }
}

impl From<SourceError> for RunError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Lost(what) => RunError::SourceLost(what),
            SourceError::Mistaken(what) => RunError::Usage(what),
            SourceError::Unusable(what) => RunError::Failed(what),
        }
    }
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unusable(what) => RunError::Usage(what),
            StoreError::Transient(what) => RunError::Failed(what),
        }
    }
}

impl From<ReadError> for RunError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => error.into(),
            ReadError::Integrity(violation) => RunError::Integrity(violation.to_string()),
        }
    }
}

impl From<CommitError> for RunError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Replaced { .. } => RunError::Replaced(error.to_string()),
            CommitError::Integrity(what) => RunError::Integrity(what),
            CommitError::Store(what) => RunError::Failed(what),
        }
    }
}

impl From<Violation> for RunError {
    fn from(violation: Violation) -> Self {
        RunError::Integrity(violation.to_string())
    }
}

impl From<ClusterError> for RunError {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::PortTaken { .. } | ClusterError::Listen { .. } | ClusterError::Exposed { .. } => {
                RunError::Usage(error.to_string())
            }
            _ => RunError::Failed(error.to_string()),
        }
    }
}

impl From<WorkersError<RunError>> for RunError {
    fn from(error: WorkersError<RunError>) -> Self {
        match error {
            WorkersError::PeerLost(peer) => RunError::PeerLost(peer.to_string()),
            WorkersError::Failed { error, .. } => error,
            WorkersError::Panicked { .. } => RunError::Integrity(error.to_string()),
            WorkersError::Start(why) => RunError::Failed(why),
        }
    }
}

impl From<getrandom::Error> for RunError {
    fn from(error: getrandom::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<ExtractError> for RunError {
    fn from(error: ExtractError) -> Self {
        RunError::Integrity(error.to_string())
    }
}

impl From<RenderError> for RunError {
    fn from(error: RenderError) -> Self {
        RunError::Integrity(error.to_string())
    }
}
