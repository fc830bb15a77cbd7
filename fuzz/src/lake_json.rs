//! `lake.json`. Asserted: nothing panics; what is refused is refused in one line; what is read is the same when it is written
//! and read again, and differs in nothing from itself.

use citystream::parts::{decode_settings, differences, encode_settings};

/// Asserts it of an input.
pub fn check_input(input: &[u8]) {
    let settings = match decode_settings("lake.json", input) {
        Ok(settings) => settings,
        Err(error) => return assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    };
    let bytes = encode_settings(&settings).expect("settings can be written");
    let again = decode_settings("lake.json", &bytes).expect("they can be read again");
    assert_eq!(again, settings);
    assert!(differences(&settings.semantics, &again.semantics).is_empty());
    if let Ok(derived) = settings.derived() {
        assert_eq!(derived.len(), settings.derived.len());
    }
}
