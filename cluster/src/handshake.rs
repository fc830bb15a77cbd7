//! How two processes prove to each other that they belong to one cluster, before anything else is said:
//!
//! ```text
//! caller                                             listener
//! Hello      nonce, from, to, link,
//!            generation                       ->
//!                                             <-     Challenge  the same, its own
//! Proof      HMAC(secret, calls, both)        ->
//!                                             <-     Proof      HMAC(secret, answers, both)
//! Settings   what must be equal               ->
//!                                             <-     Settings, or Wait or Refuse and why
//! ```
//!
//! Each nonce is drawn for one connection, so what was recorded proves nothing (P6). A stranger learns the index and the
//! generation of who listens, and no more.

use std::io;

use crate::error::Mismatch;
use crate::frame::VERSION;
use crate::generation::{GENERATION, Generation};
use crate::secret::{PROOF, Secret, draw};

/// The bytes of an encoded claim.
pub(crate) const CLAIM: usize = 44 + GENERATION;
/// The bytes of encoded settings.
pub(crate) const SETTINGS: usize = 16;

/// This process, as it meets others.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    /// Which one it is.
    pub(crate) index: u32,
    /// What must be equal.
    pub(crate) settings: Settings,
    /// What is proved.
    pub(crate) secret: Secret,
}

/// Who somebody says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Drawn for this connection.
    pub(crate) nonce: [u8; 32],
    /// Which process it is.
    pub(crate) from: u32,
    /// Which process it takes the other one for.
    pub(crate) to: u32,
    /// What the connection is for.
    pub(crate) link: Link,
    /// The generation it is in; of who calls process 0 for a control link, the last one it knows.
    pub(crate) generation: Generation,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// For what processes say to each other.
    Control = 1,
    /// For timely.
    Data,
}

impl Link {
    fn of(code: u32) -> Option<Self> {
        [Link::Control, Link::Data].into_iter().find(|link| *link as u32 == code)
    }
}

impl Claim {
    /// A claim with a nonce of its own.
    pub(crate) fn draw(from: u32, to: u32, link: Link, generation: Generation) -> io::Result<Self> {
        Ok(Claim { nonce: draw()?, from, to, link, generation })
    }

    /// Big-endian, in the order of the fields.
    pub(crate) fn encode(&self) -> [u8; CLAIM] {
        let mut bytes = [0; CLAIM];
        bytes[..32].copy_from_slice(&self.nonce);
        bytes[32..36].copy_from_slice(&self.from.to_be_bytes());
        bytes[36..40].copy_from_slice(&self.to.to_be_bytes());
        bytes[40..44].copy_from_slice(&(self.link as u32).to_be_bytes());
        bytes[44..].copy_from_slice(&self.generation.encode());
        bytes
    }

    /// What `encode` wrote; `None` of anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (nonce, rest) = bytes.split_first_chunk::<32>()?;
        let (from, rest) = rest.split_first_chunk::<4>()?;
        let (to, rest) = rest.split_first_chunk::<4>()?;
        let (link, generation) = rest.split_first_chunk::<4>()?;
        Some(Claim {
            nonce: *nonce,
            from: u32::from_be_bytes(*from),
            to: u32::from_be_bytes(*to),
            link: Link::of(u32::from_be_bytes(*link))?,
            generation: Generation::decode(generation.try_into().ok()?),
        })
    }
}

/// What both have said of themselves: what a proof is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims {
    /// The caller's.
    pub(crate) hello: Claim,
    /// The listener's.
    pub(crate) challenge: Claim,
}

/// Whose proof it is: neither can be sent back as the other's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Caller,
    Listener,
}

impl Claims {
    /// The proof of one side.
    pub(crate) fn prove(&self, side: Side, secret: &Secret) -> [u8; PROOF] {
        self.with(side, |parts| secret.prove(parts))
    }

    /// Whether it is the proof of this side.
    pub(crate) fn is_proved(&self, side: Side, secret: &Secret, proof: &[u8]) -> bool {
        self.with(side, |parts| secret.is_proved(parts, proof))
    }

