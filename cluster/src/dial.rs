//! The calling side of the handshake: a thread for each process with a smaller index, which tries until the deadline.
//!
//! Whatever may pass is tried again: nobody listens yet, the name is not known yet, a stranger or an ending process
//! answers. Whatever will not pass ends the start: another configuration, or being sent away.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{ClusterError, Mismatch};
use crate::frame::{self, FrameError, Kind};
use crate::identity::Identity;

/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// How long the answer to a hello may take.
const ANSWER: Duration = Duration::from_secs(5);
/// The pauses between attempts: from the first to the last, doubling.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What one call needs to know.
pub(crate) struct Call {
    /// Who calls.
    pub(crate) mine: Identity,
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
        let answer = greet(&mut stream, &self.mine, self.deadline);
        self.judge(answer).map(|()| stream)
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

    fn judge(&self, answer: Result<(Kind, Vec<u8>), FrameError>) -> Result<(), Attempt> {
        let mismatch = |mismatch| {
            let peer = format!("process {} at {}", self.process, self.address);
            Attempt::Never(ClusterError::Mismatch { peer, mismatch })
        };
        match answer {
            Err(FrameError::Version(theirs)) => Err(mismatch(Mismatch::Version { ours: frame::VERSION, theirs })),
            Err(error) => Err(Attempt::Again(format!("it was reached, but {error}"))),
            Ok((Kind::Refuse, reason)) => Err(Attempt::Never(ClusterError::Refused {
                process: self.process,
                address: self.address.clone(),
                reason: String::from_utf8_lossy(&reason).into_owned(),
            })),
            Ok((Kind::Hello, payload)) => {
                let theirs = Identity::decode(&payload)
                    .ok_or_else(|| Attempt::Again("it was reached, but it is not a citystream process".into()))?;
                self.mine.agrees(&theirs).map_err(mismatch)?;
                if theirs.index as usize != self.process {
                    return Err(mismatch(Mismatch::Index { theirs: theirs.index }));
                }
                Ok(())
            }
            Ok(_) => Err(Attempt::Again("it was reached, but it does not know the handshake".into())),
        }
    }
}

/// Says hello and reads the answer.
fn greet(stream: &mut TcpStream, mine: &Identity, deadline: Instant) -> Result<(Kind, Vec<u8>), FrameError> {
    let left = deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), ANSWER);
    stream.set_read_timeout(Some(left))?;
    stream.set_write_timeout(Some(left))?;
    frame::write(stream, Kind::Hello, &mine.encode())?;
    frame::read(stream, frame::SHORT)
}
