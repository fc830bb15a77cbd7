//! A checked socket between any two processes, opened before a deadline, before anything is computed.
//!
//! Each process listens on its own address and calls those with smaller indices. When all its links are there it
//! says so on each of them and waits until all others have said so: when [`Mesh::connect`] returns, *every* process
//! is connected to every other one. Whoever gives up tells the others why.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::accept::{Acceptor, refuse};
use crate::dial::{Call, Outcome};
use crate::error::{ClusterError, Missing};
use crate::frame::{self, FrameError, Kind};
use crate::handshake::{Me, Settings};
use crate::secret::Secret;
use crate::topology::Topology;
use crate::watch::PeerLost;

/// The pause between two looks at the listener.
const ROUND: Duration = Duration::from_millis(5);

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long all processes may take to come together.
    pub deadline: Duration,
    /// A hash of all settings that must be equal on all processes.
    pub fingerprint: u64,
    /// What all processes prove to each other. Without it only loopback addresses are taken.
    pub secret: Option<Secret>,
    /// Whether all addresses are taken even so.
    pub insecure: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { deadline: Duration::from_secs(60), fingerprint: 0, secret: None, insecure: false }
    }
}

/// All processes, connected and checked; the workers have not started.
#[derive(Debug)]
pub struct Mesh {
    pub(crate) topology: Topology,
    /// By process; `None` at this one's place.
    pub(crate) links: Vec<Option<TcpStream>>,
}

impl Mesh {
    /// Connects to all other processes. One process alone opens no socket.
    pub fn connect(topology: Topology, options: Options) -> Result<Mesh, ClusterError> {
        if topology.processes() == 1 {
            return Ok(Mesh { topology, links: vec![None] });
        }
        keep_strangers_out(&topology, &options)?;
        let deadline = Instant::now() + options.deadline;
        let listener = listen(&topology, deadline)?;
        Mesh::connect_from(topology, options, listener)
    }

    /// As `connect`, with a listener on this process's address that the caller has opened already.
    pub fn connect_from(topology: Topology, options: Options, listener: TcpListener) -> Result<Mesh, ClusterError> {
        keep_strangers_out(&topology, &options)?;
        let mut links: Vec<Option<TcpStream>> = (0..topology.processes()).map(|_| None).collect();
        let deadline = Instant::now() + options.deadline;
        let met = meet(&topology, &options, deadline, listener, &mut links)
            .and_then(|()| agree(&topology, deadline, &mut links))
            .and_then(|()| links.iter().flatten().try_for_each(set_options).map_err(system));
        match met {
            Ok(()) => Ok(Mesh { topology, links }),
            Err(error) => Err(give_up(&topology, error, &mut links)),
        }
    }

    /// The topology it was built from.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }
}

/// Without a secret nobody else may reach the addresses, unless the user has said that nobody does.
fn keep_strangers_out(topology: &Topology, options: &Options) -> Result<(), ClusterError> {
    match topology.exposed() {
        Some(process) if options.secret.is_none() && !options.insecure => {
            Err(ClusterError::Exposed { process, address: topology.address(process).to_owned() })
        }
        _ => Ok(()),
    }
}

/// A listener on this process's address. A name that is not known yet may become known.
fn listen(topology: &Topology, deadline: Instant) -> Result<TcpListener, ClusterError> {
    let process = topology.index();
    let address = topology.address(process).to_owned();
    loop {
        let error = match TcpListener::bind(&address) {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::AddrInUse => return Err(ClusterError::PortTaken { process, address }),
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::PermissionDenied => {}
            _ if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(200));
                continue;
            }
            _ => {}
        }
        return Err(ClusterError::Listen { process, address, reason: error.to_string() });
    }
}

/// Fills `links`: calls the processes before this one, is called by those after it.
fn meet(
    topology: &Topology,
    options: &Options,
    deadline: Instant,
    listener: TcpListener,
    links: &mut [Option<TcpStream>],
) -> Result<(), ClusterError> {
    let me = Me {
        index: topology.index() as u32,
        settings: Settings {
            fingerprint: options.fingerprint,
            processes: topology.processes() as u32,
            workers: topology.workers() as u32,
        },
        secret: options.secret.clone().unwrap_or_else(Secret::none),
    };
    let mut acceptor = Acceptor::new(listener, me.clone()).map_err(system)?;
    let calls = Calls::start(topology, &me, deadline)?;
    loop {
        while let Ok(outcome) = calls.outcomes.try_recv() {
            let (process, stream) = outcome?;
            links[process] = Some(stream);
        }
        acceptor.poll(links);
        if complete(links) {
            acceptor.prune(links);
        }
        if complete(links) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let missing = calls.missing(topology, links, &acceptor.last);
            return Err(ClusterError::Unreachable { missing, waited: options.deadline });
        }
        thread::sleep(ROUND);
    }
}

