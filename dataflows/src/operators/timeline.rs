//! Values in the order of their stamps, in chunks: an insertion anywhere moves at most one chunk, and the oldest chunks
//! are freed whole.

use crate::records::Stamp;
use crate::time::Micros;

/// A value that happened at some time.
pub trait Stamped {
    /// When, and where in the log.
    fn stamp(&self) -> Stamp;
}

/// Values by stamp; no two have the same.
#[derive(Clone, Debug)]
pub struct Timeline<T> {
    /// None is empty; each is sorted and before the next.
    chunks: Vec<Vec<T>>,
}

/// The most values of a chunk.
const CHUNK: usize = 256;

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Timeline { chunks: Vec::new() }
    }
}

impl<T: Stamped> Timeline<T> {
    /// Inserts a value where it belongs.
    pub fn insert(&mut self, value: T) {
        let stamp = value.stamp();
        // Most come in order.
        let last = self.chunks.len().saturating_sub(1);
        let chunk = match self.chunks.last() {
            Some(values) if values[0].stamp() <= stamp => last,
            _ => self.chunks.partition_point(|chunk| chunk[0].stamp() <= stamp).saturating_sub(1),
        };
        let Some(values) = self.chunks.get_mut(chunk) else { return self.chunks.push(vec![value]) };
        let is_last = values.last().is_some_and(|held| held.stamp() <= stamp);
        let at = if is_last { values.len() } else { values.partition_point(|held| held.stamp() <= stamp) };
        if values.len() < CHUNK {
            make_room(values);
            values.insert(at, value);
        } else if at == CHUNK {
            // In order, chunks stay full.
            self.chunks.insert(chunk + 1, vec![value]);
        } else {
            let mut upper = values.split_off(CHUNK / 2);
            values.shrink_to_fit();
            let half = if at <= CHUNK / 2 { (&mut *values, at) } else { (&mut upper, at - CHUNK / 2) };
            make_room(half.0);
            half.0.insert(half.1, value);
            self.chunks.insert(chunk + 1, upper);
        }
    }

    /// The last value at or before a time, and the first after it.
    pub fn around(&self, time: Micros) -> (Option<&T>, Option<&T>) {
        let chunk = self.chunks.partition_point(|chunk| chunk[0].stamp().time <= time).saturating_sub(1);
        let Some(values) = self.chunks.get(chunk) else { return (None, None) };
        let at = values.partition_point(|held| held.stamp().time <= time);
        let next = || self.chunks.get(chunk + 1).map(|values| &values[0]);
        (values.get(at.wrapping_sub(1)), values.get(at).or_else(next))
    }

    /// The values before and after a stamp.
    pub fn neighbours(&self, stamp: Stamp) -> (Option<&T>, Option<&T>) {
        // Most are asked about the end.
        let last = self.chunks.last().and_then(|chunk| chunk.last());
        if last.is_some_and(|last| last.stamp() < stamp) {
            return (last, None);
        }
        let chunk = self.chunks.partition_point(|chunk| chunk[0].stamp() <= stamp).saturating_sub(1);
        let Some(values) = self.chunks.get(chunk) else { return (None, None) };
        let at = values.partition_point(|held| held.stamp() < stamp);
        let is_held = values.get(at).is_some_and(|held| held.stamp() == stamp);
        let earlier = || self.chunks.get(chunk.wrapping_sub(1)).and_then(|values| values.last());
        let later = || self.chunks.get(chunk + 1).map(|values| &values[0]);
        let before = values.get(at.wrapping_sub(1)).or_else(earlier);
        (before, values.get(at + usize::from(is_held)).or_else(later))
    }

    /// The values with times in `from..until`.
    pub fn range(&self, from: Micros, until: Micros) -> impl Iterator<Item = &T> {
        let first = self.chunks.partition_point(|chunk| chunk[0].stamp().time < from).saturating_sub(1);
        let chunks = self.chunks.get(first..).unwrap_or_default().iter();
        chunks
            .take_while(move |chunk| chunk[0].stamp().time < until)
            .flat_map(move |chunk| &chunk[within(chunk, from, until)])
    }

