//! What partitions an old lake has, and when a new lake has all that it holds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use citystream_dataflows::time::bindings::{NextOffset, Partition};
use tokio::runtime::Handle;

use super::old::{OldCommit, OldLake};
use crate::lake::history::commit::EpochBindings;
use crate::source::{Available, Catalog, SourceError};

/// See the module.
pub struct OriginCatalog {
    old: Arc<OldLake>,
    runtime: Handle,
    /// Where partitions begin, as far as it is known.
    low: Mutex<BTreeMap<Partition, NextOffset>>,
    is_told: AtomicBool,
}

impl OriginCatalog {
    /// The catalog of an old lake.
    pub fn new(old: Arc<OldLake>, runtime: Handle) -> OriginCatalog {
        OriginCatalog { old, runtime, low: Mutex::default(), is_told: AtomicBool::new(false) }
    }

    /// Where a partition begins: its first binding's first offset.
    async fn low(&self, partition: Partition, high: NextOffset) -> Result<NextOffset, SourceError> {
        let known = || self.low.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(low) = known().get(&partition) {
            return Ok(*low);
        }
        let stands = |commit: &OldCommit| commit.positions.iter().any(|p| p.partition == partition);
        let first = self.old.first(0, stands).await?;
        if let Some(commit) = &first {
            self.old.same_topics(commit)?;
        }
        let low = first.and_then(|commit| begins(&commit, partition)).unwrap_or(high);
        known().insert(partition, low);
        Ok(low)
    }
}

/// Where a partition stood before the first commit that names it.
fn begins(commit: &OldCommit, partition: Partition) -> Option<NextOffset> {
    let mut bindings = commit.epochs.iter().flat_map(|EpochBindings { bindings, .. }| bindings);
    let first = bindings.find(|binding| binding.partition == partition).map(|binding| binding.first);
    first.or_else(|| commit.positions.iter().find(|p| p.partition == partition).map(|p| p.next))
}

impl Catalog for OriginCatalog {
    fn discover(&self) -> Result<Vec<Available>, SourceError> {
        self.runtime.block_on(async {
            let there = self.old.readable(|stand| (stand.positions.clone(), stand.topics.clone()));
            let Some((positions, topics)) = there else { return Ok(Vec::new()) };
            let mut available = Vec::new();
            for (partition, position) in positions {
                let topic_id = topics.get(&partition.topic).map(|topic| topic.id.clone()).unwrap_or_default();
                let low = self.low(partition, position.next).await?;
                available.push(Available { partition, topic_id, low, high: position.next });
            }
            Ok(available)
        })
    }

    /// A lake has no consumer groups.
    fn group_offsets(&self, _: &[Partition]) -> Result<Vec<(Partition, NextOffset)>, SourceError> {
        Ok(Vec::new())
    }

    /// Says once that the new lake has all that the old one holds, and how it goes on.
    fn report(&self, offsets: &[(Partition, NextOffset)]) -> Result<(), SourceError> {
        let stands: BTreeMap<Partition, NextOffset> = offsets.iter().copied().collect();
        let is_at = |partition: &Partition, next: NextOffset| stands.get(partition).is_some_and(|n| *n >= next);
        let all = self.old.readable(|stand| {
            stand.positions.iter().all(|(partition, position)| is_at(partition, position.next)).then_some(stand.seq)
        });
        if let Some(seq) = all.flatten().filter(|_| !self.is_told.swap(true, Ordering::Relaxed)) {
            tracing::info!(
                "this lake has all that {} holds up to its commit {seq}: start the next run without --source lake:..., and it goes on from \
                 the topics",
                self.old.lake.location()
            );
        }
        Ok(())
    }
}
