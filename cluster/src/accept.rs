//! The listening side of the handshake: takes the processes with greater indices in, sends everybody else away.
//!
//! Nothing here blocks, and whoever says nothing, or too little, is dropped after a few seconds: a stranger on the
//! port costs a line in the log and a bounded number of bytes, never the start (P6).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::complaints::Complaints;
use crate::frame::{self, FrameError, HEADER, Kind};
use crate::handshake::{CLAIM, Claim, Claims, Me, SETTINGS, Settings, Side};
use crate::secret::PROOF;

/// How long a connection may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most connections that have not said who they are; beyond it the oldest is dropped.
const MOST_PENDING: usize = 256;
/// The most that are taken in one round: those before them get their answers first.
const MOST_NEW: usize = 64;
/// The longest frame that a listener waits for.
const LONGEST: usize = HEADER + CLAIM;

/// A listener with the connections that have not been checked yet.
pub(crate) struct Acceptor {
    listener: TcpListener,
    me: Me,
    pending: Vec<Pending>,
    complaints: Complaints,
    /// By process: the last thing known of it.
    pub(crate) last: Vec<String>,
}

/// A connection that has not said yet who it is.
struct Pending {
    stream: TcpStream,
    from: SocketAddr,
    since: Instant,
    /// What has come of the next frame.
    bytes: Vec<u8>,
    step: Step,
}

/// What has to come next.
#[derive(Clone, Copy)]
enum Step {
    Hello,
    Proof(Claims),
    Settings(Claims),
}

/// A process that has proved itself, and its settings.
type Proved = (Claims, Settings);

impl Acceptor {
    /// An acceptor for this process.
    pub(crate) fn new(listener: TcpListener, me: Me) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let last = vec!["it has not called".to_owned(); me.settings.processes as usize];
        Ok(Acceptor { listener, me, pending: Vec::new(), complaints: Complaints::new(), last })
    }

    /// One round: accepts, listens, and puts who belongs here into its place in `links`.
    pub(crate) fn poll(&mut self, links: &mut [Option<TcpStream>]) {
        self.accept();
        for mut pending in std::mem::take(&mut self.pending) {
            match pending.progress(&self.me) {
                Ok(None) if pending.since.elapsed() < PATIENCE => self.pending.push(pending),
                Ok(None) => self.complaints.warn(pending.from, "it did not say what it is"),
                Ok(Some(proved)) => self.admit(pending, proved, links),
                Err(error) => {
                    if let FrameError::Version(_) = error {
                        // Every release reads the version in this.
                        refuse(&mut pending.stream, "");
                    }
                    self.complaints.warn(pending.from, &error.to_string());
                }
            }
        }
    }

    /// Takes out of `links` who has come and gone: it called while nobody looked, for example, and gave up.
    pub(crate) fn prune(&self, links: &mut [Option<TcpStream>]) {
        for link in links.iter_mut().skip(self.me.index as usize + 1) {
            link.take_if(|stream| !alive(stream));
        }
    }

    fn accept(&mut self) {
        for _ in 0..MOST_NEW {
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
            let oldest = self.pending.remove(0).from;
            self.complaints.warn(oldest, "too many connections that do not say what they are");
        }
        let (since, bytes) = (Instant::now(), Vec::with_capacity(LONGEST));
        self.pending.push(Pending { stream, from, since, bytes, step: Step::Hello });
    }

    /// Answers who has proved itself, and keeps the link if it belongs here.
    fn admit(&mut self, pending: Pending, (claims, theirs): Proved, links: &mut [Option<TcpStream>]) {
        let Pending { mut stream, from, .. } = pending;
        let place = claims.hello.from as usize;
        if let Err((here, there)) = self.belongs(place, &theirs, links) {
            self.complaints.warn(from, &format!("process {place}: {here}"));
            if let Some(last) = self.last.get_mut(place) {
                *last = here;
            }
            return refuse(&mut stream, &there);
        }
        let said = say(&mut stream, Kind::Settings, &self.me.settings.encode());
        if said.and_then(|()| stream.set_nonblocking(false)).is_ok() {
            links[place] = Some(stream);
        }
    }

    /// Whether a process has a place here; if not, why: as seen from here, and from there.
    fn belongs(&self, place: usize, theirs: &Settings, links: &[Option<TcpStream>]) -> Result<(), (String, String)> {
        let both = |reason: String| Err((reason.clone(), reason));
        let (mine, settings) = (self.me.index as usize, &self.me.settings);
        if let (Err(here), Err(there)) = (settings.agrees(theirs), theirs.agrees(settings)) {
            return Err((here.to_string(), there.to_string()));
        }
        if place <= mine || place >= links.len() {
            return both(format!("process {place} does not connect to {mine}"));
        }
        // A peer that died and was started again may come twice; two living ones may not.
        if links[place].as_ref().is_some_and(alive) {
            return both(format!("a process {place} is connected already"));
        }
        Ok(())
    }
}

impl Pending {
    /// Goes as far as what is there allows.
    fn progress(&mut self, me: &Me) -> Result<Option<Proved>, FrameError> {
        while self.read()? {
            if let Some(proved) = self.take(me)? {
                return Ok(Some(proved));
            }
        }
        Ok(None)
    }

    /// Reads no more than the next frame, and no more than is there; whether anything was.
    fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [0; LONGEST];
        let wanted = self.next().1 + HEADER - self.bytes.len();
        loop {
            match self.stream.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "it hung up")),
                Ok(n) => {
                    self.bytes.extend(&buffer[..n]);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The frame that has to come next, and its length.
    fn next(&self) -> (Kind, usize) {
        match self.step {
            Step::Hello => (Kind::Hello, CLAIM),
            Step::Proof(_) => (Kind::Proof, PROOF),
            Step::Settings(_) => (Kind::Settings, SETTINGS),
        }
    }

    /// Takes the next frame, if it is complete, and answers it.
    fn take(&mut self, me: &Me) -> Result<Option<Proved>, FrameError> {
        let (kind, length) = self.next();
        let Some(payload) = frame::expected(&self.bytes, kind, length)? else { return Ok(None) };
        match self.step {
            Step::Hello => {
                let hello = Claim::decode(payload).ok_or(FrameError::Stranger)?;
                let challenge = Claim::draw(me.index, hello.from).map_err(|e| io::Error::other(e.to_string()))?;
                say(&mut self.stream, Kind::Challenge, &challenge.encode())?;
                self.step = Step::Proof(Claims { hello, challenge });
            }
            Step::Proof(claims) => {
                if !claims.is_proved(Side::Caller, &me.secret, payload) {
                    return Err(FrameError::Unproved);
                }
                say(&mut self.stream, Kind::Proof, &claims.prove(Side::Listener, &me.secret))?;
                self.step = Step::Settings(claims);
            }
            Step::Settings(claims) => {
                let settings = Settings::decode(payload).ok_or(FrameError::Stranger)?;
                return Ok(Some((claims, settings)));
            }
        }
        self.bytes.clear();
        Ok(None)
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

/// Says something to a socket that takes it at once, or is given up.
fn say(stream: &mut TcpStream, kind: Kind, payload: &[u8]) -> io::Result<()> {
    stream.write_all(&frame::encode(kind, payload))
}

/// Says why, if the other end still listens.
pub(crate) fn refuse(stream: &mut TcpStream, reason: &str) {
    let end = reason.floor_char_boundary(frame::SHORT.min(reason.len()));
    let _ = frame::write(stream, Kind::Refuse, &reason.as_bytes()[..end]);
}
