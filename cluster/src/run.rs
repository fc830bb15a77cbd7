//! The workers: one thread each, over the sockets that were checked.
//!
//! The first failure ends the run: a worker that returns an error, a panic, a lost peer. The other workers of this
//! process are not waited for (they may wait for the one that failed): the caller is expected to end the process,
//! which the peers then see as a lost peer.

use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use timely::WorkerConfig;
use timely::communication::allocator::zero_copy::allocator::TcpBuilder;
use timely::communication::allocator::zero_copy::initialize::{CommsGuard, initialize_networking_from_sockets};
use timely::communication::allocator::{ProcessBuilder, Thread};
use timely::communication::{Allocator, Hooks};
use timely::worker::Worker;

use crate::mesh::Mesh;
use crate::messages::Messages;
use crate::panics::message;
use crate::stream::Watched;
use crate::topology::Topology;
use crate::vitals::Vitals;
use crate::watch::{PeerLost, Watch};

/// The longest sleep of a worker that has nothing to do.
const TURN: Duration = Duration::from_secs(1);

/// Why a run ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum RunError<E> {
    /// Another process is gone.
    #[error(transparent)]
    PeerLost(PeerLost),
    /// A worker returned an error.
    #[error("{error}")]
    Failed {
        /// The worker, among those of all processes.
        worker: usize,
        /// What it returned.
        error: E,
    },
    /// A worker panicked: a defect.
    #[error("worker {worker} failed: {message}")]
    Panicked {
        /// The worker, among those of all processes.
        worker: usize,
        /// What the panic said.
        message: String,
    },
    /// The operating system would not start it.
    #[error("cannot start the workers: {0}")]
    Start(String),
}

/// What happens in a run.
enum Event<T, E> {
    /// A worker has returned this, and its dataflows are complete.
    Done(usize, T),
    /// A worker has failed.
    Failed(RunError<E>),
    /// A peer is lost.
    Lost(PeerLost),
    /// All was sent, and all peers have said goodbye; or a network thread has panicked.
    Parted(Result<(), String>),
}

impl Mesh {
    /// Runs `work` on each worker of this process, then the dataflows it has built until they are complete; gives what
    /// the workers returned, in their order, when all peers have taken all that was sent to them.
    ///
    /// `on_lost` is called once, at once, when a peer is lost: workers may be busy for longer. A worker that returns an
    /// error ends the run without completing its dataflows. `work` that goes on for long tells [`Mesh::vitals`] that it turns.
    pub fn run<T, E, F>(
        self,
        config: WorkerConfig,
        on_lost: impl Fn(&PeerLost) + Send + Sync + 'static,
        work: F,
    ) -> Result<Vec<T>, RunError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Fn(&mut Worker) -> Result<T, E> + Send + Sync + 'static,
    {
        let start = |error: std::io::Error| RunError::Start(error.to_string());
        let Mesh { topology, links, vitals, watch, lookout, .. } = self;
        let first = topology.index() * topology.workers();
        let cut = links.iter().flatten().map(TcpStream::try_clone).collect::<Result<Vec<_>, _>>().map_err(start)?;
        let (seats, network) = seats(&topology, links, (&watch, &vitals)).map_err(start)?;
        let count = seats.len();
        let work = Arc::new(work);
        let (report, events) = channel();
        let lost = report.clone();
        watch.tell(move |peer| {
            on_lost(peer);
            // Nobody listens once the run has ended.
            let _ = lost.send(Event::Lost(peer.clone()));
        });
        for (index, seat) in seats.into_iter().enumerate() {
            let (work, config, vitals, report) =
                (Arc::clone(&work), config.clone(), Arc::clone(&vitals), report.clone());
            let body = move || sit(seat, config, &*work, (index, first + index), &vitals, &report);
            let builder = thread::Builder::new().name(format!("timely:work-{}", first + index));
            builder.spawn(body).map_err(start)?;
        }
        let ended = finish(&events, &report, count, network);
        watch.close();
        drop(lookout);
        if ended.is_err() {
            // The peers are told; threads are left to the end of the process.
            cut.iter().for_each(|link| drop(link.shutdown(Shutdown::Both)));
        }
        ended
    }
}

