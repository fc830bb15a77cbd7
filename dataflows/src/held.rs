//! What the state of a process holds, by kind: for whoever watches its memory. Bytes are those of the values and of the
//! tables that hold them, without the allocator's own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Pings in reach, with what governs them.
    Pings,
    /// Traffic, weather and statuses that may govern pings.
    References,
    /// Lives of incidents, and who was near.
    Incidents,
    /// Open windows, and what steps between records are made of.
    Windows,
    /// Texts by id.
    Names,
    /// What a record to come may repeat.
    Repeats,
    /// What live views show.
    Live,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] =
        [Kind::Pings, Kind::References, Kind::Incidents, Kind::Windows, Kind::Names, Kind::Repeats, Kind::Live];

    /// Its name in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Pings => "pings",
            Kind::References => "references",
            Kind::Incidents => "incidents",
            Kind::Windows => "windows",
            Kind::Names => "names",
            Kind::Repeats => "repeats",
            Kind::Live => "live",
        }
    }
}

/// So many values in so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Values.
    pub count: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Amount {
    /// So many values of `T`, each with `beside` bytes of other memory.
    pub fn of<T>(count: usize, beside: usize) -> Amount {
        Amount { count, bytes: count * (size_of::<T>() + beside) }
    }

    /// So many entries of a hash map, which is two thirds full.
    pub fn in_map<T>(count: usize) -> Amount {
        Amount { count, bytes: count * (size_of::<T>() + 1) * 3 / 2 }
    }

    /// Bytes that belong to values counted elsewhere.
    pub fn bytes(bytes: usize) -> Amount {
        Amount { count: 0, bytes }
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.count += other.count;
        self.bytes += other.bytes;
    }
}

/// So much of what was told may wait to be written before no more is told.
const MOST_UNWRITTEN: u64 = 4 << 20;

/// What all operators of a process hold.
#[derive(Debug, Default)]
pub struct Held {
    kinds: [(AtomicU64, AtomicU64); Kind::ALL.len()],
    /// Bytes of changes that wait for a thread that writes them.
    unwritten: AtomicU64,
    stages: Mutex<Vec<Arc<Place>>>,
}

impl Held {
    /// Of one kind.
    pub fn of(&self, kind: Kind) -> Amount {
        let (count, bytes) = &self.kinds[kind as usize];
        Amount { count: count.load(Ordering::Relaxed) as usize, bytes: bytes.load(Ordering::Relaxed) as usize }
    }

    /// Changes wait to be written.
    pub fn hand_over(&self, bytes: u64) {
        self.unwritten.fetch_add(bytes, Ordering::Relaxed);
    }

    /// They do no longer.
    pub fn written(&self, bytes: u64) {
        self.unwritten.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether so many wait that no more is to be told: few records may change millions of rows.
    pub fn is_full(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed) > MOST_UNWRITTEN
    }

    /// The stages of this process that have all records of an epoch and have not closed it yet.
    pub fn at_work(&self) -> Vec<AtWork> {
        let at_work = |place: &Arc<Place>| {
            let epoch = place.epoch.load(Ordering::Relaxed).checked_sub(1)?;
            Some(AtWork { stage: place.stage, worker: place.worker, epoch })
        };
        self.stages().iter().filter_map(at_work).collect()
    }

    fn stages(&self) -> MutexGuard<'_, Vec<Arc<Place>>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all kinds.
    pub fn bytes(&self) -> u64 {
        self.kinds.iter().map(|(_, bytes)| bytes.load(Ordering::Relaxed)).sum()
    }
}

/// A stage of a worker.
#[derive(Debug)]
struct Place {
    stage: &'static str,
    worker: usize,
    /// The epoch that it is closing, and one; 0 while it waits for records.
    epoch: AtomicU64,
}

/// A stage that is closing an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtWork {
    /// What it is called.
    pub stage: &'static str,
    /// Its worker, among those of all processes.
    pub worker: usize,
    /// The epoch.
    pub epoch: u64,
}

/// Where a stage tells what it is at.
#[derive(Debug)]
pub struct Work(Arc<Place>);

impl Work {
    /// Of a stage that waits for records.
    pub fn of(held: &Held, stage: &'static str, worker: usize) -> Work {
        let place = Arc::new(Place { stage, worker, epoch: AtomicU64::new(0) });
        held.stages().push(Arc::clone(&place));
        Work(place)
    }

    /// It is closing an epoch, or waits for records.
    pub fn at(&self, epoch: Option<u64>) {
        self.0.epoch.store(epoch.map_or(0, |epoch| epoch + 1), Ordering::Relaxed);
    }
}

/// What one operator holds, as it last told.
#[derive(Debug)]
pub struct Balance {
    held: Arc<Held>,
    told: [Amount; Kind::ALL.len()],
}

impl Balance {
    /// Nothing is held yet.
    pub fn new(held: &Arc<Held>) -> Balance {
        Balance { held: Arc::clone(held), told: Default::default() }
    }

    /// Tells how much of a kind is held now.
    pub fn set(&mut self, kind: Kind, now: Amount) {
        let told = std::mem::replace(&mut self.told[kind as usize], now);
        let (count, bytes) = &self.held.kinds[kind as usize];
        // Differences wrap: what is added up is right at every moment.
        count.fetch_add((now.count as u64).wrapping_sub(told.count as u64), Ordering::Relaxed);
        bytes.fetch_add((now.bytes as u64).wrapping_sub(told.bytes as u64), Ordering::Relaxed);
    }
}

impl Drop for Balance {
    fn drop(&mut self) {
        Kind::ALL.into_iter().for_each(|kind| self.set(kind, Amount::default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balances_add_up_and_go_with_who_has_them() {
        let held = Arc::new(Held::default());
        let (mut one, mut other) = (Balance::new(&held), Balance::new(&held));
        one.set(Kind::Pings, Amount::of::<u64>(10, 2));
        other.set(Kind::Pings, Amount { count: 1, bytes: 7 });
        one.set(Kind::Names, Amount::bytes(5));
        assert_eq!((held.of(Kind::Pings), held.bytes()), (Amount { count: 11, bytes: 107 }, 112));
        one.set(Kind::Pings, Amount::of::<u64>(1, 0));
        assert_eq!(held.of(Kind::Pings), Amount { count: 2, bytes: 15 });
        drop(one);
        assert_eq!(held.bytes(), 7);
    }

    #[test]
    fn a_stage_is_at_work_until_it_has_closed_the_epoch() {
        let held = Held::default();
        let (one, _other) = (Work::of(&held, "lives", 3), Work::of(&held, "enrich", 4));
        assert_eq!(held.at_work(), []);
        one.at(Some(0));
        assert_eq!(held.at_work(), [AtWork { stage: "lives", worker: 3, epoch: 0 }]);
        one.at(None);
        assert_eq!(held.at_work(), []);
    }
}
