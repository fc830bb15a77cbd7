//! The calling side of the handshake: a thread for each link to a process with a smaller index, which tries until the
//! attempt is over.
//!
//! Whatever may pass is tried again: nobody listens yet, the name is not known yet, a stranger, an ending process or one of an
//! earlier generation answers. Whatever will not pass ends the start: another configuration.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::end::End;
use crate::error::{ClusterError, Mismatch};
use crate::frame::{self, FrameError, Kind};
use crate::generation::Generation;
use crate::handshake::{Claim, Claims, Link, Me, Settings, Side};
use crate::known::Known;

/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// How long the handshake may take.
const ANSWER: Duration = Duration::from_secs(5);
/// The pauses between attempts: from the first to the last, doubling.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(300));

/// The calls of one attempt; dropping it ends them.
pub(crate) struct Calls {
    report: Sender<Result<Answered, End>>,
    outcomes: Receiver<Result<Answered, End>>,
    cancelled: Arc<AtomicBool>,
}

/// A call that has come to a link.
pub(crate) struct Answered {
    pub(crate) process: usize,
    pub(crate) link: Link,
    /// That of the process that was called.
    pub(crate) generation: Generation,
    pub(crate) stream: TcpStream,
}

impl Calls {
    pub(crate) fn new() -> Self {
        let (report, outcomes) = channel();
        Calls { report, outcomes, cancelled: Arc::default() }
    }

    /// Starts a call. It reports once, or not at all if the deadline passes first.
    pub(crate) fn start(
        &self,
        (process, address): (usize, String),
        link: Link,
        generation: Generation,
        (me, known): (&Arc<Me>, &Arc<Known>),
        deadline: Option<Instant>,
    ) -> io::Result<()> {
        let (cancelled, report) = (Arc::clone(&self.cancelled), self.report.clone());
        let (me, known) = (Arc::clone(me), Arc::clone(known));
        let call = Call { me, process, address, link, generation, deadline, cancelled, known };
        let name = format!("dial-{process}");
        thread::Builder::new().name(name).spawn(move || call.keep_trying(&report)).map(drop)
    }

    /// What the next call has come to, if one has.
    pub(crate) fn next(&self) -> Result<Option<Answered>, End> {
        self.outcomes.try_recv().ok().transpose()
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// What one call needs to know.
struct Call {
    /// Who calls.
    me: Arc<Me>,
    /// Who is called.
    process: usize,
    /// Where.
    address: String,
    /// What for.
    link: Link,
    /// In which generation.
    generation: Generation,
    /// When to give up, if ever.
    deadline: Option<Instant>,
    /// Whether the attempt is over.
    cancelled: Arc<AtomicBool>,
    /// For the last thing that went wrong.
    known: Arc<Known>,
}

/// Why one try failed.
enum Failure {
    Again(String),
    Ends(End),
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        Failure::Again(format!("it was reached, but {error}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        FrameError::from(error).into()
    }
}

impl Call {
    fn keep_trying(&self, report: &Sender<Result<Answered, End>>) {
        let is_over = || self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let mut pause = PAUSE.0;
        while !is_over() && !self.cancelled.load(Ordering::Relaxed) {
            match self.attempt() {
                Ok(answered) => return drop(report.send(Ok(answered))),
                Err(Failure::Ends(end)) => return drop(report.send(Err(end))),
                Err(Failure::Again(reason)) => self.known.note(self.process, reason),
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    fn attempt(&self) -> Result<Answered, Failure> {
        let mut stream = self.open().map_err(|e| Failure::Again(e.to_string()))?;
        let answer = Instant::now() + ANSWER;
        let mut opened = Opened { stream: &mut stream, deadline: self.deadline.map_or(answer, |end| end.min(answer)) };
        let Claim { from, generation, .. } = self.prove(&mut opened)?;
        if from as usize != self.process {
            return Err(self.mismatch(Mismatch::Index { theirs: from }));
        }
        self.compare(&mut opened, generation)?;
        Ok(Answered { process: self.process, link: self.link, generation, stream })
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

    /// Proves the secret, and has it proved; who the other one is.
    fn prove(&self, opened: &mut Opened<'_>) -> Result<Claim, Failure> {
        let hello = Claim::draw(self.me.index, self.process as u32, self.link, self.generation)?;
        frame::write(opened, Kind::Hello, &hello.encode())?;
        let challenge = Claim::decode(&opened.expect(Kind::Challenge)?).ok_or(FrameError::Stranger)?;
        let claims = Claims { hello, challenge };
        frame::write(opened, Kind::Proof, &claims.prove(Side::Caller, &self.me.secret))?;
        let proof = opened.expect(Kind::Proof).map_err(|error| match error {
            // It says no more to who has not proved the secret.
            FrameError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => FrameError::Unproved,
            error => error,
        })?;
        if !claims.is_proved(Side::Listener, &self.me.secret, &proof) {
            return Err(FrameError::Unproved.into());
        }
        Ok(challenge)
    }

    /// Tells the settings, and compares those that the other one tells, which is in this generation.
    fn compare(&self, opened: &mut Opened<'_>, theirs: Generation) -> Result<(), Failure> {
        frame::write(opened, Kind::Settings, &self.me.settings.encode())?;
        let (kind, payload) = frame::read(opened, frame::SHORT)?;
        let reason = || String::from_utf8_lossy(&payload).into_owned();
        match kind {
            Kind::Settings => {
                let theirs = Settings::decode(&payload).ok_or(FrameError::Stranger)?;
                self.me.settings.agrees(&theirs).map_err(|mismatch| self.mismatch(mismatch))
            }
            Kind::Wait if !self.adopts() && theirs > self.generation => {
                Err(Failure::Ends(End::again(format!("process {}: {}", self.process, reason()))))
            }
            Kind::Wait => Err(Failure::Again(reason())),
            Kind::Refuse => {
                let (process, address, reason) = (self.process, self.address.clone(), reason());
                Err(Failure::Ends(ClusterError::Refused { process, address, reason }.into()))
            }
            _ => Err(FrameError::Stranger.into()),
        }
    }

    /// Whether it asks process 0 for the generation.
    fn adopts(&self) -> bool {
        (self.process, self.link) == (0, Link::Control)
    }

    fn mismatch(&self, mismatch: Mismatch) -> Failure {
        let peer = format!("process {} at {}", self.process, self.address);
        Failure::Ends(ClusterError::Mismatch { peer, mismatch }.into())
    }
}

/// A connection that is given up at a moment, however slowly it goes on.
struct Opened<'a> {
    stream: &'a mut TcpStream,
    deadline: Instant,
}

impl Opened<'_> {
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

impl Read for Opened<'_> {
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

impl Write for Opened<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
