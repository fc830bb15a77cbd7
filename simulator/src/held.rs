//! Records that are held back until their time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::truth::Letter;

/// The records, each with its own copy of its value. Memory is used again.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// When each is due, in which order they came, and its place.
    queue: BinaryHeap<Reverse<(i64, u64, usize)>>,
    places: Vec<(Letter, Vec<u8>)>,
    free: Vec<usize>,
    came: u64,
}

impl Held {
    /// When the first one is due.
    pub(crate) fn first_ms(&self) -> Option<i64> {
        self.queue.peek().map(|Reverse((at_ms, ..))| *at_ms)
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Keeps a copy until `at_ms`.
    pub(crate) fn push(&mut self, at_ms: i64, letter: Letter, value: &[u8]) {
        let place = self.free.pop().unwrap_or(self.places.len());
        if place == self.places.len() {
            self.places.push((letter, Vec::new()));
        }
        let (kept, buffer) = &mut self.places[place];
        *kept = letter;
        buffer.clear();
        buffer.extend_from_slice(value);
        self.came += 1;
        self.queue.push(Reverse((at_ms, self.came, place)));
    }

    /// Takes the first one out: its value goes to `value`.
    pub(crate) fn pop(&mut self, value: &mut Vec<u8>) -> Option<(i64, Letter)> {
        let Reverse((at_ms, _, place)) = self.queue.pop()?;
        self.free.push(place);
        let (letter, buffer) = &mut self.places[place];
        std::mem::swap(value, buffer);
        Some((at_ms, *letter))
    }
}
