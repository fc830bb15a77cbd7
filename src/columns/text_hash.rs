//! What tells two vehicles, two incidents or two records apart: keyed hashes of their texts.
//!
//! Whoever may write to a topic chooses its ids, so without a key he could make two of them one. Each run draws its key
//! anew, and it travels with the run's first tick; nothing that is stored depends on it.

use std::hash::Hasher as _;

use citystream_dataflows::records::TextId;
use citystream_dataflows::time::Micros;
use siphasher::sip128::{Hasher128, SipHasher24};

/// SipHash-2-4 with 128 bits under a run's key.
#[derive(Clone, Copy, Debug)]
pub struct TextHasher(SipHasher24);

impl TextHasher {
    /// Under a key.
    pub fn new(key: u128) -> TextHasher {
        TextHasher(SipHasher24::new_with_key(&key.to_le_bytes()))
    }

    /// The id of a text: never [`TextId::NONE`].
    pub fn id(&self, text: &[u8]) -> TextId {
        TextId(self.0.hash(text).as_u128().max(1))
    }

    /// The identity of a record: a repetition has the same within its partition.
    pub fn identity(&self, id: &[u8], event_time: Micros) -> u128 {
        let mut hasher = self.0;
        hasher.write(&event_time.to_le_bytes());
        hasher.write(id);
        hasher.finish128().as_u128()
    }
}

/// A key that nobody can foresee.
///
/// # Errors
/// The system has no random numbers.
pub fn draw_key() -> Result<u128, getrandom::Error> {
    let mut key = [0; 16];
    getrandom::fill(&mut key)?;
    Ok(u128::from_le_bytes(key))
}

#[cfg(test)]
pub mod testing {
    //! One key for all tests.

    use super::*;

    /// A hasher.
    pub fn hasher() -> TextHasher {
        TextHasher::new(0x5eed)
    }

    /// The id of a text under it.
    pub fn text(text: &[u8]) -> TextId {
        hasher().id(text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_text_and_the_key_alone() {
        let (one, other) = (TextHasher::new(1), TextHasher::new(2));
        assert_eq!(one.id(b"car"), TextHasher::new(1).id(b"car"));
        assert_ne!(one.id(b"car"), one.id(b"bus"));
        assert_ne!(one.id(b"car"), other.id(b"car"));
        assert_ne!(one.identity(b"car", 1), one.identity(b"car", 2));
        assert_ne!(one.identity(b"car", 1), other.identity(b"car", 1));
        assert_ne!(draw_key().unwrap(), draw_key().unwrap());
    }
}
