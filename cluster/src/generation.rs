//! Attempts to bring all processes together, in their order.

use std::time::{SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use crate::secret::draw;

/// The bytes of an encoded generation.
pub(crate) const GENERATION: usize = 24;

/// One attempt to bring all processes together: process 0 mints it, the others adopt it. A later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation {
    /// Milliseconds since 1970, or more.
    time: u64,
    nonce: u128,
}

impl Generation {
    /// Before all others: that of a process that has adopted none.
    pub(crate) const NONE: Generation = Generation { time: 0, nonce: 0 };

    /// One of now, later than `told`, which may be that of a process 0 whose clock was ahead.
    #[allow(clippy::disallowed_methods)] // Reason: a process 0 that is started again knows nothing of its last attempt.
    pub(crate) fn mint(told: Generation) -> io::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
        Ok(Generation { time: now.max(told.time.saturating_add(1)), nonce: u128::from_be_bytes(draw()?) })
    }

    /// Big-endian, in the order of the fields.
    pub(crate) fn encode(&self) -> [u8; GENERATION] {
        let mut bytes = [0; GENERATION];
        bytes[..8].copy_from_slice(&self.time.to_be_bytes());
        bytes[8..].copy_from_slice(&self.nonce.to_be_bytes());
        bytes
    }

    /// What `encode` wrote.
    pub(crate) fn decode(bytes: &[u8; GENERATION]) -> Self {
        let (mut time, mut nonce) = ([0; 8], [0; 16]);
        time.copy_from_slice(&bytes[..8]);
        nonce.copy_from_slice(&bytes[8..]);
        Generation { time: u64::from_be_bytes(time), nonce: u128::from_be_bytes(nonce) }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.time, self.nonce >> 96)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn g1_each_is_later_than_what_was_told_though_a_clock_goes_back() {
        let first = Generation::mint(Generation::NONE).unwrap();
        let ahead = Generation { time: first.time + 1_000_000_000, nonce: u128::MAX };
        let second = Generation::mint(ahead).unwrap();
        assert!(Generation::NONE < first && first < ahead && ahead < second);
        assert_eq!(Generation::decode(&second.encode()), second);
        assert!(first.to_string().starts_with(&first.time.to_string()));
    }
}
