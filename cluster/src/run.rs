//! The workers: one thread each, over the sockets that were checked.
//!
//! The first failure ends the run: a worker that returns an error, a panic, a lost peer. The other workers of this
//! process are not waited for (they may wait for the one that failed): the caller is expected to end the process,
//! which the peers then see as a lost peer.

use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use timely::WorkerConfig;
use timely::communication::allocator::zero_copy::allocator::TcpBuilder;
use timely::communication::allocator::zero_copy::initialize::{CommsGuard, initialize_networking_from_sockets};
use timely::communication::allocator::{ProcessBuilder, Thread};
use timely::communication::{Allocator, Hooks};
use timely::worker::Worker;

use crate::mesh::Mesh;
use crate::panics::{follows, message};
use crate::watch::{OnLost, PeerLost, Watch, Watched};

/// How long after a worker's end the loss that caused it may take to be noticed.
const NOTICE: Duration = Duration::from_secs(2);

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

/// How a worker ended.
enum End<T, E> {
    Returned(Result<T, E>),
    Panicked(String),
}

impl Mesh {
    /// Runs `work` on each worker of this process, then the dataflows it has built until they are complete; gives what
    /// the workers returned, in their order, when all peers have taken all that was sent to them.
    ///
    /// `on_lost` is called once, at once, when a peer is lost, on a network thread: workers may be busy for longer. A
    /// worker that returns an error ends the run without completing its dataflows.
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
        let watch = Watch::new(Box::new(on_lost) as OnLost);
        let first = self.topology.index() * self.topology.workers();
        let cut = self.links.iter().flatten().map(TcpStream::try_clone).collect::<Result<Vec<_>, _>>();
        let cut = cut.map_err(|e| RunError::Start(e.to_string()))?;
        let (seats, network) = self.seats(&watch).map_err(|e| RunError::Start(e.to_string()))?;
        let count = seats.len();
        let work = Arc::new(work);
        let (report, ends) = channel();
        for (index, seat) in seats.into_iter().enumerate() {
            let (work, config, report) = (Arc::clone(&work), config.clone(), report.clone());
            let body = move || sit(seat, config, &*work, index, &report);
            let builder = thread::Builder::new().name(format!("timely:work-{}", first + index));
            builder.spawn(body).map_err(|e| RunError::Start(e.to_string()))?;
        }
        drop(report);
        let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
        for (index, end) in ends.iter().take(count) {
            match judge(end, first + index, &watch) {
                Ok(value) => results[index] = Some(value),
                Err(error) => {
                    // Waiting for the network threads would be waiting for peers that cannot go on either: they are
                    // told, and the threads are left to the end of the process.
                    watch.close();
                    cut.iter().for_each(|link| drop(link.shutdown(Shutdown::Both)));
                    std::mem::forget(network);
                    return Err(error);
                }
            }
        }
        part(network, &watch)?;
        Ok(results.into_iter().flatten().collect())
    }

    /// What each worker thread starts from, and the network threads.
    fn seats(self, watch: &Arc<Watch>) -> std::io::Result<(Vec<Seat>, Option<CommsGuard>)> {
        let (topology, workers) = (&self.topology, self.topology.workers());
        if topology.peers() == 1 {
            return Ok((vec![Seat::Alone], None));
        }
        let hooks = Hooks::default();
        let local = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
        if topology.processes() == 1 {
            return Ok((local.into_iter().map(Seat::Process).collect(), None));
        }
        let watched = |(process, link): (usize, Option<_>)| {
            link.map(|link| Watched::new(link, process, topology.address(process), Arc::clone(watch)))
        };
        let links = self.links.into_iter().enumerate().map(watched).collect();
        let (tcp, guard) = initialize_networking_from_sockets(local, links, topology.index(), workers, hooks)?;
        Ok((tcp.into_iter().map(Seat::Tcp).collect(), Some(guard)))
    }
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

/// The life of a worker's thread.
fn sit<T, E, F>(seat: Seat, config: WorkerConfig, work: &F, index: usize, report: &Sender<(usize, End<T, E>)>)
where
    F: Fn(&mut Worker) -> Result<T, E>,
{
    // All that belongs to the worker is dropped inside, while the thread still panics: that tells its neighbours.
    let end = catch_unwind(AssertUnwindSafe(|| {
        let mut worker = Worker::new(config, seat.allocator(), Some(Instant::now()));
        let result = work(&mut worker);
        if result.is_err() {
            let _ = report.send((index, End::Returned(result)));
            return None;
        }
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
        Some(result)
    }));
    let _ = match end {
        Ok(None) => Ok(()),
        Ok(Some(result)) => report.send((index, End::Returned(result))),
        Err(payload) => report.send((index, End::Panicked(message(&*payload)))),
    };
}

fn judge<T, E>(end: End<T, E>, worker: usize, watch: &Watch) -> Result<T, RunError<E>> {
    let message = match end {
        End::Returned(result) => return result.map_err(|error| RunError::Failed { worker, error }),
        End::Panicked(message) => message,
    };
    let patience = if follows(&message) { NOTICE } else { Duration::ZERO };
    Err(match watch.lost_within(patience) {
        Some(lost) => RunError::PeerLost(lost),
        None => RunError::Panicked { worker, message },
    })
}

/// Waits until the peers have taken everything and have said goodbye.
fn part<E>(network: Option<CommsGuard>, watch: &Watch) -> Result<(), RunError<E>> {
    // The guard panics if a network thread has: a peer that was lost after our workers were done.
    let parted = catch_unwind(AssertUnwindSafe(|| drop(network)));
    let patience = if parted.is_err() { NOTICE } else { Duration::ZERO };
    match (watch.lost_within(patience), parted) {
        (Some(lost), _) => Err(RunError::PeerLost(lost)),
        (None, Ok(())) => Ok(()),
        (None, Err(payload)) => Err(RunError::Start(message(&*payload))),
    }
}
