//! The listening side of the handshake: takes the processes with greater indices in, sends everybody else away.
//!
//! Nothing here blocks, and whoever says nothing, or too little, is dropped after a few seconds: a stranger on the
//! port costs a line in the log and a bounded number of bytes, never the start.

use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::error::{ClusterError, Mismatch};
use crate::frame::{self, FrameError, HEADER, Kind};
use crate::identity::{self, Identity};

/// How long a connection may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most connections that have not said who they are; beyond it the oldest is dropped.
const MOST_PENDING: usize = 64;
/// A hello of this version.
pub(crate) const HELLO: usize = HEADER + identity::LENGTH;

/// A listener with the connections that have not been checked yet.
pub(crate) struct Acceptor {
    listener: TcpListener,
    mine: Identity,
    pending: Vec<Pending>,
}

/// A connection that has not said yet who it is.
struct Pending {
    stream: TcpStream,
    from: SocketAddr,
    since: Instant,
    bytes: Vec<u8>,
}

/// What became of a connection in one round.
pub(crate) enum Progress {
    Waiting,
    Said(Identity),
    Gone(FrameError),
}

impl Acceptor {
    /// An acceptor for the process `mine`.
    pub(crate) fn new(listener: TcpListener, mine: Identity) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Acceptor { listener, mine, pending: Vec::new() })
    }

    /// One round: accepts, listens, and puts who belongs here into its place in `links`.
    ///
    /// Fails only if a process of another start, but of this program, comes: the user has to look at both.
    pub(crate) fn poll(&mut self, links: &mut [Option<TcpStream>]) -> Result<(), ClusterError> {
        self.accept();
        for mut pending in std::mem::take(&mut self.pending) {
            match pending.progress() {
                Progress::Waiting if pending.since.elapsed() < PATIENCE => self.pending.push(pending),
                Progress::Waiting => warn(pending.from, "it did not say what it is"),
                Progress::Gone(FrameError::Version(theirs)) => return Err(other_release(&pending, theirs)),
                Progress::Gone(error) => warn(pending.from, &error.to_string()),
                Progress::Said(theirs) => self.admit(pending, &theirs, links)?,
            }
        }
        Ok(())
    }

    /// Takes out of `links` who has come and gone: it called while nobody looked, for example, and gave up.
    pub(crate) fn prune(&self, links: &mut [Option<TcpStream>]) {
        for link in links.iter_mut().skip(self.mine.index as usize + 1) {
            link.take_if(|stream| !alive(stream));
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, from)) => self.hold(stream, from),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Out of descriptors, or the peer went away again: neither is a reason to end the start.
                Err(_) => return,
            }
        }
    }

    fn hold(&mut self, stream: TcpStream, from: SocketAddr) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        if self.pending.len() == MOST_PENDING {
            warn(self.pending.remove(0).from, "too many connections that do not say what they are");
        }
        self.pending.push(Pending { stream, from, since: Instant::now(), bytes: Vec::with_capacity(HELLO) });
    }

    /// Answers a hello, and keeps the link if it belongs here.
    fn admit(&self, pending: Pending, theirs: &Identity, links: &mut [Option<TcpStream>]) -> Result<(), ClusterError> {
        let Pending { mut stream, from, .. } = pending;
        if stream.set_nonblocking(false).and_then(|()| stream.set_write_timeout(Some(PATIENCE))).is_err() {
            return Ok(());
        }
        if let Err(mismatch) = self.mine.agrees(theirs) {
            let seen_from_there = theirs.agrees(&self.mine).err();
            refuse(&mut stream, &seen_from_there.map_or_else(String::new, |m| m.to_string()));
            let peer = format!("process {} at {from}", theirs.index);
            return Err(ClusterError::Mismatch { peer, mismatch });
        }
        let place = theirs.index as usize;
        if theirs.index <= self.mine.index || place >= links.len() {
            send_away(&mut stream, from, &format!("process {place} does not connect to {}", self.mine.index));
            return Ok(());
        }
        // A peer that died and was started again may come twice; two living ones may not.
        if links[place].as_ref().is_some_and(alive) {
            send_away(&mut stream, from, &format!("a process {place} is connected already"));
            return Ok(());
        }
        if frame::write(&mut stream, Kind::Hello, &self.mine.encode()).is_ok() {
            links[place] = Some(stream);
        }
        Ok(())
    }
}

impl Pending {
    /// Reads no more than a hello, and no more than is there.
    fn progress(&mut self) -> Progress {
        let mut buffer = [0; HELLO];
        while self.bytes.len() < HELLO {
            match self.stream.read(&mut buffer[..HELLO - self.bytes.len()]) {
                Ok(0) => return Progress::Gone(io::Error::new(ErrorKind::UnexpectedEof, "it hung up").into()),
                Ok(n) => self.bytes.extend(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return early(&self.bytes),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Progress::Gone(error.into()),
            }
        }
        early(&self.bytes)
    }
}

/// What can be told from the bytes so far: a stranger shows with its first byte.
pub(crate) fn early(bytes: &[u8]) -> Progress {
    let common = bytes.len().min(frame::MAGIC.len());
    if bytes[..common] != frame::MAGIC[..common] {
        return Progress::Gone(FrameError::Stranger);
    }
    let Some((first, payload)) = bytes.split_first_chunk::<HEADER>() else { return Progress::Waiting };
    match frame::header(first, frame::SHORT) {
        Err(error) => Progress::Gone(error),
        Ok(header) if header.kind != Kind::Hello || header.length != identity::LENGTH => {
            Progress::Gone(FrameError::Stranger)
        }
        Ok(_) => Identity::decode(payload).map_or(Progress::Waiting, Progress::Said),
    }
}

/// Whether the other end still holds the connection: it is silent, or ready before us. One that gave up is not.
fn alive(stream: &TcpStream) -> bool {
    let mut first = [0; HEADER];
    let spoken = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut first));
    let restored = stream.set_nonblocking(false).is_ok();
    restored
        && match spoken {
            Ok(HEADER) => frame::header(&first, frame::SHORT).is_ok_and(|header| header.kind == Kind::Ready),
            Ok(n) => n > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
}

fn other_release(pending: &Pending, theirs: u16) -> ClusterError {
    let mismatch = Mismatch::Version { ours: frame::VERSION, theirs };
    ClusterError::Mismatch { peer: format!("a process at {}", pending.from), mismatch }
}

fn send_away(stream: &mut TcpStream, from: SocketAddr, reason: &str) {
    refuse(stream, reason);
    warn(from, reason);
}

/// Says why, if the other end still listens.
pub(crate) fn refuse(stream: &mut TcpStream, reason: &str) {
    let end = reason.floor_char_boundary(frame::SHORT.min(reason.len()));
    let _ = frame::write(stream, Kind::Refuse, &reason.as_bytes()[..end]);
}

fn warn(from: SocketAddr, reason: &str) {
    tracing::warn!("refused a connection from {from}: {reason}");
}
