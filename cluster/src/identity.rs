//! What a process says of itself when it meets another, and whether the two belong together.

use crate::error::Mismatch;

/// The payload of a hello: who this is, and what must be equal for the two to compute together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// A hash of all settings that must be equal.
    pub(crate) fingerprint: u64,
    /// The number of processes.
    pub(crate) processes: u32,
    /// The number of workers of each.
    pub(crate) workers: u32,
    /// Which process this is.
    pub(crate) index: u32,
}

/// The bytes of an encoded identity.
pub(crate) const LENGTH: usize = 20;

impl Identity {
    /// Big-endian, in the order of the fields.
    pub(crate) fn encode(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&self.fingerprint.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.processes.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.workers.to_be_bytes());
        bytes[16..].copy_from_slice(&self.index.to_be_bytes());
        bytes
    }

    /// What `encode` wrote; `None` if the length is another.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Identity> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Some(Identity {
            fingerprint: (u64::from(word(0)) << 32) | u64::from(word(4)),
            processes: word(8),
            workers: word(12),
            index: word(16),
        })
    }

    /// Whether `theirs` may compute together with this one. The index is looked at elsewhere.
    pub(crate) fn agrees(&self, theirs: &Identity) -> Result<(), Mismatch> {
        if self.processes != theirs.processes {
            return Err(Mismatch::Processes { ours: self.processes, theirs: theirs.processes });
        }
        if self.workers != theirs.workers {
            return Err(Mismatch::Workers { ours: self.workers, theirs: theirs.workers });
        }
        if self.fingerprint != theirs.fingerprint {
            return Err(Mismatch::Settings);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MINE: Identity = Identity { fingerprint: 0x0123_4567_89ab_cdef, processes: 3, workers: 2, index: 1 };

    #[test]
    fn comes_back_as_it_was() {
        assert_eq!(Identity::decode(&MINE.encode()).unwrap(), MINE);
        assert_eq!(Identity::decode(&MINE.encode()[1..]), None);
        assert_eq!(Identity::decode(&[0; LENGTH + 1]), None);
    }

    #[test]
    fn every_difference_is_named() {
        assert_eq!(MINE.agrees(&Identity { index: 2, ..MINE }), Ok(()));
        assert_eq!(MINE.agrees(&Identity { processes: 4, ..MINE }), Err(Mismatch::Processes { ours: 3, theirs: 4 }));
        assert_eq!(MINE.agrees(&Identity { workers: 1, ..MINE }), Err(Mismatch::Workers { ours: 2, theirs: 1 }));
        assert_eq!(MINE.agrees(&Identity { fingerprint: 0, ..MINE }), Err(Mismatch::Settings));
    }
}
