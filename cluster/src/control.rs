//! The link beside the one that timely gets: what processes say to each other before and while they compute.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::frame::{self, FrameError, HEADER, Kind};

/// A link that never blocks.
#[derive(Debug)]
pub(crate) struct Control {
    stream: TcpStream,
    /// What has come of the next frame.
    bytes: Vec<u8>,
}

/// What a peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// To process 0: all of my links are there.
    Ready,
    /// By process 0: so are those of all others.
    Go,
    /// I am alive, and have closed this epoch.
    Beat(u64),
    /// I have given up, and why.
    GaveUp(String),
}

impl Control {
    /// A link over a socket that never blocks.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Control { stream, bytes: Vec::new() }
    }

    /// Says something; a peer that does not take what is so short is as good as gone.
    pub(crate) fn say(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame::encode(kind, payload))
    }

    /// The next thing that was said, if it is there.
    pub(crate) fn hear(&mut self) -> Result<Option<Said>, FrameError> {
        let Some((kind, payload)) = self.frame()? else { return Ok(None) };
        match kind {
            Kind::Ready => Ok(Some(Said::Ready)),
            Kind::Go => Ok(Some(Said::Go)),
            Kind::Refuse => Ok(Some(Said::GaveUp(String::from_utf8_lossy(&payload).into_owned()))),
            Kind::Beat => {
                let epoch: [u8; 8] = payload.try_into().map_err(|_| FrameError::Stranger)?;
                Ok(Some(Said::Beat(u64::from_be_bytes(epoch))))
            }
            _ => Err(FrameError::Stranger),
        }
    }

    /// The next frame, if all of it is there.
    fn frame(&mut self) -> Result<Option<(Kind, Vec<u8>)>, FrameError> {
        loop {
            let wanted = match self.bytes.first_chunk::<HEADER>() {
                None => HEADER,
                Some(first) => {
                    let header = frame::header(first, frame::SHORT)?;
                    let length = HEADER + header.length;
                    if self.bytes.len() == length {
                        let payload = self.bytes.split_off(HEADER);
                        self.bytes.clear();
                        return Ok(Some((header.kind, payload)));
                    }
                    length
                }
            };
            if !self.read(wanted)? {
                return Ok(None);
            }
        }
    }

    /// Reads what is there of the next `wanted` bytes; whether anything was.
    fn read(&mut self, wanted: usize) -> io::Result<bool> {
        let filled = self.bytes.len();
        self.bytes.resize(wanted, 0);
        let read = loop {
            match self.stream.read(&mut self.bytes[filled..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(filled + read.as_ref().map_or(0, |n| *n));
        match read {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_said_is_heard_however_it_comes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut control = Control::new(listener.accept().unwrap().0);
        control.stream.set_nonblocking(true).unwrap();
        let mut next = || {
            (0..1000)
                .find_map(|_| {
                    sleep(Duration::from_millis(1));
                    control.hear().transpose()
                })
                .unwrap()
        };
        let frames =
            [frame::encode(Kind::Ready, b""), frame::encode(Kind::Refuse, b"why"), frame::encode(Kind::Go, b"")];
        peer.write_all(&frames.concat()).unwrap();
        assert_eq!(next().unwrap(), Said::Ready);
        assert_eq!(next().unwrap(), Said::GaveUp("why".to_owned()));
        assert_eq!(next().unwrap(), Said::Go);
        peer.write_all(&frame::encode(Kind::Beat, &7_u64.to_be_bytes())).unwrap();
        assert_eq!(next().unwrap(), Said::Beat(7));
        for byte in &frames[1] {
            peer.write_all(&[*byte]).unwrap();
            sleep(Duration::from_millis(1));
        }
        assert_eq!(next().unwrap(), Said::GaveUp("why".to_owned()));
        drop(peer);
        assert!(matches!(next(), Err(FrameError::Io(_))));
    }
}