/// Whether all links but the one to itself are there.
fn complete(links: &[Option<TcpStream>]) -> bool {
    links.iter().flatten().count() + 1 == links.len()
}

/// The calls under way; dropping it ends them.
struct Calls {
    outcomes: Receiver<Outcome>,
    cancelled: Arc<AtomicBool>,
    /// By process, for those that are called.
    last: Vec<Arc<Mutex<String>>>,
}

impl Calls {
    fn start(topology: &Topology, me: &Me, deadline: Instant) -> Result<Calls, ClusterError> {
        let (report, outcomes) = channel();
        let mut calls = Calls { outcomes, cancelled: Arc::default(), last: Vec::new() };
        for process in 0..topology.index() {
            let last = Arc::new(Mutex::new("no answer".to_owned()));
            calls.last.push(Arc::clone(&last));
            let address = topology.address(process).to_owned();
            let cancelled = Arc::clone(&calls.cancelled);
            Call { me: me.clone(), process, address, deadline, cancelled, last }
                .start(report.clone())
                .map_err(system)?;
        }
        Ok(calls)
    }

    /// Who is not there, and the last thing known of it.
    fn missing(&self, topology: &Topology, links: &[Option<TcpStream>], called: &[String]) -> Vec<Missing> {
        let absent = |process: &usize| *process != topology.index() && links[*process].is_none();
        let describe = |process: usize| Missing {
            process,
            address: topology.address(process).to_owned(),
            last: self.last.get(process).map_or_else(
                || called[process].clone(),
                |last| last.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ),
        };
        (0..links.len()).filter(absent).map(describe).collect()
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Says that all links of this process are there, and waits until all others have said so.
fn agree(topology: &Topology, deadline: Instant, links: &mut [Option<TcpStream>]) -> Result<(), ClusterError> {
    let each = |links: &mut [Option<TcpStream>],
                act: &mut dyn FnMut(usize, &mut TcpStream) -> Result<(), ClusterError>| {
        links.iter_mut().enumerate().try_for_each(|(i, link)| link.as_mut().map_or(Ok(()), |link| act(i, link)))
    };
    each(links, &mut |process, link| {
        frame::write(link, Kind::Ready, &[]).map_err(|e| lost(topology, process, &e.to_string()))
    })?;
    each(links, &mut |process, link| {
        // The deadline of a process that started later is later: a little patience lets it say what is wrong.
        let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_secs(2);
        link.set_read_timeout(Some(left)).map_err(system)?;
        expect(topology, process, frame::read(link, frame::SHORT), Kind::Ready).map(drop)
    })
}

/// The payload of a frame from a peer, if it is the frame that has to come now.
fn expect(
    topology: &Topology,
    process: usize,
    answer: Result<(Kind, Vec<u8>), FrameError>,
    wanted: Kind,
) -> Result<Vec<u8>, ClusterError> {
    match answer {
        Ok((kind, payload)) if kind == wanted => Ok(payload),
        Ok((Kind::Refuse, reason)) => Err(ClusterError::Refused {
            process,
            address: topology.address(process).to_owned(),
            reason: String::from_utf8_lossy(&reason).into_owned(),
        }),
        Ok((kind, _)) => Err(lost(topology, process, &format!("it said {kind:?} instead of {wanted:?}"))),
        Err(FrameError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(lost(topology, process, "it closed the connection"))
        }
        Err(FrameError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(lost(topology, process, "it is connected, but not all of the others are connected to it"))
        }
        Err(error) => Err(lost(topology, process, &error.to_string())),
    }
}

fn lost(topology: &Topology, process: usize, cause: &str) -> ClusterError {
    PeerLost { process, address: topology.address(process).to_owned(), cause: cause.to_owned() }.into()
}

/// Blocking, without time limits and without delay: as timely wants it.
fn set_options(link: &TcpStream) -> io::Result<()> {
    link.set_nonblocking(false)?;
    link.set_read_timeout(None)?;
    link.set_write_timeout(None)?;
    link.set_nodelay(true)
}

/// Tells the others why, so that the first cause is seen everywhere.
fn give_up(topology: &Topology, error: ClusterError, links: &mut [Option<TcpStream>]) -> ClusterError {
    let reason = match &error {
        ClusterError::Refused { reason, .. } => reason.clone(),
        other => format!("process {} gave up: {other}", topology.index()),
    };
    links.iter_mut().flatten().for_each(|link| refuse(link, &reason));
    error
}

fn system(error: io::Error) -> ClusterError {
    ClusterError::System(error.to_string())
}
