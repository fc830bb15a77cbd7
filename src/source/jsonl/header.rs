//! The first line of a file, which says of which log it is a part.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// The longest header that is looked for.
const LONGEST: usize = 4096;
/// The digits of a topic id.
const DIGITS: usize = 32;

#[derive(Deserialize, Serialize)]
struct Line {
    topic_id: String,
}

/// What stands at the start of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// A header: the topic's id, and the position of the first record.
    Header { topic_id: String, first: i64 },
    /// No complete line yet.
    Nothing,
    /// Something else.
    Other,
}

/// Looks at the start of a file.
pub(super) fn read(file: &File) -> io::Result<Start> {
    let mut bytes = [0; LONGEST];
    let mut filled = 0;
    while filled < LONGEST {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(parse(&bytes[..filled]))
}

fn parse(bytes: &[u8]) -> Start {
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
        return if bytes.len() < LONGEST { Start::Nothing } else { Start::Other };
    };
    match serde_json::from_slice::<Line>(&bytes[..end]) {
        Ok(line) if is_id(&line.topic_id) => Start::Header { topic_id: line.topic_id, first: end as i64 + 1 },
        _ => Start::Other,
    }
}

fn is_id(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The header of a topic, with its newline.
pub(super) fn line(topic_id: &str) -> String {
    format!("{{\"topic_id\": \"{topic_id}\"}}\n")
}

/// A new topic's id.
pub(super) fn random_id() -> io::Result<String> {
    let mut bytes = [0; DIGITS / 2];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_told_from_everything_else() {
        let id = random_id().unwrap();
        let header = line(&id);
        let first = header.len() as i64;
        assert_eq!(parse(header.as_bytes()), Start::Header { topic_id: id.clone(), first });
        assert_eq!(parse(format!("{header}{{}}\n").as_bytes()), Start::Header { topic_id: id.clone(), first });
        assert_eq!(parse(header.trim_end().as_bytes()), Start::Nothing);
        assert_eq!(parse(b""), Start::Nothing);
        assert_eq!(parse(line(&id[1..]).as_bytes()), Start::Other);
        assert_eq!(parse(b"{\"id\": \"x\"}\n"), Start::Other);
        assert_eq!(parse(&[b'x'; LONGEST]), Start::Other);
        assert_ne!(id, random_id().unwrap());
    }
}
