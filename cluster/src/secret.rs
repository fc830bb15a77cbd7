//! The secret that all processes of a cluster share, and what proves that one has it.

use std::{fmt, io};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The least bytes of a secret: a proof can be tried against guesses by whoever has seen one.
const LEAST: usize = 16;
/// The bytes of a proof.
pub(crate) const PROOF: usize = 32;

/// A secret. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// A secret that can be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at least {LEAST} bytes, such as `openssl rand -hex 32` prints")]
pub struct ShortSecret;

impl Secret {
    /// A secret of this text, without the blanks around it.
    ///
    /// # Errors
    /// One that is short.
    pub fn new(text: &str) -> Result<Self, ShortSecret> {
        let text = text.trim();
        if text.len() < LEAST { Err(ShortSecret) } else { Ok(Secret(text.into())) }
    }

    /// What everybody can prove: for processes that no stranger reaches.
    pub(crate) fn none() -> Self {
        Secret(Vec::new())
    }

    /// The proof of these parts, which have to have lengths of their own.
    pub(crate) fn prove(&self, parts: &[&[u8]]) -> [u8; PROOF] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether it is the proof of these parts; takes as long whatever the answer.
    pub(crate) fn is_proved(&self, parts: &[&[u8]], proof: &[u8]) -> bool {
        self.over(parts).verify_slice(proof).is_ok()
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let keyed = Hmac::new_from_slice(&self.0);
        // A key of HMAC may have any length.
        let mut mac = keyed.unwrap_or_else(|_| unreachable!("a key of any length"));
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

/// Bytes that nobody can guess.
pub(crate) fn draw<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_is_hmac_sha256() {
        // RFC 4231, test case 2, whose key is shorter than ours may be.
        let proof = Secret(b"Jefe".to_vec()).prove(&[b"what do ya want ", b"for nothing?"]);
        let hex: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn only_the_same_secret_and_the_same_parts_prove_it() {
        let (secret, other) = (Secret::new(" 0123456789abcdef\n").unwrap(), Secret::new("0123456789abcdeg").unwrap());
        let proof = secret.prove(&[b"a", b"b"]);
        assert!(secret.is_proved(&[b"a", b"b"], &proof));
        assert!(!secret.is_proved(&[b"a", b"c"], &proof) && !other.is_proved(&[b"a", b"b"], &proof));
        assert!(!secret.is_proved(&[b"a", b"b"], &proof[..31]) && !secret.is_proved(&[b"a", b"b"], b""));
    }

    #[test]
    fn a_secret_is_long_and_shown_nowhere() {
        assert_eq!(Secret::new("0123456789abcde "), Err(ShortSecret));
        assert_eq!(format!("{:?}", Secret::new("0123456789abcdef").unwrap()), "***");
    }
}
