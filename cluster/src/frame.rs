//! The frames that processes exchange before timely takes the sockets over.
//!
//! `magic (8) | version (2) | kind (2) | length (4) | payload`, big-endian. The version stands before anything whose
//! meaning may change, so that two releases can tell each other what is wrong.

use std::io::{self, Read, Write};

/// What every frame starts with; no HTTP, TLS or SSH client does.
pub(crate) const MAGIC: [u8; 8] = *b"CITYSTRM";
/// The version of all that is written here.
pub(crate) const VERSION: u16 = 2;
/// The bytes before the payload.
pub(crate) const HEADER: usize = 16;
/// The longest payload of a handshake: what a stranger can make us hold.
pub(crate) const SHORT: usize = 4096;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Who the caller says it is.
    Hello = 1,
    /// You do not belong here, or: I give up. The payload says why.
    Refuse,
    /// To process 0: all of my links are there.
    Ready,
    /// Who the listener says it is.
    Challenge,
    /// I have the secret.
    Proof,
    /// What must be equal.
    Settings,
    /// You have no place here now; call again. The payload says why.
    Wait,
    /// By process 0: all links of all processes are there.
    Go,
    /// A sign of life, and the last epoch that was closed.
    Beat,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Hello,
        Kind::Refuse,
        Kind::Ready,
        Kind::Challenge,
        Kind::Proof,
        Kind::Settings,
        Kind::Wait,
        Kind::Go,
        Kind::Beat,
    ];

    fn of(code: u16) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u16 == code)
    }
}

/// A frame's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// What it says.
    pub(crate) kind: Kind,
    /// The bytes of its payload.
    pub(crate) length: usize,
}

/// Why bytes are no frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// Not one of ours.
    #[error("it is not a citystream process")]
    Stranger,
    /// One of ours, of another release.
    #[error("it speaks version {0} of the handshake, this one {VERSION}: run the same citystream everywhere")]
    Version(u16),
    /// One of ours, as it says, but of another cluster.
    #[error("it did not prove the cluster's secret: is CITYSTREAM_CLUSTER_SECRET the same for all processes?")]
    Unproved,
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The bytes of a frame.
pub(crate) fn encode(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend((kind as u16).to_be_bytes());
    bytes.extend((payload.len() as u32).to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// What the first `HEADER` bytes say; `most` bounds the payload.
pub(crate) fn header(bytes: &[u8; HEADER], most: usize) -> Result<Header, FrameError> {
    if bytes[..8] != MAGIC {
        return Err(FrameError::Stranger);
    }
    let version = u16::from_be_bytes([bytes[8], bytes[9]]);
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    let kind = Kind::of(u16::from_be_bytes([bytes[10], bytes[11]])).ok_or(FrameError::Stranger)?;
    let length = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize;
    if length > most {
        return Err(FrameError::Stranger);
    }
    Ok(Header { kind, length })
}

/// The payload of the frame that has to come, of a kind and a length, from the bytes that are there; `None` while more is to
/// come. A stranger shows with its first byte.
pub(crate) fn expected(bytes: &[u8], kind: Kind, length: usize) -> Result<Option<&[u8]>, FrameError> {
    let common = bytes.len().min(MAGIC.len());
    if bytes[..common] != MAGIC[..common] {
        return Err(FrameError::Stranger);
    }
    let Some((first, payload)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    if header(first, SHORT)? != (Header { kind, length }) {
        return Err(FrameError::Stranger);
    }
    Ok(payload.get(..length))
}

/// Writes a frame.
pub(crate) fn write(to: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    to.write_all(&encode(kind, payload))
}

/// Reads a frame; blocks as `from` does.
pub(crate) fn read(from: &mut impl Read, most: usize) -> Result<(Kind, Vec<u8>), FrameError> {
    let mut first = [0; HEADER];
    from.read_exact(&mut first)?;
    let header = header(&first, most)?;
    let mut payload = vec![0; header.length];
    from.read_exact(&mut payload)?;
    Ok((header.kind, payload))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        for kind in Kind::ALL {
            let bytes = encode(kind, b"payload");
            assert_eq!(read(&mut &bytes[..], SHORT).unwrap(), (kind, b"payload".to_vec()));
        }
    }

    #[test]
    fn strangers_are_told_from_other_releases() {
        let http = *b"GET / HTTP/1.1\r\n";
        assert!(matches!(header(&http, SHORT), Err(FrameError::Stranger)));
        let mut bytes: [u8; HEADER] = encode(Kind::Ready, b"").try_into().unwrap();
        bytes[9] = 9;
        bytes[11] = 99;
        assert!(matches!(header(&bytes, SHORT), Err(FrameError::Version(9))));
        bytes[9] = VERSION as u8;
        assert!(matches!(header(&bytes, SHORT), Err(FrameError::Stranger)));
    }

    #[test]
    fn a_long_payload_is_refused_before_it_is_held() {
        let bytes = encode(Kind::Hello, &vec![0; SHORT + 1]);
        assert!(matches!(read(&mut &bytes[..], SHORT), Err(FrameError::Stranger)));
    }
}
