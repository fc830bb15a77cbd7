//! Whether a process is alive, and whether it is ready; and in one line why not.
//!
//! Ready is who has recovered, and whose frontier moves: also where there is nothing to read an epoch ends every few seconds, so one
//! that stands for longer has a reason, which is looked for. All times are of the monotonic clock.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use citystream_cluster::{Generation, Vitals};

use crate::lake::store::Waits;
use crate::process::{Budget, StateBound};
use crate::source::kafka::Counts;

/// A frontier that stands for longer, and a worker that does not turn for longer, are in trouble.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// A peer that has given no sign of life for so long is about to be lost.
const SILENT: Duration = Duration::from_secs(5);

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
    /// The peer that is lost.
    lost: OnceLock<String>,
    met: OnceLock<Met>,
    /// How long it took until all was recovered.
    recovery: OnceLock<Duration>,
    parts: OnceLock<Parts>,
}

impl Health {
    /// Of a process that has just begun, whose epochs are about so long.
    pub fn new(epoch: Duration) -> Health {
        Health {
            patience: PATIENCE.max(epoch * 4),
            stage: AtomicU8::new(Stage::Meeting as u8),
            first: AtomicU64::new(0),
            closed: Mark::new(),
            frontier: Mark::new(),
            committed: Mark::new(),
            lost: OnceLock::new(),
            met: OnceLock::new(),
            recovery: OnceLock::new(),
            parts: OnceLock::new(),
        }
    }

    /// It is so far.
    pub fn reach(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }

    /// The run is over: a peer is lost, as this says.
    pub fn lost(&self, peer: String) {
        // The first is told.
        let _ = self.lost.set(peer);
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
        self.closed.reach(epoch);
    }

    /// All before this epoch is derived.
    pub fn derived(&self, frontier: u64) {
        if self.frontier.reach(frontier) && self.has_recovered() {
            self.recovery.get_or_init(|| self.since_met());
        }
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
        self.lost.get().cloned().or_else(|| self.not_begun()).or_else(|| self.held_up())
    }

    fn not_begun(&self) -> Option<String> {
        let stage = self.stage.load(Relaxed);
        let why = if self.has_recovered() {
            return None;
        } else if stage == Stage::Meeting as u8 {
            "waiting for the other processes"
        } else if self.first.load(Relaxed) > 0 {
            "reading back what the lake holds in reach"
        } else if stage == Stage::Claiming as u8 {
            "the lake is not claimed yet"
        } else {
            "the lake is claimed, and reading has not begun yet"
        };
        Some(why.to_owned())
    }

    fn held_up(&self) -> Option<String> {
        why_held_up(&Look {
            patience: self.patience,
            frontier: self.frontier.value(),
            stands: self.frontier.age(),
            closed: self.closed.value(),
            waits_for_store: self.parts().is_some_and(|parts| parts.waits.any()),
            paused: self.parts().and_then(|parts| parts.budget.paused()),
            uncommitted: self.parts().map_or(0, |parts| parts.budget.used()),
            silent: self.vitals().into_iter().flat_map(Vitals::silences).max_by_key(|(_, time)| *time),
            still: self.vitals().into_iter().flat_map(Vitals::stillness).max_by_key(|(_, time)| *time),
        })
    }
}

/// What a process that has recovered looks like.
#[derive(Clone, Copy)]
struct Look {
    patience: Duration,
    /// The frontier, the greatest at the end of the run, and for how long it has been there.
    frontier: u64,
    stands: Duration,
    /// The last epoch closed.
    closed: u64,
    waits_for_store: bool,
    /// For how long nothing has been read, as the budget is spent.
    paused: Option<Duration>,
    uncommitted: u64,
    /// The peer that has given no sign of life for longest.
    silent: Option<(usize, Duration)>,
    /// The worker that has not turned for longest.
    still: Option<(usize, Duration)>,
}

/// What holds up a process, the cause before what it brings with it.
fn why_held_up(look: &Look) -> Option<String> {
    let stands = look.stands.as_secs();
    if look.waits_for_store {
        return Some("the lake's store does not take what is written".to_owned());
    }
    if let Some((process, time)) = look.silent.filter(|(_, time)| *time >= SILENT) {
        return Some(format!("process {process} has given no sign of life for {} s", time.as_secs()));
    }
    if let Some((worker, time)) = look.still.filter(|(_, time)| *time >= look.patience) {
        return Some(does_not_turn(worker, time));
    }
    if let Some(time) = look.paused.filter(|time| *time >= look.patience) {
        return Some(format!(
            "reading is paused for {} s: {} bytes wait to be committed, all that --memory allows",
            time.as_secs(),
            look.uncommitted
        ));
    }
    if look.stands < look.patience || look.frontier == u64::MAX {
        return None;
    }
    Some(if look.closed >= look.frontier {
        format!(
            "what was read in epoch {} is not derived after {stands} s; {} was closed last",
            look.frontier, look.closed
        )
    } else {
        format!("no epoch has ended for {stands} s: process 0 ends none")
    })
}

fn does_not_turn(worker: usize, time: Duration) -> String {
    format!("worker {worker} has not turned for {} s", time.as_secs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn look() -> Look {
        Look {
            patience: PATIENCE,
            frontier: 8,
            stands: SECOND,
            closed: 7,
            waits_for_store: false,
            paused: None,
            uncommitted: 5,
            silent: Some((1, SECOND)),
            still: Some((0, SECOND)),
        }
    }

    #[test]
    fn each_cause_is_named_after_its_time_and_before_what_it_brings_with_it() {
        let why = |look: &Look| why_held_up(look).unwrap_or_default();
        assert_eq!(why(&look()), "");
        let stands = Look { stands: 12 * SECOND, ..look() };
        assert_eq!(why(&stands), "no epoch has ended for 12 s: process 0 ends none");
        let behind = Look { closed: 9, ..stands };
        assert_eq!(why(&behind), "what was read in epoch 8 is not derived after 12 s; 9 was closed last");
        assert_eq!(why(&Look { paused: Some(9 * SECOND), ..look() }), "", "that passes");
        assert_eq!(why(&Look { frontier: u64::MAX, ..behind }), "", "all is done");
        let paused = Look { paused: Some(11 * SECOND), ..behind };
        assert!(why(&paused).starts_with("reading is paused for 11 s: 5 bytes wait"));
        let still = Look { still: Some((3, 10 * SECOND)), ..paused };
        assert_eq!(why(&still), "worker 3 has not turned for 10 s");
        let silent = Look { silent: Some((1, 5 * SECOND)), ..still };
        assert_eq!(why(&silent), "process 1 has given no sign of life for 5 s");
        assert!(why(&Look { waits_for_store: true, ..silent }).contains("store"));
    }

    #[test]
    fn a_process_has_begun_once_its_first_epoch_is_recovered() {
        let health = Health::new(SECOND);
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
        health.lost("peer lost: process 1".to_owned());
        assert_eq!(why(), "peer lost: process 1");
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
