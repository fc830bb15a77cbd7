//! Where all partitions stand, folded from ticks and reports in epoch order. Every worker that folds the same
//! bindings has the same positions and the same horizon: this is how a horizon is known without a message.

use std::collections::BTreeMap;

use crate::bindings::{Binding, Partition, Position};
use crate::ticks::Tick;
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
        self.horizon = self.policy.horizon(self.horizon, &positions);
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
        self.policy.limit(&self.positions())
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
