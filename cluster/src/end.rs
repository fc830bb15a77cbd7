//! How an attempt to bring all processes together ends, if not well.

use crate::error::ClusterError;
use crate::generation::Generation;

/// Why an attempt is over.
pub(crate) enum End {
    /// All begin again, in a generation above one that was told of.
    Again { why: String, above: Generation },
    /// This process cannot join.
    Never(ClusterError),
}

impl End {
    pub(crate) fn again(why: String) -> Self {
        End::Again { why, above: Generation::NONE }
    }
}

impl From<ClusterError> for End {
    fn from(error: ClusterError) -> Self {
        End::Never(error)
    }
}
