//! The listening side of the handshake: takes the processes with greater indices in, sends everybody else away.
//!
//! Nothing here blocks, and whoever says nothing, or too little, is dropped after a few seconds: a stranger on the
//! port costs a line in the log and a bounded number of bytes, never the start (P6).

use std::cmp::Ordering;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::complaints::Complaints;
use crate::end::End;
use crate::frame::{self, FrameError, HEADER, Kind};
use crate::generation::Generation;
use crate::handshake::{CLAIM, Claim, Claims, Link, Me, SETTINGS, Settings, Side};
use crate::known::Known;
use crate::secret::PROOF;
use crate::slots::Slots;

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
    me: Arc<Me>,
    known: Arc<Known>,
    pending: Vec<Pending>,
    complaints: Complaints,
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

/// What becomes of a process that has proved itself.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Welcome,
    /// It has no place here now.
    Wait(String),
    /// It has none at all: as seen from here, and from there.
    Never(String, String),
    /// The attempt is over.
    Again {
        why: String,
        above: Generation,
    },
}

impl Acceptor {
    /// An acceptor for this process.
    pub(crate) fn new(listener: TcpListener, me: Arc<Me>, known: Arc<Known>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Acceptor { listener, me, known, pending: Vec::new(), complaints: Complaints::new() })
    }

    /// One round in a generation: accepts, listens, and puts who belongs here into its place in `slots`; fails if all have to
    /// begin again.
    pub(crate) fn poll(&mut self, generation: Generation, slots: &mut Slots) -> Result<(), End> {
        self.accept();
        let mut ended = Ok(());
        for mut pending in std::mem::take(&mut self.pending) {
            match pending.progress(&self.me, generation) {
                Ok(None) if pending.since.elapsed() < PATIENCE => self.pending.push(pending),
                Ok(None) => self.complaints.warn(pending.from, "it did not say what it is"),
                Ok(Some(proved)) => ended = ended.and(self.admit(pending, proved, generation, slots)),
                Err(error) => {
                    if let FrameError::Version(_) = error {
                        // Every release reads the version in this.
                        refuse(&mut pending.stream, Kind::Refuse, "");
                    }
                    self.complaints.warn(pending.from, &error.to_string());
                }
            }
        }
        ended
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
    fn admit(&mut self, pending: Pending, proved: Proved, at: Generation, slots: &mut Slots) -> Result<(), End> {
        let Pending { mut stream, from, .. } = pending;
        let (place, link) = (proved.0.hello.from as usize, proved.0.hello.link);
        match judge(&self.me, at, &proved, slots) {
            Verdict::Welcome => {
                let said = say(&mut stream, Kind::Settings, &self.me.settings.encode());
                // One that has gone meanwhile calls again.
                let _ = said.and_then(|()| slots.put(place, link, stream));
            }
            Verdict::Wait(why) => refuse(&mut stream, Kind::Wait, &why),
            Verdict::Never(here, there) => {
                self.complaints.warn(from, &format!("process {place}: {here}"));
                self.known.note(place, here);
                refuse(&mut stream, Kind::Refuse, &there);
            }
            Verdict::Again { why, above } => return Err(End::Again { why, above }),
        }
        Ok(())
    }
}

/// Whether a process that has proved itself has a place here, in this generation.
fn judge(me: &Me, at: Generation, (Claims { hello, challenge }, theirs): &Proved, slots: &Slots) -> Verdict {
    let (place, mine) = (hello.from as usize, me.index as usize);
    if let (Err(here), Err(there)) = (me.settings.agrees(theirs), theirs.agrees(&me.settings)) {
        return Verdict::Never(here.to_string(), there.to_string());
    }
    if place <= mine || place >= slots.0.len() {
        let why = format!("process {place} does not connect to {mine}");
        return Verdict::Never(why.clone(), why);
    }
    let again = |why: String| Verdict::Again { why, above: hello.generation };
    let adopts = mine == 0 && hello.link == Link::Control;
    match hello.generation.cmp(&at) {
        _ if at == Generation::NONE => Verdict::Wait("it has not reached process 0 yet".to_owned()),
        _ if challenge.generation != at => Verdict::Wait("a later generation has begun".to_owned()),
        Ordering::Greater => again(format!("process {place} knows a later generation")),
        // Who lives keeps its place; one that has died gives it up in this round or the next.
        _ if adopts && slots.has(place, hello.link) => Verdict::Wait(format!("a process {place} is connected already")),
        Ordering::Less if !adopts => Verdict::Wait("there is a later generation".to_owned()),
        _ if slots.has(place, hello.link) => again(format!("process {place} has come twice")),
        _ => Verdict::Welcome,
    }
}

