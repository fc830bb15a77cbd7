//! The fast way through an ordinary record: one flat object of scalars, no escapes, no exponents.
//!
//! It accepts nothing that `serde_json` would not accept, but for `NaN` and its like, with the same result (a test mutates
//! records to see that);
//! whatever it does not know it leaves to `serde_json`, errors too. Decoding takes a seventh less time
//! (`benches/README.md`).

use citystream_wire::relaxed::{as_text, literal};
use citystream_wire::{Field, MAX_FIELDS};

use super::members::{RawFields, find, keep};

/// The raw fields of an ordinary record; `None` for any other text, with nothing added to `extra`.
pub(super) fn object<'a>(text: &'a str, fields: &'static [Field], extra: &mut String) -> Option<RawFields<'a>> {
    let raw = Scanner { text, at: 0 }.object(fields, extra);
    if raw.is_none() {
        extra.clear();
    }
    raw
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn object(mut self, fields: &'static [Field], extra: &mut String) -> Option<RawFields<'a>> {
        let mut raw = [""; MAX_FIELDS];
        let mut next = 0;
        self.sign(b'{')?;
        loop {
            self.space();
            let quoted = self.string()?;
            let name = quoted.get(1..quoted.len() - 1)?;
            self.sign(b':')?;
            self.space();
            let value = self.value()?;
            match find(fields, next, name) {
                Some(index) => {
                    *raw.get_mut(index)? = value;
                    next = index + 1;
                }
                None => keep(extra, name, as_text(value).unwrap_or(value)),
            }
            self.space();
            match self.byte()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        self.space();
        (self.at == self.text.len()).then_some(raw)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// White space and one sign.
    fn sign(&mut self, sign: u8) -> Option<()> {
        self.space();
        (self.byte()? == sign).then(|| self.at += 1)
    }

    fn value(&mut self) -> Option<&'a str> {
        match self.byte()? {
            b'"' => self.string(),
            b'N' | b'I' => self.literal(),
            b'-' => self.literal().or_else(|| self.number()),
            b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => None,
        }
    }

    fn literal(&mut self) -> Option<&'a str> {
        let found = literal(self.text.get(self.at..)?)?;
        self.at += found.len();
        Some(found)
    }

    fn word(&mut self, word: &'static str) -> Option<&'a str> {
        let found = self.text.get(self.at..self.at + word.len())?;
        (found == word).then(|| self.at += word.len())?;
        Some(found)
    }

    /// A text with its quotes; none with escapes or control characters.
    fn string(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if self.byte()? != b'"' {
            return None;
        }
        let mut at = start + 1;
        while let Some(&word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let found = special(u64::from_le_bytes(word));
            if found != 0 {
                at += found.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        while !matches!(bytes.get(at)?, b'"' | b'\\' | ..b' ') {
            at += 1;
        }
        (bytes[at] == b'"').then_some(())?;
        self.at = at + 1;
        self.text.get(start..self.at)
    }

    /// A number without exponent, as JSON writes them.
    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        if self.byte()? == b'-' {
            self.at += 1;
        }
        let first = self.byte()?;
        let whole = self.digits();
        if whole == 0 || (whole > 1 && first == b'0') {
            return None;
        }
        if self.byte()? == b'.' {
            self.at += 1;
            (self.digits() > 0).then_some(())?;
        }
        // An exponent, or anything else that cannot follow, is found by whoever looks for `,` or `}` next.
        self.text.get(start..self.at)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }
}

/// Marks in eight bytes at once: the lowest bit set stands in the first byte that is a quote, a backslash or a
/// control character (later bytes may be marked wrongly, by the borrow of a subtraction).
fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zero_bytes = |w: u64| w.wrapping_sub(ONES) & !w;
    let control = word.wrapping_sub(ONES * b' ' as u64) & !word;
    let quote = zero_bytes(word ^ (ONES * b'"' as u64));
    let backslash = zero_bytes(word ^ (ONES * b'\\' as u64));
    (control | quote | backslash) & (ONES << 7)
}