    /// The same, to be changed; not in their stamps.
    pub fn range_mut(&mut self, from: Micros, until: Micros) -> impl Iterator<Item = &mut T> {
        let first = self.chunks.partition_point(|chunk| chunk[0].stamp().time < from).saturating_sub(1);
        let chunks = self.chunks.get_mut(first..).unwrap_or_default().iter_mut();
        chunks.take_while(move |chunk| chunk[0].stamp().time < until).flat_map(move |chunk| {
            let within = within(chunk, from, until);
            &mut chunk[within]
        })
    }

    /// The chunks, in order; what is changed must keep its stamp.
    pub fn chunks_mut(&mut self) -> &mut [Vec<T>] {
        &mut self.chunks
    }

    /// Frees what lies before a time: chunks as a whole, and what is the greater part of one.
    pub fn free_before(&mut self, time: Micros) {
        let gone = self.chunks.iter().take_while(|chunk| chunk[chunk.len() - 1].stamp().time < time).count();
        self.chunks.drain(..gone);
        if let Some(first) = self.chunks.first_mut() {
            let gone = within(first, Micros::MIN, time).end;
            if 2 * gone > first.len() {
                first.drain(..gone);
                first.shrink_to(2 * first.len());
            }
        }
    }

    /// The greatest time.
    pub fn last(&self) -> Option<Micros> {
        self.chunks.last()?.last().map(|value| value.stamp().time)
    }

    /// All values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The memory of the values, in bytes.
    pub fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<T>()).sum::<usize>();
        chunks + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

/// Grows a full chunk by a quarter: twice as much, as vectors do, would stand empty in all those that are complete.
fn make_room<T>(chunk: &mut Vec<T>) {
    if chunk.len() == chunk.capacity() {
        chunk.reserve_exact((chunk.len() / 4).max(3).min(CHUNK - chunk.len()));
    }
}

fn within<T: Stamped>(chunk: &[T], from: Micros, until: Micros) -> std::ops::Range<usize> {
    let first = chunk.partition_point(|value| value.stamp().time < from);
    first..chunk.partition_point(|value| value.stamp().time < until).max(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Stamped for Stamp {
        fn stamp(&self) -> Stamp {
            *self
        }
    }

    #[test]
    fn it_is_a_sorted_list() {
        for seed in 0..20_u64 {
            let mut random = seed;
            let mut next = move |bound: u64| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % bound
            };
            let (mut timeline, mut list) = (Timeline::default(), Vec::new());
            for offset in 0..3000 {
                let disorder = if next(5) == 0 { next(2000) } else { 0 };
                let stamp = Stamp { time: 5000 + offset - disorder as i64, partition: next(2) as i32, offset };
                timeline.insert(stamp);
                list.push(stamp);
            }
            list.sort_unstable();
            assert!(timeline.iter().eq(&list), "seed {seed}");
            for _ in 0..300 {
                let (from, length) = (next(9000) as i64, next(800) as i64);
                let wanted: Vec<_> = list.iter().filter(|s| (from..from + length).contains(&s.time)).collect();
                assert_eq!(timeline.range(from, from + length).collect::<Vec<_>>(), wanted, "seed {seed}");
                assert!(timeline.range_mut(from, from + length).map(|s| &*s).eq(wanted), "seed {seed}");
                let wanted = (list.iter().rfind(|s| s.time <= from), list.iter().find(|s| s.time > from));
                assert_eq!(timeline.around(from), wanted, "seed {seed}");
                let stamp = list[next(3000) as usize];
                let wanted = (list.iter().rfind(|s| **s < stamp), list.iter().find(|s| **s > stamp));
                assert_eq!(timeline.neighbours(stamp), wanted, "seed {seed}");
            }
            timeline.free_before(6000);
            let freed = list.len() - timeline.len();
            assert!(timeline.iter().eq(&list[freed..]), "seed {seed}");
            let before = list.iter().filter(|s| s.time < 6000).count();
            assert!(freed <= before && freed + CHUNK > before, "seed {seed}");
        }
    }
}
