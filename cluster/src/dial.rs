//! The calling side of the handshake: a thread for each process with a smaller index, which tries until the deadline.
//!
//! Whatever may pass is tried again: nobody listens yet, the name is not known yet, a stranger or an ending process
//! answers. Whatever will not pass ends the start: another configuration, or being sent away.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{ClusterError, Mismatch};
use crate::frame::{self, FrameError, Kind};
use crate::handshake::{Claim, Claims, Me, Settings, Side};

/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// How long the handshake may take.
const ANSWER: Duration = Duration::from_secs(5);
/// The pauses between attempts: from the first to the last, doubling.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What one call needs to know.
pub(crate) struct Call {
    /// Who calls.
    pub(crate) me: Me,
    /// Who is called.
    pub(crate) process: usize,
    /// Where.
    pub(crate) address: String,
    /// When to give up.
    pub(crate) deadline: Instant,
    /// Whether the start has ended otherwise.
    pub(crate) cancelled: Arc<AtomicBool>,
    /// The last thing that went wrong, for the message at the deadline.
    pub(crate) last: Arc<Mutex<String>>,
}

/// What a call came to: a checked link to a process.
pub(crate) type Outcome = Result<(usize, TcpStream), ClusterError>;

/// Why an attempt failed.
enum Attempt {
    Again(String),
    Never(ClusterError),
}

impl From<FrameError> for Attempt {
    fn from(error: FrameError) -> Self {
        Attempt::Again(format!("it was reached, but {error}"))
    }
}

impl From<io::Error> for Attempt {
    fn from(error: io::Error) -> Self {
        FrameError::from(error).into()
    }
}

impl Call {
    /// Starts the thread. It reports once, or not at all if the deadline passes first.
    pub(crate) fn start(self, report: Sender<Outcome>) -> io::Result<()> {
        let name = format!("dial-{}", self.process);
        thread::Builder::new().name(name).spawn(move || self.keep_trying(&report)).map(drop)
    }

    fn keep_trying(&self, report: &Sender<Outcome>) {
        let mut pause = PAUSE.0;
        while Instant::now() < self.deadline && !self.cancelled.load(Ordering::Relaxed) {
            match self.attempt() {
                Ok(stream) => return drop(report.send(Ok((self.process, stream)))),
                Err(Attempt::Never(error)) => return drop(report.send(Err(error))),
                Err(Attempt::Again(reason)) => {
                    *self.last.lock().unwrap_or_else(PoisonError::into_inner) = reason;
                }
            }
            thread::sleep(pause.min(self.deadline.saturating_duration_since(Instant::now())));
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    fn attempt(&self) -> Result<TcpStream, Attempt> {
        let mut stream = self.open().map_err(|e| Attempt::Again(e.to_string()))?;
        let mut link = Link { stream: &mut stream, deadline: self.deadline.min(Instant::now() + ANSWER) };
        let from = self.prove(&mut link)?;
        if from as usize != self.process {
            return Err(self.mismatch(Mismatch::Index { theirs: from }));
        }
        self.compare(&mut link)?;
        Ok(stream)
    }

    /// A connection to any of the addresses that the name stands for.
    fn open(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, ATTEMPT) {
                // A port of the ephemeral range on which nobody listens may connect to itself.
                Ok(stream) if stream.local_addr()? == stream.peer_addr()? => {
                    last = io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens there");
                }
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Proves the secret, and has it proved; which process the other one is.
    fn prove(&self, link: &mut Link<'_>) -> Result<u32, Attempt> {
        let hello = Claim::draw(self.me.index, self.process as u32).map_err(|e| io::Error::other(e.to_string()))?;
        frame::write(link, Kind::Hello, &hello.encode())?;
        let challenge = Claim::decode(&link.expect(Kind::Challenge)?).ok_or(FrameError::Stranger)?;
        let claims = Claims { hello, challenge };
        frame::write(link, Kind::Proof, &claims.prove(Side::Caller, &self.me.secret))?;
        let proof = link.expect(Kind::Proof).map_err(|error| match error {
            // It says no more to who has not proved the secret.
            FrameError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => FrameError::Unproved,
            error => error,
        })?;
        if !claims.is_proved(Side::Listener, &self.me.secret, &proof) {
            return Err(FrameError::Unproved.into());
        }
        Ok(challenge.from)
    }

    /// Tells the settings, and compares those that the other one tells.
    fn compare(&self, link: &mut Link<'_>) -> Result<(), Attempt> {
        frame::write(link, Kind::Settings, &self.me.settings.encode())?;
        match frame::read(link, frame::SHORT)? {
            (Kind::Settings, payload) => {
                let theirs = Settings::decode(&payload).ok_or(FrameError::Stranger)?;
                self.me.settings.agrees(&theirs).map_err(|mismatch| self.mismatch(mismatch))
            }
            (Kind::Refuse, reason) => Err(Attempt::Never(ClusterError::Refused {
                process: self.process,
                address: self.address.clone(),
                reason: String::from_utf8_lossy(&reason).into_owned(),
            })),
            _ => Err(FrameError::Stranger.into()),
        }
    }

    fn mismatch(&self, mismatch: Mismatch) -> Attempt {
        let peer = format!("process {} at {}", self.process, self.address);
        Attempt::Never(ClusterError::Mismatch { peer, mismatch })
    }
}

/// A connection that is given up at a moment, however slowly it goes on.
struct Link<'a> {
    stream: &'a mut TcpStream,
    deadline: Instant,
}

impl Link<'_> {
    /// The payload of the frame that has to come.
    fn expect(&mut self, wanted: Kind) -> Result<Vec<u8>, FrameError> {
        match frame::read(self, frame::SHORT)? {
            (kind, payload) if kind == wanted => Ok(payload),
            _ => Err(FrameError::Stranger),
        }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")) } else { Ok(left) }
    }
}

impl Read for Link<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        match self.stream.read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))
            }
            result => result,
        }
    }
}

impl Write for Link<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
