//! What objects are told apart by: digests of their bytes, and random ids.

use std::fmt::Write;

use sha2::Digest;

use super::error::StoreError;

/// SHA-256 in hex: how one commit names the one before.
pub fn digest(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

/// A new 128-bit random id in hex, for a run or a lake.
///
/// # Errors
/// A system that gives no random numbers.
pub fn random_id() -> Result<String, StoreError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