/// What each worker thread starts from, and the network threads.
fn seats(
    topology: &Topology,
    links: Vec<Option<TcpStream>>,
    (watch, vitals): (&Arc<Watch>, &Arc<Vitals>),
) -> std::io::Result<(Vec<Seat>, Option<CommsGuard>)> {
    let workers = topology.workers();
    if topology.peers() == 1 {
        return Ok((vec![Seat::Alone], None));
    }
    let hooks = Hooks::default();
    let local = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
    if topology.processes() == 1 {
        return Ok((local.into_iter().map(Seat::Process).collect(), None));
    }
    let watched = |(process, link): (usize, Option<_>)| {
        let messages = Messages::between(process, topology.index(), workers);
        let shared = (Arc::clone(watch), Arc::clone(vitals));
        link.map(|link| Watched::new(link, (process, topology.address(process)), messages, shared))
    };
    let links = links.into_iter().enumerate().map(watched).collect();
    let (tcp, guard) = initialize_networking_from_sockets(local, links, topology.index(), workers, hooks)?;
    Ok((tcp.into_iter().map(Seat::Tcp).collect(), Some(guard)))
}

/// Waits until all workers have returned, and until the peers have taken everything and have said goodbye.
fn finish<T: Send + 'static, E: Send + 'static>(
    events: &Receiver<Event<T, E>>,
    report: &Sender<Event<T, E>>,
    count: usize,
    network: Option<CommsGuard>,
) -> Result<Vec<T>, RunError<E>> {
    let mut network = Some(network);
    let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
    // It ends before the events do: `report` is held here.
    for event in events {
        match event {
            Event::Done(index, value) => results[index] = Some(value),
            Event::Failed(error) => return Err(forget(network, error)),
            Event::Lost(lost) => return Err(forget(network, RunError::PeerLost(lost))),
            Event::Parted(Ok(())) => break,
            Event::Parted(Err(why)) => return Err(RunError::Start(why)),
        }
        if results.iter().all(Option::is_some)
            && let Some(network) = network.take()
        {
            part(network, report.clone());
        }
    }
    Ok(results.into_iter().flatten().collect())
}

/// Waits for the network threads on a thread of its own: one that has lost its peer never ends.
fn part<T: Send + 'static, E: Send + 'static>(network: Option<CommsGuard>, report: Sender<Event<T, E>>) {
    thread::spawn(move || {
        let parted = catch_unwind(AssertUnwindSafe(|| drop(network))).map_err(|panic| message(&*panic));
        let _ = report.send(Event::Parted(parted));
    });
}

/// Dropping the guard would wait for the network threads, and those for peers that cannot go on either.
fn forget<E>(network: Option<Option<CommsGuard>>, error: RunError<E>) -> RunError<E> {
    std::mem::forget(network);
    error
}

/// What may cross to a worker's thread; the allocator itself may not.
enum Seat {
    Alone,
    Process(ProcessBuilder),
    Tcp(TcpBuilder),
}

impl Seat {
    fn allocator(self) -> Allocator {
        match self {
            Seat::Alone => Allocator::Thread(Thread::default()),
            Seat::Process(builder) => Allocator::Process(builder.build()),
            Seat::Tcp(builder) => Allocator::Tcp(builder.build()),
        }
    }
}

/// The life of a worker's thread; the worker is known here and among those of all processes.
fn sit<T, E, F>(
    seat: Seat,
    config: WorkerConfig,
    work: &F,
    (index, worker): (usize, usize),
    vitals: &Vitals,
    report: &Sender<Event<T, E>>,
) where
    F: Fn(&mut Worker) -> Result<T, E>,
{
    vitals.turned(worker);
    let mut seated = Worker::new(config, seat.allocator(), Some(Instant::now()));
    let end = catch_unwind(AssertUnwindSafe(|| {
        let value = work(&mut seated)?;
        while seated.has_dataflows() {
            vitals.turned(worker);
            seated.step_or_park(Some(TURN));
        }
        Ok(value)
    }));
    let failed = match end {
        Ok(Ok(value)) => {
            // Sends what it still holds, and lets the network threads say goodbye.
            drop(seated);
            vitals.rests(worker);
            let _ = report.send(Event::Done(index, value));
            return;
        }
        Ok(Err(error)) => RunError::Failed { worker, error },
        Err(panic) => RunError::Panicked { worker, message: message(&*panic) },
    };
    let _ = report.send(Event::Failed(failed));
    // A worker that failed is not dropped: that would tell its neighbours to panic, or the peers that all is well.
    loop {
        thread::park();
    }
}
