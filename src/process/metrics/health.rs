//! Whether a process is alive, and whether it is ready; and in one line why not.
//!
//! Ready is who has recovered, and whose frontier moves: also where there is nothing to read an epoch ends every few seconds, so one
//! that stands for longer has a reason, which is looked for ([`why`](crate::process::why)). All times are of the monotonic clock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use citystream_cluster::{Generation, Vitals};
use citystream_dataflows::held::Held;
use citystream_dataflows::time::TimePolicy;

use crate::lake::store::Waits;
use crate::process::cause::Cause;
use crate::process::standings::Standings;
use crate::process::why::{Look, does_not_turn};
use crate::process::{Budget, StateBound};
use crate::source::kafka::Counts;

/// A frontier that stands for longer, and a worker that does not turn for longer, are in trouble.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Epochs whose length is measured at one time.
const MOST_OPEN: usize = 64;

/// What a process does before its first epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for the other processes.
    Meeting = 0,
    /// Process 0 opens source and lake, and claims the lake; the others wait for its first tick.
    Claiming = 1,
    /// The lake is claimed.
    Claimed = 2,
}

/// Something that grows, and when it grew last.
#[derive(Debug)]
pub struct Mark {
    made: Instant,
    value: AtomicU64,
    /// Milliseconds after `made`.
    moved: AtomicU64,
}

impl Mark {
    fn new() -> Mark {
        Mark { made: Instant::now(), value: AtomicU64::new(0), moved: AtomicU64::new(0) }
    }

    /// It is there now; true if it has moved.
    pub fn reach(&self, value: u64) -> bool {
        let has_moved = value > self.value.load(Relaxed) && value > self.value.fetch_max(value, Relaxed);
        if has_moved {
            self.moved.store(self.made.elapsed().as_millis() as u64, Relaxed);
        }
        has_moved
    }

    /// Where it is.
    pub fn value(&self) -> u64 {
        self.value.load(Relaxed)
    }

    /// How long it has been there.
    pub fn age(&self) -> Duration {
        self.made.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Relaxed)))
    }
}

/// What a process can be asked about while it runs.
pub struct Parts {
    /// Bytes read and not yet committed.
    pub budget: Arc<Budget>,
    /// The bound of state.
    pub state: Arc<StateBound>,
    /// What operators hold, and are at.
    pub held: Arc<Held>,
    /// Who waits for the lake's store.
    pub waits: Waits,
    /// What goes wrong with brokers.
    pub kafka: Option<Counts>,
}

/// The meeting of all processes.
struct Met {
    vitals: Arc<Vitals>,
    generation: Generation,
    at: Instant,
}

/// What is known of a process: told by its parts, looked at by whoever asks.
pub struct Health {
    /// How long the frontier may stand.
    patience: Duration,
    stage: AtomicU8,
    /// The first epoch, in which an earlier run is recovered; 0 before it.
    first: AtomicU64,
    /// The last epoch that was closed here.
    pub closed: Mark,
    /// All before it is derived, by all workers.
    pub frontier: Mark,
    /// All before it is committed.
    pub committed: Mark,
    met: OnceLock<Met>,
    /// How long it took until all was recovered.
    recovery: OnceLock<Duration>,
    parts: OnceLock<Parts>,
    began: Instant,
    /// On process 0: the commit that is being made.
    committing: Mutex<Option<Committing>>,
    /// On process 0: how the partitions stand.
    standings: Mutex<Standings>,
    /// When epochs were closed here, until they are derived.
    open: Mutex<VecDeque<(u64, Instant)>>,
    /// From an epoch's being closed here to its being derived by all workers, in seconds.
    pub epochs: Took,
}

/// A commit on its way.
#[derive(Clone, Copy, Debug)]
struct Committing {
    seq: u64,
    since: Instant,
    /// Its files are there: it is itself on its way to the store.
    is_put: bool,
}

/// How often something was done, and how many seconds it took in all.
#[derive(Debug, Default)]
pub struct Took(Mutex<(u64, f64)>);