impl Pending {
    /// Goes as far as what is there allows.
    fn progress(&mut self, me: &Me, at: Generation) -> Result<Option<Proved>, FrameError> {
        while self.read()? {
            if let Some(proved) = self.take(me, at)? {
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
    fn take(&mut self, me: &Me, at: Generation) -> Result<Option<Proved>, FrameError> {
        let (kind, length) = self.next();
        let Some(payload) = frame::expected(&self.bytes, kind, length)? else { return Ok(None) };
        match self.step {
            Step::Hello => {
                let hello = Claim::decode(payload).ok_or(FrameError::Stranger)?;
                let challenge = Claim::draw(me.index, hello.from, hello.link, at)?;
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

/// Says something to a socket that takes it at once, or is given up.
fn say(stream: &mut TcpStream, kind: Kind, payload: &[u8]) -> io::Result<()> {
    stream.write_all(&frame::encode(kind, payload))
}

/// Says why, if the other end still listens.
fn refuse(stream: &mut TcpStream, kind: Kind, reason: &str) {
    let end = reason.floor_char_boundary(frame::SHORT.min(reason.len()));
    let _ = say(stream, kind, &reason.as_bytes()[..end]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const SETTINGS: Settings = Settings { fingerprint: 7, processes: 4, workers: 1 };

    /// What process `me`, at a generation, makes of a connection of process 2.
    fn verdict(me: u32, at: Generation, link: Link, said: Generation, slots: &Slots) -> Verdict {
        let me = Me { index: me, settings: SETTINGS, secret: Secret::none() };
        let hello = Claim::draw(2, me.index, link, said).unwrap();
        let challenge = Claim { generation: at, ..hello };
        judge(&me, at, &(Claims { hello, challenge }, SETTINGS), slots)
    }

    #[test]
    fn g1_only_those_of_one_generation_are_linked_and_a_later_one_wins() {
        let empty = Slots::new(4);
        let now = Generation::mint(Generation::NONE).unwrap();
        let later = Generation::mint(now).unwrap();
        let waits = |verdict| matches!(verdict, Verdict::Wait(_));
        let again = |verdict| matches!(verdict, Verdict::Again { above, .. } if above == later);
        for link in [Link::Control, Link::Data] {
            assert_eq!(verdict(1, now, link, now, &empty), Verdict::Welcome);
            assert!(waits(verdict(1, later, link, now, &empty)));
            assert!(again(verdict(1, now, link, later, &empty)));
            assert!(waits(verdict(1, Generation::NONE, link, now, &empty)));
        }
        // Who comes to process 0 adopts what it is told, and tells the last that it knew.
        for said in [Generation::NONE, now, later] {
            assert_eq!(verdict(0, later, Link::Control, said, &empty), Verdict::Welcome);
        }
        assert!(again(verdict(0, now, Link::Control, later, &empty)));
        assert!(waits(verdict(0, later, Link::Data, now, &empty)));
    }

    #[test]
    fn g2_a_second_data_link_ends_the_attempt_and_a_second_process_waits() {
        let now = Generation::mint(Generation::NONE).unwrap();
        let mut slots = Slots::new(4);
        for link in [Link::Control, Link::Data] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            slots.put(2, link, TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap();
        }
        assert!(matches!(verdict(0, now, Link::Data, now, &slots), Verdict::Again { .. }));
        assert!(matches!(verdict(1, now, Link::Data, now, &slots), Verdict::Again { .. }));
        let Verdict::Wait(why) = verdict(0, now, Link::Control, Generation::NONE, &slots) else { panic!("no place") };
        assert_eq!(why, "a process 2 is connected already");
    }
}
