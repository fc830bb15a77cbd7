//! What the workers and tasks of one process share: the byte budget, the wish to stop, the first fatal error.

pub mod allocator;
pub mod backlog;
mod cause;
pub mod metrics;
pub mod source;
pub mod standings;
pub mod why;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use citystream_dataflows::held::{Held, Kind};
use citystream_dataflows::tables::Derived;
use citystream_dataflows::time::{Epoch, TimePolicy};
use timely::dataflow::operators::probe::Handle;
use timely::scheduling::SyncActivator;

use crate::columns::decode::DecodeOptions;
use crate::columns::names::Names;
use crate::error::RunError;
use crate::lake::store::Lake;
use crate::page::Hub;
use crate::process::metrics::Metrics;
use crate::process::source::Source;
use crate::standing::{Registry, Rules};
use crate::stopwatch::Stopwatch;

/// One process of a run: what its operators and tasks are given parts of.
pub struct Process {
    /// Its workers.
    pub workers: usize,
    /// What decides lateness and the horizon.
    pub policy: TimePolicy,
    /// The derived tables that are made.
    pub derived: Vec<Derived>,
    /// For whoever reads records.
    pub reading: Arc<Reading>,
    /// For whoever reads or writes the lake beside the workers.
    pub lake: LakeAccess,
    /// The texts behind ids.
    pub names: Arc<Names>,
    /// What state holds.
    pub held: Arc<Held>,
    /// What is counted for the outside.
    pub metrics: Arc<Metrics>,
    /// Where live views are shown, if they are kept.
    pub hub: Option<Arc<Hub>>,
    /// Which standing views there are, on process 0.
    pub views: Option<Arc<Registry>>,
    /// What alerts are about.
    pub alerts: Rules,
    /// Where a fatal error goes.
    pub fatal: Fatal,
}

/// What reading takes.
pub struct Reading {
    /// The process's index in the cluster.
    pub process: usize,
    /// Where records come from.
    pub source: Source,
    /// How records are read.
    pub decode: DecodeOptions,
    /// The byte budget.
    pub budget: Arc<Budget>,
    /// The bound of state.
    pub state: Arc<StateBound>,
    /// Bytes one worker may read in one epoch.
    pub epoch_share: u64,
    /// Bytes that the source's own queues may take on one worker.
    pub queues: u64,
    /// After how long a drained partition without a record is quiet.
    pub quiet_after: Duration,
    /// What is counted for the outside.
    pub metrics: Arc<Metrics>,
    /// Set when the process is asked to stop.
    pub stopping: AtomicBool,
    /// Where a fatal error goes.
    pub fatal: Fatal,
}

impl Reading {
    /// Asks for an orderly end: what has been read is committed first.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether an orderly end was asked for.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// The lake, and where to wait for it: no worker does.
#[derive(Clone)]
pub struct LakeAccess {
    /// The lake.
    pub lake: Lake,
    /// Where I/O runs.
    pub runtime: tokio::runtime::Handle,
    /// Where a fatal error goes.
    pub fatal: Fatal,
    /// Where it is told what waits to be written.
    pub held: Arc<Held>,
    /// Bytes after which a file is complete: of a commit's, this much waits in memory for each table and date.
    pub file_bytes: usize,
}

/// Bytes read in this process and not yet committed, against a limit.
#[derive(Debug)]
pub struct Budget {
    used: AtomicU64,
    limit: u64,
    spent: Stopwatch,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Budget { used: AtomicU64::new(0), limit, spent: Stopwatch::default() }
    }

    /// The limit, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Counts bytes read.
    pub fn take(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        self.spent.set(self.is_spent());
    }

    /// Counts bytes committed.
    pub fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.spent.set(self.is_spent());
    }

    /// Bytes not yet committed.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether nothing more may be read.
    pub fn is_spent(&self) -> bool {
        self.used() >= self.limit
    }

    /// For how long nothing more may be read.
    pub fn paused(&self) -> Option<Duration> {
        // Two that count at once may have set it in the wrong order.
        self.spent.set(self.is_spent());
        self.spent.running()
    }

    /// For how long nothing more was to be read, in all.
    pub fn paused_in_all(&self) -> Duration {
        self.spent.set(self.is_spent());
        self.spent.total()
    }
}

