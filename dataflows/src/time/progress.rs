//! Where all partitions stand, folded from ticks and reports in epoch order. Every worker that folds the same
//! bindings has the same positions and the same horizon: this is how a horizon is known without a message.

use std::collections::BTreeMap;

use crate::time::bindings::{Binding, Partition, Position};
use crate::time::ticks::Tick;
use crate::time::{Micros, TimePolicy};

/// The positions and the horizon after some epoch.
#[derive(Clone, Debug)]
pub struct Progress {
    policy: TimePolicy,
    positions: BTreeMap<Partition, Position>,
    horizon: Option<Micros>,
}

impl Progress {
    /// Before the first epoch.
    pub fn new(policy: TimePolicy) -> Self {
        Progress { policy, positions: BTreeMap::new(), horizon: None }
    }

    /// Takes up an epoch: its bindings, then what its tick adds or starts from.
    ///
    /// Must be called in epoch order, with all bindings of the epoch.
    pub fn advance<'a>(&mut self, tick: &Tick, bindings: impl IntoIterator<Item = &'a Binding>) {
        for binding in bindings {
            self.positions.insert(binding.partition, binding.position());
        }
        for added in &tick.added {
            self.positions.insert(added.position.partition, added.position);
        }
        if let Some(start) = &tick.start {
            self.horizon = start.horizon;
        }
        let positions: Vec<Position> = self.positions();
        self.horizon = horizon(self.policy, self.horizon, &positions);
    }

    /// The horizon: what holds for the next epoch.
    pub fn horizon(&self) -> Option<Micros> {
        self.horizon
    }

    /// All positions, by partition.
    pub fn positions(&self) -> Vec<Position> {
        self.positions.values().copied().collect()
    }

    /// One partition's position.
    pub fn position(&self, partition: Partition) -> Option<&Position> {
        self.positions.get(&partition)
    }

    /// How far a tick lets partitions be read (aligned backfill).
    pub fn limit(&self) -> Option<Micros> {
        limit(self.policy, &self.positions())
    }

    /// The event time before which no row of a partition can be on time any more.
    pub fn closed_before(&self, partition: Partition) -> Option<Micros> {
        let clock = self.positions.get(&partition).and_then(|p| p.log_clock);
        self.horizon.max(clock.map(|c| c.saturating_sub(self.policy.lateness)))
    }

    /// The policy.
    pub fn policy(&self) -> TimePolicy {
        self.policy
    }
}

/// The horizon after `positions`, never behind `previous`.
///
/// The least log clock of the undrained partitions bounds it; with none, the greatest of all. An undrained partition
/// with nothing read holds it where it is (S1).
fn horizon(policy: TimePolicy, previous: Option<Micros>, positions: &[Position]) -> Option<Micros> {
    let mut undrained = positions.iter().filter(|p| !p.drained).peekable();
    let clock = if undrained.peek().is_some() {
        undrained.map(|p| p.log_clock).min().flatten()
    } else {
        positions.iter().filter_map(|p| p.log_clock).max()
    };
    previous.max(clock.map(|c| c.saturating_sub(policy.lateness + policy.slack)))
}

/// The log clock up to which an aligned backfill may read: the least one with unread data, plus L.
///
/// `None` is no limit: nothing is unread, or a partition with unread data has not been read at all, which is itself
/// never limited and soon sets one.
fn limit(policy: TimePolicy, positions: &[Position]) -> Option<Micros> {
    let least = positions.iter().filter(|p| !p.drained).filter_map(|p| p.log_clock).min();
    least.map(|c| c.saturating_add(policy.lateness))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::bindings::{NextOffset, Topic};

    const POLICY: TimePolicy = TimePolicy { lateness: 600, slack: 120, max_ahead: 86_400 };

    fn at(index: i32, log_clock: Option<Micros>, drained: bool) -> Position {
        let partition = Partition { topic: Topic::GPS, index };
        Position { partition, next: NextOffset(0), log_clock, drained }
    }

    #[test]
    fn undrained_partitions_hold_the_horizon() {
        let behind = [at(0, Some(10_000), false), at(1, Some(90_000), true)];
        assert_eq!(horizon(POLICY, None, &behind), Some(10_000 - 720));
        assert_eq!(horizon(POLICY, Some(50_000), &behind), Some(50_000), "it never goes back");
        let unread = [at(0, None, false), at(1, Some(90_000), true)];
        assert_eq!(horizon(POLICY, Some(7), &unread), Some(7), "nothing read yet holds it where it is");
        let drained = [at(0, Some(10_000), true), at(1, Some(90_000), true), at(2, None, true)];
        assert_eq!(horizon(POLICY, None, &drained), Some(90_000 - 720), "an idle partition holds nothing");
        assert_eq!(
            horizon(POLICY, None, &[at(0, None, true)]),
            None,
            "in a log in which nothing arrives nothing seals"
        );
    }

    #[test]
    fn the_slowest_partition_with_unread_data_sets_the_limit() {
        let positions = [at(0, Some(10_000), false), at(1, Some(5_000), true), at(2, Some(40_000), false)];
        assert_eq!(limit(POLICY, &positions), Some(10_600));
        assert_eq!(limit(POLICY, &[at(0, Some(10_000), true)]), None);
    }
}
