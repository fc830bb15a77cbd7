//! `NaN`, `Infinity` and `-Infinity`, which are not JSON, and which many producers write all the same.
//!
//! Where one stands there is no number: null in its column, and its text in `extra`. The copy of a record that has one as a
//! text in its place is JSON, and says where that was.

use std::ops::Range;

/// The literals, and as texts.
const LITERALS: [(&str, &str); 3] = [("NaN", "\"NaN\""), ("Infinity", "\"Infinity\""), ("-Infinity", "\"-Infinity\"")];

/// A literal as a JSON text.
pub fn as_text(raw: &str) -> Option<&'static str> {
    LITERALS.into_iter().find(|(literal, _)| *literal == raw).map(|(_, text)| text)
}

/// The literal that a text begins with.
pub fn literal(text: &str) -> Option<&'static str> {
    LITERALS.into_iter().map(|(literal, _)| literal).find(|literal| text.starts_with(literal))
}

/// A record whose literals are texts, and where these begin.
#[derive(Debug, Default)]
pub struct Relaxed {
    text: String,
    places: Vec<usize>,
}

impl Relaxed {
    /// Makes texts of the literals of a record; false if it has none.
    pub fn read(&mut self, record: &str) -> bool {
        self.text.clear();
        self.places.clear();
        let (mut copied, mut at) = (0, 0);
        while let Some(byte) = record.as_bytes().get(at) {
            let found = literal(record.get(at..).unwrap_or_default()).and_then(as_text);
            match (byte, found) {
                (b'"', _) => at = end_of_text(record.as_bytes(), at),
                (_, Some(text)) => {
                    self.text.push_str(&record[copied..at]);
                    self.places.push(self.text.len());
                    self.text.push_str(text);
                    at += text.len() - 2;
                    copied = at;
                }
                _ => at += 1,
            }
        }
        self.text.push_str(&record[copied..]);
        !self.places.is_empty()
    }

    /// The record.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a part of the record's copy is in the record itself.
    pub fn place(&self, part: &str) -> Range<usize> {
        let start = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        // Each text is longer than its literal by two quotes.
        let original = |at: usize| at.saturating_sub(2 * self.places.partition_point(|place| *place < at));
        original(start)..original(start + part.len())
    }

    /// A value of the record, where it was a literal as that.
    pub fn original<'a>(&self, raw: &'a str) -> &'a str {
        let place = (raw.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        let is_literal = self.places.binary_search(&place).is_ok();
        if is_literal { raw.trim_matches('"') } else { raw }
    }
}

/// Behind the text that begins at a quote, or the end of all.
fn end_of_text(bytes: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_become_texts_and_texts_stay() {
        let mut relaxed = Relaxed::default();
        let record = r#"{"NaN": NaN, "t": "\"NaN", "l": [-Infinity, {"Infinity":Infinity}], "é": 1}"#;
        assert!(relaxed.read(record));
        let expected = r#"{"NaN": "NaN", "t": "\"NaN", "l": ["-Infinity", {"Infinity":"Infinity"}], "é": 1}"#;
        assert_eq!((relaxed.text(), relaxed.places.len()), (expected, 3));
        let raw = &relaxed.text()[8..13];
        assert_eq!((raw, relaxed.original(raw)), ("\"NaN\"", "NaN"));
        let text = relaxed.text();
        let list = &text[text.find('[').expect("a list")..=text.find(']').expect("its end")];
        assert_eq!(&record[relaxed.place(list)], r#"[-Infinity, {"Infinity":Infinity}]"#);
        assert_eq!(relaxed.original("\"NaN\""), "\"NaN\"", "a text of another record");
        for none in ["", "{}", r#"{"a": "NaN"}"#, r#"{"a": "\\", "b": nan}"#, "\"NaN", "\"\\"] {
            assert!(!relaxed.read(none), "{none}");
            assert_eq!(relaxed.text(), none);
        }
    }
}
