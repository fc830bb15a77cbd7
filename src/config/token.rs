//! The token of the page: what whoever looks from another machine has to show.

use std::fmt;

/// The least length of a token, in bytes.
const LEAST: usize = 16;

/// See the module. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Token {
    /// Of a text.
    ///
    /// # Errors
    /// One that is short, or cannot stand in a header.
    pub fn new(text: &str) -> Result<Token, &'static str> {
        if text.len() < LEAST {
            return Err("expected at least 16 bytes: `openssl rand -hex 32` makes some");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("expected letters, digits and signs of ASCII, without blanks");
        }
        Ok(Token(text.to_owned()))
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.0
    }
}