    fn with<T>(&self, side: Side, act: impl FnOnce(&[&[u8]]) -> T) -> T {
        let label: &[u8; 8] = match side {
            Side::Caller => b"calls   ",
            Side::Listener => b"answers ",
        };
        act(&[label, &VERSION.to_be_bytes(), &self.hello.encode(), &self.challenge.encode()])
    }
}

/// What must be equal for two processes to compute together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// A hash of all settings that must be equal.
    pub(crate) fingerprint: u64,
    /// The number of processes.
    pub(crate) processes: u32,
    /// The number of workers of each.
    pub(crate) workers: u32,
}

impl Settings {
    /// Big-endian, in the order of the fields.
    pub(crate) fn encode(&self) -> [u8; SETTINGS] {
        let mut bytes = [0; SETTINGS];
        bytes[..8].copy_from_slice(&self.fingerprint.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.processes.to_be_bytes());
        bytes[12..].copy_from_slice(&self.workers.to_be_bytes());
        bytes
    }

    /// What `encode` wrote; `None` if the length is another.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fingerprint, rest) = bytes.split_first_chunk::<8>()?;
        let (processes, rest) = rest.split_first_chunk::<4>()?;
        let workers: &[u8; 4] = rest.try_into().ok()?;
        Some(Settings {
            fingerprint: u64::from_be_bytes(*fingerprint),
            processes: u32::from_be_bytes(*processes),
            workers: u32::from_be_bytes(*workers),
        })
    }

    /// Whether a process with `theirs` may compute together with this one.
    pub(crate) fn agrees(&self, theirs: &Settings) -> Result<(), Mismatch> {
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

    const MINE: Settings = Settings { fingerprint: 0x0123_4567_89ab_cdef, processes: 3, workers: 2 };

    fn claim(from: u32, to: u32) -> Claim {
        Claim::draw(from, to, Link::Data, Generation::mint(Generation::NONE).unwrap()).unwrap()
    }

    #[test]
    fn what_is_said_comes_back_as_it_was() {
        assert_eq!(Settings::decode(&MINE.encode()).unwrap(), MINE);
        assert_eq!(Settings::decode(&MINE.encode()[1..]), None);
        assert_eq!(Settings::decode(&[0; SETTINGS + 1]), None);
        let claim = claim(2, 1);
        assert_eq!(Claim::decode(&claim.encode()).unwrap(), claim);
        assert_eq!(Claim::decode(&claim.encode()[1..]), None);
        assert_eq!(Claim::decode(&[0; CLAIM + 1]), None);
    }

    #[test]
    fn every_difference_is_named() {
        assert_eq!(MINE.agrees(&MINE), Ok(()));
        assert_eq!(MINE.agrees(&Settings { processes: 4, ..MINE }), Err(Mismatch::Processes { ours: 3, theirs: 4 }));
        assert_eq!(MINE.agrees(&Settings { workers: 1, ..MINE }), Err(Mismatch::Workers { ours: 2, theirs: 1 }));
        assert_eq!(MINE.agrees(&Settings { fingerprint: 0, ..MINE }), Err(Mismatch::Settings));
    }

    #[test]
    fn p6_a_proof_is_of_one_side_of_one_connection() {
        let secret = Secret::new("0123456789abcdef").unwrap();
        let claims = Claims { hello: claim(1, 0), challenge: claim(0, 1) };
        let proof = claims.prove(Side::Caller, &secret);
        assert!(claims.is_proved(Side::Caller, &secret, &proof));
        assert!(!claims.is_proved(Side::Listener, &secret, &proof), "sent back");
        let again = Claims { challenge: claim(0, 1), ..claims };
        assert!(!again.is_proved(Side::Caller, &secret, &proof), "replayed");
        let another = Claims { hello: Claim { from: 2, ..claims.hello }, ..claims };
        assert!(!another.is_proved(Side::Caller, &secret, &proof), "of another process");
        let older = Claims { hello: Claim { generation: Generation::NONE, ..claims.hello }, ..claims };
        assert!(!older.is_proved(Side::Caller, &secret, &proof), "of another generation");
    }
}
