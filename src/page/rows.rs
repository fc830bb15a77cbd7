//! The rows of a view as the hub holds them: found by their keys, which are in them and so are not held beside them.

use std::hash::{Hash, Hasher};

use citystream_dataflows::records::hash::IdHasher;
use citystream_live::rows::{Key, Row};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Rows with different keys.
#[derive(Default)]
pub struct Rows(HashTable<Row>);

fn hash(key: &Key) -> u64 {
    let mut hasher = IdHasher::default();
    key.hash(&mut hasher);
    hasher.finish()
}

impl Rows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The row of a key.
    pub fn get(&self, key: &Key) -> Option<&Row> {
        self.0.find(hash(key), |row| row.key() == *key)
    }

    /// Puts a row in the place of the one with its key.
    pub fn insert(&mut self, row: Row) {
        let key = row.key();
        match self.0.entry(hash(&key), |row| row.key() == key, |row| hash(&row.key())) {
            Entry::Occupied(mut held) => *held.get_mut() = row,
            Entry::Vacant(place) => drop(place.insert(row)),
        }
    }

    /// Lets the row of a key go.
    pub fn remove(&mut self, key: &Key) {
        if let Ok(held) = self.0.find_entry(hash(key), |row| row.key() == *key) {
            held.remove();
        }
    }

    /// All of them, in any order.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.0.iter()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use citystream_live::rows::Worst;

    use super::*;

    #[test]
    fn the_last_row_of_a_key_is_held() {
        let row = |rank, cell| Row::Worst(Worst { rank, cell, ratio: 0, current: 0, is_closed: false });
        let mut rows = Rows::default();
        (0..1000).for_each(|rank| rows.insert(row(rank, 1)));
        (0..1000).step_by(2).for_each(|rank| rows.insert(row(rank, 2)));
        (0..1000).step_by(5).for_each(|rank| rows.remove(&Key::Worst(rank)));
        rows.remove(&Key::Worst(5000));
        let mut held: Vec<Row> = rows.iter().copied().collect();
        held.sort_unstable();
        let expected: Vec<Row> =
            (0..1000).filter(|rank| rank % 5 > 0).map(|rank| row(rank, 2 - u64::from(rank % 2))).collect();
        assert_eq!((held, rows.len()), (expected, 800));
        assert_eq!((rows.get(&Key::Worst(1)), rows.get(&Key::Worst(5))), (Some(&row(1, 1)), None));
    }
}
