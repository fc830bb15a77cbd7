//! Small numbers for large values: four bytes where a value is referred to again and again.

use std::hash::Hash;

use crate::held::Amount;
use crate::records::hash::IdMap;

/// Values under small numbers, which are given again once free.
#[derive(Debug)]
pub struct Slab<T> {
    values: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Keeps a value.
    pub fn keep(&mut self, value: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self.values[id as usize] = value;
            return id;
        }
        self.values.push(value);
        self.values.len() as u32 - 1
    }

    /// The value kept under a number.
    pub fn get(&self, id: u32) -> Option<&T> {
        self.values.get(id as usize)
    }

    /// The value kept under a number that was given.
    pub fn at(&self, id: u32) -> &T {
        &self.values[id as usize]
    }

    /// The values that are kept.
    pub fn held(&self) -> Amount {
        Amount { count: self.values.len() - self.free.len(), bytes: self.values.capacity() * size_of::<T>() }
    }

    /// All numbers are below this.
    pub fn bound(&self) -> usize {
        self.values.len()
    }

    /// Frees a number; it may still be held where it is never looked up again.
    pub fn free(&mut self, id: u32) {
        self.free.push(id);
    }
}

/// Values under small numbers, which are given again once nothing refers to them.
pub struct Numbers<K> {
    values: Slab<K>,
    numbers: IdMap<K, u32>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Numbers { values: Slab::default(), numbers: IdMap::default() }
    }
}

impl<K: Copy + Eq + Hash> Numbers<K> {
    /// A value's number.
    pub fn of(&mut self, value: K) -> u32 {
        *self.numbers.entry(value).or_insert_with(|| self.values.keep(value))
    }

    /// The value of a number that was given, and is not free.
    pub fn value(&self, number: u32) -> K {
        *self.values.at(number)
    }

    /// Its memory, in bytes.
    pub fn bytes(&self) -> usize {
        Amount::in_map::<(K, u32)>(self.numbers.len()).bytes + self.bound() * size_of::<K>()
    }

    /// All numbers are below this.
    fn bound(&self) -> usize {
        self.values.bound()
    }

    /// Frees all numbers but these.
    pub fn keep_only(&mut self, used: impl Iterator<Item = u32>) {
        let mut is_used = vec![false; self.bound()];
        used.for_each(|number| is_used[number as usize] = true);
        self.free_unused(|number| is_used[number as usize]);
    }

    /// Frees the numbers that nothing refers to.
    pub fn free_unused(&mut self, mut is_used: impl FnMut(u32) -> bool) {
        self.numbers.retain(|_, number| {
            let keep = is_used(*number);
            if !keep {
                self.values.free(*number);
            }
            keep
        });
    }
}