impl Took {
    /// It was done again, in this time.
    pub fn add(&self, time: Duration) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *sums = (sums.0 + 1, sums.1 + time.as_secs_f64());
    }

    /// How often, and how many seconds in all.
    pub fn sums(&self) -> (u64, f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    /// Of a process that has just begun, whose epochs are about so long, in a run with this policy.
    pub fn new(epoch: Duration, policy: TimePolicy) -> Health {
        Health {
            began: Instant::now(),
            committing: Mutex::default(),
            standings: Mutex::new(Standings::new(policy)),
            open: Mutex::default(),
            epochs: Took::default(),
            patience: PATIENCE.max(epoch * 4),
            stage: AtomicU8::new(Stage::Meeting as u8),
            first: AtomicU64::new(0),
            closed: Mark::new(),
            frontier: Mark::new(),
            committed: Mark::new(),
            met: OnceLock::new(),
            recovery: OnceLock::new(),
            parts: OnceLock::new(),
        }
    }

    /// It is so far.
    pub fn reach(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }

    /// All processes are there, and show here how they are.
    pub fn met(&self, vitals: Arc<Vitals>, generation: Generation) {
        self.reach(Stage::Claiming);
        // A process has one mesh.
        let _ = self.met.set(Met { vitals, generation, at: Instant::now() });
    }

    /// What can be looked at from now on.
    pub fn watch(&self, parts: Parts) {
        // A process has one of each.
        let _ = self.parts.set(parts);
    }

    /// How the processes are, once all are there.
    pub fn vitals(&self) -> Option<&Vitals> {
        self.met.get().map(|met| met.vitals.as_ref())
    }

    /// What can be looked at, once it is there.
    pub fn parts(&self) -> Option<&Parts> {
        self.parts.get()
    }

    /// An epoch was closed here.
    pub fn closed(&self, epoch: u64) {
        let _ = self.first.compare_exchange(0, epoch, Relaxed, Relaxed);
        if self.closed.reach(epoch) {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.push_back((epoch, Instant::now()));
            // Of those that are derived nobody asks any more.
            while open.len() > MOST_OPEN {
                open.pop_front();
            }
        }
    }

    /// All before this epoch is derived.
    pub fn derived(&self, frontier: u64) {
        if !self.frontier.reach(frontier) {
            return;
        }
        if self.has_recovered() {
            self.recovery.get_or_init(|| self.since_met());
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, closed)) = open.pop_front_if(|(epoch, _)| *epoch < frontier) {
            self.epochs.add(closed.elapsed());
        }
    }

    /// The tick that ends commit `seq` was minted.
    pub fn sealed(&self, seq: u64) {
        *self.committing() = Some(Committing { seq, since: Instant::now(), is_put: false });
    }

    /// The files of the commit are there, and it is written itself.
    pub fn putting(&self) {
        self.committing().iter_mut().for_each(|commit| commit.is_put = true);
    }

    /// It has landed, or had nothing to say.
    pub fn landed(&self) {
        *self.committing() = None;
    }

    fn committing(&self) -> MutexGuard<'_, Option<Committing>> {
        self.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the partitions stand.
    pub fn standings(&self) -> MutexGuard<'_, Standings> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempt that has brought all processes together.
    pub fn generation(&self) -> Option<String> {
        self.met.get().map(|met| met.generation.to_string())
    }

    /// How long recovery took, or takes already.
    pub fn recovery(&self) -> Duration {
        self.recovery.get().copied().unwrap_or_else(|| self.since_met())
    }

    fn since_met(&self) -> Duration {
        self.met.get().map_or(Duration::ZERO, |met| met.at.elapsed())
    }

    /// Whether what an earlier run left is there again.
    pub fn has_recovered(&self) -> bool {
        let first = self.first.load(Relaxed);
        first != 0 && self.frontier.value() > first
    }

    /// Why this process is not alive: a worker does not turn.
    pub fn not_alive(&self) -> Option<String> {
        let (worker, time) = self.vitals()?.stillness().max_by_key(|(_, time)| *time)?;
        (time >= PATIENCE).then(|| does_not_turn(worker, time))
    }

    /// Why this process is not ready.
    pub fn not_ready(&self) -> Option<String> {
        self.causes().into_iter().find(|cause| cause.grave).map(|cause| cause.says)
    }

    /// All that holds this process back, what brings the rest with it first.
    pub fn causes(&self) -> Vec<Cause> {
        self.look().causes()
    }

    fn starting(&self) -> Option<(&'static str, &'static str, Duration)> {
        let stage = self.stage.load(Relaxed);
        let (name, says) = if self.has_recovered() {
            return None;
        } else if stage == Stage::Meeting as u8 {
            ("meeting", "waiting for the other processes")
        } else if self.first.load(Relaxed) > 0 {
            ("recovering", "reading back what the lake holds in reach")
        } else if stage == Stage::Claiming as u8 {
            ("claiming", "the lake is not claimed yet")
        } else {
            ("beginning", "the lake is claimed, and reading has not begun yet")
        };
        Some((name, says, self.began.elapsed()))
    }

    /// How things are now.
    pub fn look(&self) -> Look {
        let (parts, now) = (self.parts(), Instant::now());
        let (empty, holders) = {
            let standings = self.standings();
            (standings.empty(now), standings.holders(now))
        };
        Look {
            patience: self.patience,
            starting: self.starting(),
            frontier: (self.frontier.value(), self.frontier.age()),
            closed: self.closed.value(),
            at_work: parts.map(|parts| parts.held.at_work()).unwrap_or_default(),
            store: parts.and_then(|parts| parts.waits.current()),
            committing: self.committing().map(|it| (it.seq, it.since.elapsed(), it.is_put)),
            paused: parts.and_then(|parts| parts.budget.paused()),
            uncommitted: parts.map_or((0, 0), |parts| (parts.budget.used(), parts.budget.limit())),
            crowded: parts.map_or((None, 0, 0), |parts| parts.state.reached()),
            silent: self.vitals().into_iter().flat_map(Vitals::silences).max_by_key(|(_, time)| *time),
            still: self.vitals().into_iter().flat_map(Vitals::stillness).max_by_key(|(_, time)| *time),
            empty,
            holders,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const POLICY: TimePolicy = TimePolicy { lateness: 1, slack: 1, max_ahead: 1, max_hold: 1 };

    #[test]
    fn a_process_has_begun_once_its_first_epoch_is_recovered() {
        let health = Health::new(SECOND, POLICY);
        let why = || health.not_ready().unwrap_or_default();
        assert_eq!(why(), "waiting for the other processes");
        health.reach(Stage::Claiming);
        assert_eq!(why(), "the lake is not claimed yet");
        health.reach(Stage::Claimed);
        assert!(why().contains("reading has not begun"));
        health.closed(41);
        health.frontier.reach(41);
        health.closed(42);
        assert!(why().starts_with("reading back"), "epochs are closed meanwhile");
        health.frontier.reach(42);
        assert_eq!(why(), "");
        assert_eq!(health.not_alive(), None);
    }

    #[test]
    fn a_mark_only_grows_and_knows_since_when() {
        let mark = Mark::new();
        std::thread::sleep(Duration::from_millis(30));
        assert!(mark.age() >= Duration::from_millis(30) && mark.reach(3));
        assert!(mark.age() < Duration::from_millis(25) && !mark.reach(2) && !mark.reach(3));
        assert_eq!(mark.value(), 3);
    }
}