/// What state holds in this process, against its bound: at it, only the partitions that are furthest behind are read, as
/// that lets go of most. What a start recovers is exempt.
#[derive(Debug)]
pub struct StateBound {
    held: Arc<Held>,
    limit: u64,
    said: AtomicBool,
    reached: Stopwatch,
}

impl StateBound {
    /// A bound of `limit` bytes.
    pub fn new(held: &Arc<Held>, limit: u64) -> Self {
        StateBound { held: Arc::clone(held), limit, said: AtomicBool::new(false), reached: Stopwatch::default() }
    }

    /// Whether state has reached its bound; said where that changes.
    pub fn is_reached(&self) -> bool {
        let bytes = self.held.bytes();
        // It has to fall by a tenth, so that it is not said again and again.
        let bound = if self.said.load(Ordering::Relaxed) { self.limit / 10 * 9 } else { self.limit };
        let is_reached = bytes >= bound;
        self.reached.set(is_reached);
        if self.said.swap(is_reached, Ordering::Relaxed) != is_reached {
            self.say(is_reached, bytes >> 20);
        }
        is_reached
    }

    /// For how long it has been reached now; what is held, and the bound.
    pub fn reached(&self) -> (Option<Duration>, u64, u64) {
        (self.reached.running(), self.held.bytes(), self.limit)
    }

    /// For how long it was reached, in all.
    pub fn reached_in_all(&self) -> Duration {
        self.reached.total()
    }

    fn say(&self, is_reached: bool, mib: u64) {
        let limit = self.limit >> 20;
        if is_reached {
            let kinds =
                Kind::ALL.map(|kind| format!("{} {} MiB", kind.word(), self.held.of(kind).bytes >> 20)).join(", ");
            tracing::warn!(
                "state holds {mib} MiB, and --state-memory is {limit} MiB ({kinds}): until the horizon has passed some of it, only \
                 the partitions furthest behind are read; `lake status` names who holds the horizon"
            );
        } else {
            tracing::info!("state holds {mib} MiB of the {limit} MiB of --state-memory: all partitions are read again");
        }
    }
}

/// What one operator owes the budget until its epochs are committed.
#[derive(Debug, Default)]
pub struct Debt {
    epochs: VecDeque<(Epoch, u64)>,
}

impl Debt {
    /// Owes bytes, taken from the budget already, until `epoch` is committed. Epochs come in order.
    pub fn owe(&mut self, epoch: Epoch, bytes: u64) {
        self.epochs.push_back((epoch, bytes));
    }

    /// Gives back what has been committed.
    pub fn refund(&mut self, committed: &Handle<Epoch>, budget: &Budget) {
        while let Some((_, bytes)) = self.epochs.pop_front_if(|(epoch, _)| !committed.less_equal(epoch)) {
            budget.give_back(bytes);
        }
    }
}

/// The first fatal error of the process. Whoever reports one keeps its capabilities: the frontier must not pass
/// what has failed.
#[derive(Clone, Debug)]
pub struct Fatal {
    raised: Arc<AtomicBool>,
    first: Arc<Mutex<Option<mpsc::Sender<RunError>>>>,
}

impl Fatal {
    /// A cell, and where its error arrives.
    pub fn new() -> (Self, mpsc::Receiver<RunError>) {
        let (sender, receiver) = mpsc::channel();
        let fatal = Fatal { raised: Arc::default(), first: Arc::new(Mutex::new(Some(sender))) };
        (fatal, receiver)
    }

    /// Ends the run with `error`, unless it is ending already.
    pub fn raise(&self, error: impl Into<RunError>) {
        let sender = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            self.raised.store(true, Ordering::Release);
            // Nobody listens once the process is ending.
            let _ = sender.send(error.into());
        }
    }

    /// Whether the run is ending.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }
}

/// Answers from a thread or task to an operator, which they wake.
#[derive(Debug)]
pub struct Mailbox<T> {
    sender: mpsc::Sender<T>,
    wake: SyncActivator,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Mailbox { sender: self.sender.clone(), wake: self.wake.clone() }
    }
}

impl<T> Mailbox<T> {
    /// A mailbox, and where its letters arrive.
    pub fn new(wake: SyncActivator) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel();
        (Mailbox { sender, wake }, receiver)
    }

    /// Delivers a letter; one to an operator that has gone is of no use to anyone.
    pub fn send(&self, letter: T) {
        let _ = self.sender.send(letter);
        let _ = self.wake.activate();
    }
}
