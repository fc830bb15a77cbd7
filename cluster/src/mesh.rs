//! Two checked sockets between any two processes, opened before a deadline, before anything is computed: one for timely, one
//! for what processes say to each other.
//!
//! Each process listens on its own address and calls those with smaller indices, in attempts (`attempt.rs`) until one brings
//! all of them together: when [`Mesh::connect`] returns, *every* process is connected to every other one, in one generation.

use std::cell::Cell;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::accept::Acceptor;
use crate::attempt::Start;
use crate::control::Control;
use crate::end::End;
use crate::error::ClusterError;
use crate::generation::Generation;
use crate::handshake::{Me, Settings};
use crate::hostfile;
use crate::known::Known;
use crate::lookout::Lookout;
use crate::pulse::Liveness;
use crate::secret::Secret;
use crate::sockets;
use crate::topology::Topology;
use crate::vitals::Vitals;
use crate::watch::Watch;

/// How long a name may stand for a host that had it before: a pod that replaces another takes its name, and names are cached.
const RENAMED: Duration = Duration::from_secs(40);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long all processes may take to come together; `Duration::MAX` is without end.
    pub deadline: Duration,
    /// A hash of all settings that must be equal on all processes.
    pub fingerprint: u64,
    /// What all processes prove to each other. Without it only loopback addresses are taken.
    pub secret: Option<Secret>,
    /// Whether all addresses are taken even so.
    pub insecure: bool,
    /// How soon a process that stands still is noticed; the same on all.
    pub liveness: Liveness,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            deadline: Duration::from_secs(60),
            fingerprint: 0,
            secret: None,
            insecure: false,
            liveness: Liveness::default(),
        }
    }
}

/// All processes, connected and checked; the workers have not started.
#[derive(Debug)]
pub struct Mesh {
    pub(crate) topology: Topology,
    pub(crate) generation: Generation,
    /// For timely, by process; `None` at this one's place.
    pub(crate) links: Vec<Option<TcpStream>>,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) watch: Arc<Watch>,
    /// Has the links for what processes say to each other.
    pub(crate) lookout: Lookout,
}

impl Mesh {
    /// Connects to all other processes. One process alone opens no socket.
    ///
    /// # Errors
    /// What keeps this process from joining; who did not come before the deadline.
    pub fn connect(topology: Topology, options: Options) -> Result<Mesh, ClusterError> {
        if topology.processes() == 1 {
            let generation = Generation::mint(Generation::NONE).map_err(system)?;
            return Mesh::of(topology, generation, options.liveness, vec![(None, None)]);
        }
        keep_strangers_out(&topology, &options)?;
        let listener = listen(&topology, Instant::now().checked_add(options.deadline))?;
        Mesh::connect_from(topology, options, listener)
    }

    /// As `connect`, with a listener on this process's address that the caller has opened already.
    ///
    /// # Errors
    /// The same.
    pub fn connect_from(topology: Topology, options: Options, listener: TcpListener) -> Result<Mesh, ClusterError> {
        keep_strangers_out(&topology, &options)?;
        let me = Arc::new(Me {
            index: topology.index() as u32,
            settings: Settings {
                fingerprint: options.fingerprint,
                processes: topology.processes() as u32,
                workers: topology.workers() as u32,
            },
            secret: options.secret.clone().unwrap_or_else(Secret::none),
        });
        let known = Arc::new(Known::new(topology.processes(), topology.index()));
        let mut acceptor = Acceptor::new(listener, Arc::clone(&me), Arc::clone(&known)).map_err(system)?;
        let deadline = Instant::now().checked_add(options.deadline);
        let start = Start {
            topology: &topology,
            me,
            deadline,
            waited: options.deadline,
            liveness: options.liveness,
            known,
            named: Cell::new(Instant::now()),
        };
        let mut generation = Generation::NONE;
        loop {
            match start.attempt(&mut acceptor, &mut generation) {
                Ok(slots) => {
                    let links = slots.0.into_iter().map(|slot| (slot.data, slot.control)).collect();
                    return Mesh::of(topology, generation, options.liveness, links);
                }
                Err(End::Never(error)) => return Err(error),
                Err(End::Again { why, above }) => {
                    tracing::debug!("all processes begin again: {why}");
                    generation = generation.max(above);
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    /// A mesh of these links, for timely and for what processes say to each other.
    fn of(
        topology: Topology,
        generation: Generation,
        liveness: Liveness,
        links: Vec<(Option<TcpStream>, Option<Control>)>,
    ) -> Result<Mesh, ClusterError> {
        let (links, controls): (Vec<_>, Vec<_>) = links.into_iter().unzip();
        links.iter().flatten().try_for_each(sockets::hand_over).map_err(system)?;
        let vitals = Arc::new(Vitals::new(topology.processes(), topology.workers(), topology.index()));
        let watch = Watch::new(topology.processes());
        let lookout = Lookout::start(&topology, liveness, controls, &vitals, &watch).map_err(system)?;
        Ok(Mesh { topology, generation, links, vitals, watch, lookout })
    }

    /// The topology it was built from.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The attempt that has brought all processes together: the same for all of them, and no other's.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Where the workers of this process show that they turn.
    pub fn vitals(&self) -> Arc<Vitals> {
        Arc::clone(&self.vitals)
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

/// A listener on this process's address. A name that is not known yet may become known, and one that stands for another host may
/// come to stand for this one.
fn listen(topology: &Topology, deadline: Option<Instant>) -> Result<TcpListener, ClusterError> {
    let process = topology.index();
    let address = topology.address(process).to_owned();
    let begun = Instant::now();
    loop {
        let error = match TcpListener::bind(&address) {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::AddrInUse => return Err(ClusterError::PortTaken { process, address }),
            io::ErrorKind::AddrNotAvailable if hostfile::is_name(&address) && begun.elapsed() < RENAMED => {
                thread::sleep(Duration::from_millis(200));
                continue;
            }
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::PermissionDenied => {}
            _ if deadline.is_none_or(|deadline| Instant::now() < deadline) => {
                thread::sleep(Duration::from_millis(200));
                continue;
            }
            _ => {}
        }
        return Err(ClusterError::Listen { process, address, reason: error.to_string() });
    }
}

fn system(error: io::Error) -> ClusterError {
    ClusterError::System(error.to_string())
}
