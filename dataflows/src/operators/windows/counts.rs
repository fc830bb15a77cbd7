//! Multisets and sums that can be taken back.

use std::collections::BTreeMap;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::records::hash::IdMap;
use crate::records::measures::{mean, quantised, rank};
use crate::records::{Reading, TextId};

/// How often each value is there.
#[derive(Clone, Debug, Default)]
pub struct Counts<V> {
    values: BTreeMap<V, u64>,
}

impl<V: Copy + Ord> Counts<V> {
    /// Adds a value, or takes it back.
    pub fn add(&mut self, value: V, diff: i64) {
        let count = self.values.entry(value).or_insert(0);
        *count = count.wrapping_add_signed(diff);
        if *count == 0 {
            self.values.remove(&value);
        }
    }

    /// The memory of the values, in bytes: nodes are two thirds full.
    pub fn bytes(&self) -> usize {
        self.values.len() * size_of::<(V, u64)>() * 3 / 2
    }

    /// The least value.
    pub fn min(&self) -> Option<V> {
        self.values.first_key_value().map(|(value, _)| *value)
    }

    /// The greatest value.
    pub fn max(&self) -> Option<V> {
        self.values.last_key_value().map(|(value, _)| *value)
    }

    /// Nearest-rank percentiles, asked for in rising order; `None` without values.
    pub fn percentiles<const N: usize>(&self, percents: [u64; N]) -> Option<[V; N]> {
        let total: u64 = self.values.values().sum();
        let mut result = [self.min()?; N];
        let (mut below, mut values) = (0, self.values.iter());
        let mut held = values.next();
        for (percent, result) in percents.into_iter().zip(&mut result) {
            while let Some((value, count)) = held {
                *result = *value;
                if below + count >= rank(percent, total) {
                    break;
                }
                below += count;
                held = values.next();
            }
        }
        Some(result)
    }
}

/// How many different ids there are.
#[derive(Clone, Debug)]
pub struct Distinct<K = TextId> {
    /// How often each is there; less than never while what takes one back comes before what adds it.
    ids: IdMap<K, i32>,
}

impl<K> Default for Distinct<K> {
    fn default() -> Self {
        Distinct { ids: IdMap::default() }
    }
}

impl<K: Copy + Eq + Hash> Distinct<K> {
    /// Adds an id so many times, or takes it back.
    pub fn add(&mut self, id: K, diff: i64) {
        let count = self.ids.entry(id).or_insert(0);
        *count += diff as i32;
        if *count == 0 {
            self.ids.remove(&id);
        }
    }

    /// Each id, and how often it is there.
    pub fn iter(&self) -> impl Iterator<Item = (K, i64)> {
        self.ids.iter().map(|(id, count)| (*id, i64::from(*count)))
    }

    /// Their memory, in bytes.
    pub fn bytes(&self) -> usize {
        // A seventh of the slots stands empty.
        self.ids.capacity() * (size_of::<(K, i32)>() + 1) * 8 / 7
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.ids.len() as u64
    }
}

/// A sum of quantised values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    sum: i128,
    /// How many values.
    pub count: u64,
}

impl Sum {
    /// Adds a quantised value, or takes it back.
    pub fn add(&mut self, quantised: i64, diff: i64) {
        self.sum += i128::from(quantised) * i128::from(diff);
        self.count = self.count.wrapping_add_signed(diff);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Sum) {
        self.sum += other.sum;
        self.count = self.count.wrapping_add(other.count);
    }

    /// The sum with its sign turned.
    pub fn negated(self) -> Sum {
        Sum { sum: -self.sum, count: 0_u64.wrapping_sub(self.count) }
    }

    /// Adds a value, or takes it back; a missing one is nothing.
    pub fn add_reading(&mut self, value: Reading, diff: i64) {
        if let Some(value) = value.get() {
            self.add(quantised(value), diff);
        }
    }

    /// The mean.
    pub fn mean(&self) -> Reading {
        mean(self.sum, self.count).into()
    }

    /// One over the mean.
    pub fn inverse_mean(&self) -> Reading {
        let inverse = (self.sum > 0).then(|| self.count as f64 * crate::records::measures::UNIT / self.sum as f64);
        inverse.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_list() {
        let mut random = 7_u64;
        for length in 1..200_usize {
            let (mut counts, mut list) = (Counts::default(), Vec::new());
            for _ in 0..length {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let value = (random >> 60) as i32;
                counts.add(value, 1);
                list.push(value);
            }
            list.sort_unstable();
            let nearest = |percent: usize| list[(percent * length).div_ceil(100) - 1];
            assert_eq!(counts.percentiles([50, 85, 95]), Some([nearest(50), nearest(85), nearest(95)]));
            list.iter().for_each(|value| counts.add(*value, -1));
            assert_eq!(counts.percentiles([50]), None);
        }
    }
}
