//! The links of one attempt, by process.

use std::io;
use std::net::TcpStream;

use crate::control::{Control, Said};
use crate::frame::{FrameError, Kind};
use crate::handshake::Link;
use crate::sockets;

/// The two links to a peer.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// For what processes say to each other.
    pub(crate) control: Option<Control>,
    /// For timely.
    pub(crate) data: Option<TcpStream>,
    /// Whether the peer has all of its links.
    pub(crate) ready: bool,
}

/// By process, with an empty slot at this one's place.
#[derive(Debug)]
pub(crate) struct Slots(pub(crate) Vec<Slot>);

impl Slots {
    pub(crate) fn new(processes: usize) -> Self {
        Slots((0..processes).map(|_| Slot::default()).collect())
    }

    /// Keeps a link to a process.
    pub(crate) fn put(&mut self, process: usize, link: Link, stream: TcpStream) -> io::Result<()> {
        sockets::prepare(&stream)?;
        match link {
            Link::Control => self.0[process].control = Some(Control::new(stream)),
            Link::Data => self.0[process].data = Some(stream),
        }
        Ok(())
    }

    /// Whether this link to a process is there.
    pub(crate) fn has(&self, process: usize, link: Link) -> bool {
        match link {
            Link::Control => self.0[process].control.is_some(),
            Link::Data => self.0[process].data.is_some(),
        }
    }

    /// All processes but this one.
    pub(crate) fn peers(&self, me: usize) -> impl Iterator<Item = (usize, &Slot)> {
        self.0.iter().enumerate().filter(move |(process, _)| *process != me)
    }

    /// Says something to all.
    pub(crate) fn say_all(&mut self, kind: Kind, payload: &[u8]) {
        // Who does not hear it is gone, and will be seen to be.
        self.0.iter_mut().filter_map(|slot| slot.control.as_mut()).for_each(|control| drop(control.say(kind, payload)));
    }

    /// The next thing that somebody has said; fails with who has gone, and why.
    pub(crate) fn hear(&mut self) -> Result<Option<(usize, Said)>, (usize, FrameError)> {
        for (process, slot) in self.0.iter_mut().enumerate() {
            let Some(control) = &mut slot.control else { continue };
            if let Some(said) = control.hear().map_err(|error| (process, error))? {
                return Ok(Some((process, said)));
            }
            if let Some(data) = &slot.data {
                holds(data).map_err(|error| (process, error.into()))?;
            }
        }
        Ok(None)
    }
}

/// Fails if the other end has closed the connection. It may have begun to compute, and say things for timely.
fn holds(stream: &TcpStream) -> io::Result<()> {
    match stream.peek(&mut [0]) {
        Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection")),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}
