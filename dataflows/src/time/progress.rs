//! Where all partitions stand, folded from ticks and reports in epoch order. Every worker that folds the same
//! bindings has the same positions and the same horizon: this is how a horizon is known without a message.

use std::collections::BTreeMap;

use crate::time::bindings::{Binding, Partition, Position, Standing};
use crate::time::holding::Holding;
use crate::time::ticks::Tick;
use crate::time::{LOG_TIMES, MINUTE, Micros, TimePolicy};

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
        self.horizon = Holding::of(self.policy, &self.positions()).horizon(self.policy, self.horizon);
        if tick.ends_log {
            self.horizon = Some(LOG_TIMES.end);
        }
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

    /// The same where state has reached its bound: only who is furthest behind is read, since that frees it.
    pub fn narrow_limit(&self) -> Option<Micros> {
        narrow_limit(&self.positions())
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

/// The log clock up to which an aligned backfill may read: the least one with unread data, plus L.
///
/// `None` is no limit: everybody keeps up, or a partition with unread data has not been read at all, which is itself
/// never limited and soon sets one. Who keeps up limits nobody: its clock is slow, not its reader.
fn limit(policy: TimePolicy, positions: &[Position]) -> Option<Micros> {
    let behind = positions.iter().filter(|p| p.standing == Standing::Behind);
    behind.filter_map(|p| p.log_clock).min().map(|clock| clock.saturating_add(policy.lateness))
}

/// As far as the least log clock with unread data and a step. One that has never been read is behind all others: it
/// may be read, and nobody else.
fn narrow_limit(positions: &[Position]) -> Option<Micros> {
    let behind = positions.iter().filter(|p| p.standing == Standing::Behind);
    let least = behind.map(|p| p.log_clock).min()?;
    Some(least.map_or(Micros::MIN, |clock| clock.saturating_add(MINUTE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::bindings::{NextOffset, Topic};

    #[test]
    fn the_slowest_partition_with_unread_data_sets_the_limit() {
        let policy = TimePolicy { lateness: 600, slack: 120, max_ahead: 86_400, max_hold: 3600 };
        let at = |index: i32, log_clock: Micros, standing: Standing| {
            let partition = Partition { topic: Topic::GPS, index };
            Position { partition, next: NextOffset(0), log_clock: Some(log_clock), standing }
        };
        let (slow, fast) = (at(0, 10_000, Standing::Behind), at(2, 40_000, Standing::Behind));
        assert_eq!(limit(policy, &[slow, at(1, 5_000, Standing::Drained), fast]), Some(10_600));
        assert_eq!(limit(policy, &[at(0, 10_000, Standing::CaughtUp), fast]), Some(40_600), "its clock is slow");
        assert_eq!(limit(policy, &[at(0, 10_000, Standing::Drained)]), None);
        assert_eq!(narrow_limit(&[slow, fast, at(1, 5_000, Standing::CaughtUp)]), Some(10_000 + MINUTE));
        assert_eq!(narrow_limit(&[at(0, 10_000, Standing::Drained)]), None);
        let unread = Position { log_clock: None, ..at(1, 0, Standing::Behind) };
        assert_eq!(narrow_limit(&[fast, unread]), Some(Micros::MIN), "nobody but the one that was never read");
    }
}
