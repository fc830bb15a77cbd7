//! What shows that a process lives: its workers turn, and epochs are closed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The turns of a worker that has returned.
const RESTS: u64 = u64::MAX;

/// Told by the workers of a process, and looked at beside them.
#[derive(Debug)]
pub struct Vitals {
    /// The first worker of this process, among those of all.
    first: usize,
    turns: Vec<Turns>,
    /// By worker of this process: milliseconds in which it has not turned.
    still: Vec<AtomicU64>,
    /// By process: the last epoch that it has closed.
    epochs: Vec<AtomicU64>,
    /// By process: milliseconds without a sign of life.
    silent: Vec<AtomicU64>,
    /// By process: bytes of the computation.
    sent: Vec<AtomicU64>,
    received: Vec<AtomicU64>,
    me: usize,
}

/// A counter that no other worker's is near: workers turn often.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Turns(AtomicU64);

impl Vitals {
    pub(crate) fn new(processes: usize, workers: usize, me: usize) -> Self {
        Vitals {
            first: me * workers,
            turns: (0..workers).map(|_| Turns::default()).collect(),
            still: zeros(workers),
            epochs: zeros(processes),
            silent: zeros(processes),
            sent: zeros(processes),
            received: zeros(processes),
            me,
        }
    }

    /// A worker, known by its index among those of all processes, has turned: it does so at least once a second.
    pub fn turned(&self, worker: usize) {
        self.turns[worker - self.first].0.fetch_add(1, Relaxed);
    }

    /// A worker has returned.
    pub(crate) fn rests(&self, worker: usize) {
        self.turns[worker - self.first].0.store(RESTS, Relaxed);
    }

    /// This process has closed an epoch.
    pub fn closed(&self, epoch: u64) {
        self.note(self.me, epoch);
    }

    /// The last epoch that a process has closed, as far as it has told.
    pub fn epoch(&self, process: usize) -> u64 {
        self.epochs[process].load(Relaxed)
    }

    /// The workers of this process, known by their index among those of all processes, and for how long each has not turned.
    pub fn stillness(&self) -> impl Iterator<Item = (usize, Duration)> {
        (self.first..).zip(&self.still).map(|(worker, time)| (worker, millis(time)))
    }

    /// The other processes, and for how long each has given no sign of life.
    pub fn silences(&self) -> impl Iterator<Item = (usize, Duration)> {
        let all = self.silent.iter().enumerate();
        all.filter(|(process, _)| *process != self.me).map(|(process, time)| (process, millis(time)))
    }

    /// The other processes, and the bytes of the computation sent to each, and received.
    pub fn exchanged(&self) -> impl Iterator<Item = (usize, u64, u64)> {
        let all = self.sent.iter().zip(&self.received).enumerate();
        let others = all.filter(|(process, _)| *process != self.me);
        others.map(|(process, (sent, received))| (process, sent.load(Relaxed), received.load(Relaxed)))
    }

    /// Bytes were sent to a process.
    pub(crate) fn sent(&self, process: usize, bytes: usize) {
        self.sent[process].fetch_add(bytes as u64, Relaxed);
    }

    /// Bytes were received from a process.
    pub(crate) fn received(&self, process: usize, bytes: usize) {
        self.received[process].fetch_add(bytes as u64, Relaxed);
    }

    /// A process has given no sign of life for so long.
    pub(crate) fn is_silent(&self, process: usize, time: Duration) {
        self.silent[process].store(time.as_millis() as u64, Relaxed);
    }

    /// A process has told the last epoch that it has closed.
    pub(crate) fn note(&self, process: usize, epoch: u64) {
        self.epochs[process].store(epoch, Relaxed);
    }
}

fn zeros(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

fn millis(time: &AtomicU64) -> Duration {
    Duration::from_millis(time.load(Relaxed))
}

/// How long each worker has not turned.
#[derive(Debug)]
pub(crate) struct Stillness(Vec<Still>);

/// A worker as it was seen last.
#[derive(Clone, Debug, Default)]
struct Still {
    turns: u64,
    time: Duration,
    is_named: bool,
}

/// What is to be said of a worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It has not turned for so long.
    Stands(usize, Duration),
    /// It has turned again, after so long.
    Turns(usize, Duration),
}

impl Stillness {
    pub(crate) fn new(workers: usize) -> Self {
        Stillness(vec![Still::default(); workers])
    }

    /// Looks at the workers after some time, and notes how long each stands; one that has not begun, or has returned, stands still by right.
    pub(crate) fn look(&mut self, vitals: &Vitals, passed: Duration, patience: Duration) -> Vec<Sight> {
        let mut seen = Vec::new();
        for (index, (still, turns)) in self.0.iter_mut().zip(&vitals.turns).enumerate() {
            let (worker, turns) = (vitals.first + index, turns.0.load(Relaxed));
            if turns != still.turns || turns == 0 || turns == RESTS {
                if still.is_named {
                    seen.push(Sight::Turns(worker, still.time));
                }
                *still = Still { turns, ..Still::default() };
                vitals.still[index].store(0, Relaxed);
                continue;
            }
            still.time += passed;
            vitals.still[index].store(still.time.as_millis() as u64, Relaxed);
            if still.time >= patience && !still.is_named {
                still.is_named = true;
                seen.push(Sight::Stands(worker, still.time));
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_does_not_turn_is_named_once_and_so_is_its_return() {
        let (vitals, mut stillness) = (Vitals::new(2, 2, 1), Stillness::new(2));
        let second = Duration::from_secs(1);
        let mut look = |vitals: &Vitals| stillness.look(vitals, second, 10 * second);
        assert!((0..20).all(|_| look(&vitals).is_empty()), "nobody has begun");
        vitals.turned(2);
        vitals.turned(3);
        let seen: Vec<_> = (0..20)
            .flat_map(|_| {
                vitals.turned(3);
                look(&vitals)
            })
            .collect();
        assert_eq!(seen, [Sight::Stands(2, 10 * second)]);
        vitals.turned(2);
        assert_eq!(look(&vitals), [Sight::Turns(2, 19 * second)]);
        vitals.rests(2);
        vitals.rests(3);
        assert!((0..20).all(|_| look(&vitals).is_empty()), "all have returned");
    }
}
