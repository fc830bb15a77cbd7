//! The last answer of each cell, as long as it is worth something. Bounded: the oldest answers go first.

use std::collections::HashMap;
use std::time::Duration;

use h3o::CellIndex;

use crate::moment::Moment;

/// What an answer's age makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As the API says it now.
    Live,
    /// Older, but within its age limit.
    Cached,
}

/// An answer that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<V> {
    /// The answer.
    pub value: V,
    /// Live or cached.
    pub freshness: Freshness,
    /// The time since it was given.
    pub age: Duration,
}

/// How long an answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ages {
    /// Up to this age it is live, and the API is not asked again.
    pub live: Duration,
    /// Up to this age it is used while no live one can be had.
    pub cached: Duration,
}

/// Answers by cell.
#[derive(Debug)]
pub struct Cache<V> {
    ages: Ages,
    most: usize,
    answers: HashMap<CellIndex, (V, Moment)>,
}

impl<V: Clone> Cache<V> {
    /// Nothing yet, and never more than `most` answers.
    pub fn new(ages: Ages, most: usize) -> Self {
        Cache { ages, most: most.max(1), answers: HashMap::new() }
    }

    /// The answer of a cell, if it still counts.
    pub fn find(&self, cell: CellIndex, now: Moment) -> Option<Found<V>> {
        let (value, given) = self.answers.get(&cell)?;
        let age = now.since(*given);
        let freshness = match age {
            age if age <= self.ages.live => Freshness::Live,
            age if age <= self.ages.cached => Freshness::Cached,
            _ => return None,
        };
        Some(Found { value: value.clone(), freshness, age })
    }

    /// Keeps an answer given now.
    pub fn keep(&mut self, cell: CellIndex, value: V, now: Moment) {
        if self.answers.len() >= self.most && !self.answers.contains_key(&cell) {
            self.make_room(now);
        }
        self.answers.insert(cell, (value, now));
    }

    /// Forgets what no longer counts, or else the older half, so that room is made seldom.
    fn make_room(&mut self, now: Moment) {
        let limit = self.ages.cached;
        self.answers.retain(|_, (_, given)| now.since(*given) <= limit);
        if self.answers.len() >= self.most {
            let mut given: Vec<Moment> = self.answers.values().map(|(_, given)| *given).collect();
            let (_, middle, _) = given.select_nth_unstable(self.most / 2);
            let middle = *middle;
            self.answers.retain(|_, (_, given)| *given > middle);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::place::Place;

    const AGES: Ages = Ages { live: Duration::from_secs(10), cached: Duration::from_secs(60) };

    fn cell(n: u16) -> CellIndex {
        Place::new(f64::from(n) / 10.0, 0.0).unwrap().cell(h3o::Resolution::Eight)
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    #[test]
    fn an_answer_is_live_then_cached_then_nothing() {
        let mut cache = Cache::new(AGES, 9);
        assert_eq!(cache.find(cell(1), at(0)), None);
        cache.keep(cell(1), "fog", at(100));
        let found = |now| cache.find(cell(1), at(now)).map(|found| (found.freshness, found.age.as_secs()));
        assert_eq!(found(110), Some((Freshness::Live, 10)));
        assert_eq!(found(111), Some((Freshness::Cached, 11)));
        assert_eq!(found(160), Some((Freshness::Cached, 60)));
        assert_eq!(found(161), None);
        // A clock that goes back makes it no older.
        assert_eq!(found(0), Some((Freshness::Live, 0)));
        assert_eq!(cache.find(cell(2), at(100)), None);
    }

    #[test]
    fn it_never_holds_more_than_it_may_and_keeps_the_newest() {
        let mut cache = Cache::new(AGES, 10);
        for n in 0..100_u16 {
            cache.keep(cell(n), n, at(u64::from(n) / 10));
            assert!(cache.answers.len() <= 10);
            assert_eq!(cache.find(cell(n), at(10)).unwrap().value, n);
        }
    }
}
