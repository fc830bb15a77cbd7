//! Which rows repeat an earlier on-time row of their partition.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::held::Amount;
use crate::time::Micros;
use crate::time::bindings::Partition;

/// Identities are kept by the minute of their event time, so that a whole minute is freed at once.
const BUCKET: Micros = 60_000_000;

/// The identities of on-time rows that may still be repeated: what is in reach, and no more.
#[derive(Debug, Default)]
pub struct Repeats {
    partitions: BTreeMap<Partition, BTreeMap<Micros, Bucket>>,
}

type Bucket = HashSet<u128, BuildHasherDefault<Identity>>;

impl Repeats {
    /// Remembers a row; false if the partition already has it.
    pub fn insert(&mut self, partition: Partition, event_time: Micros, identity: u128) -> bool {
        let buckets = self.partitions.entry(partition).or_default();
        buckets.entry(event_time.div_euclid(BUCKET)).or_default().insert(identity)
    }

    /// Frees what lies wholly before `time`: rows there are late or expired before they could be duplicates.
    pub fn forget_before(&mut self, partition: Partition, time: Micros) {
        if let Some(buckets) = self.partitions.get_mut(&partition) {
            let keep = time.div_euclid(BUCKET);
            while buckets.first_key_value().is_some_and(|(minute, _)| *minute < keep) {
                buckets.pop_first();
            }
        }
    }

    /// What is remembered, and its memory.
    pub fn held(&self) -> Amount {
        Amount::in_map::<u128>(self.len())
    }

    /// How many rows are remembered.
    pub fn len(&self) -> usize {
        self.partitions.values().flat_map(BTreeMap::values).map(HashSet::len).sum()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An identity is a hash already: half of it is as good as any other.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("identities are hashed as u128");
    }

    fn write_u128(&mut self, identity: u128) {
        self.0 = identity as u64;
    }
}
