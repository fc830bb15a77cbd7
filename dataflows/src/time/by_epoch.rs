//! What has come for epochs that are not whole yet: kept by epoch, and taken in order once an epoch is.

use std::collections::BTreeMap;

use timely::progress::frontier::MutableAntichain;

use super::Epoch;

/// What waits, by epoch.
#[derive(Debug)]
pub struct ByEpoch<T>(BTreeMap<Epoch, T>);

impl<T> Default for ByEpoch<T> {
    fn default() -> Self {
        ByEpoch(BTreeMap::new())
    }
}

impl<T> ByEpoch<T> {
    /// What waits of an epoch, to be added to.
    pub fn at(&mut self, epoch: Epoch) -> &mut T
    where
        T: Default,
    {
        self.0.entry(epoch).or_default()
    }

    /// The same, where nothing is not a default.
    pub fn at_or(&mut self, epoch: Epoch, nothing: impl FnOnce() -> T) -> &mut T {
        self.0.entry(epoch).or_insert_with(nothing)
    }

    /// Takes the first epoch that waits, if it is before this one.
    pub fn next_before(&mut self, epoch: Epoch) -> Option<(Epoch, T)> {
        self.0.first_entry().filter(|entry| *entry.key() < epoch).map(|entry| entry.remove_entry())
    }

    /// Takes what waits of an epoch.
    pub fn take(&mut self, epoch: Epoch) -> T
    where
        T: Default,
    {
        self.0.remove(&epoch).unwrap_or_default()
    }

    /// Lets go of everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// The first epoch of which these inputs may still bring something; those before it are whole. Past all epochs once
/// nothing can come.
pub fn first_open<'a>(frontiers: impl IntoIterator<Item = &'a MutableAntichain<Epoch>>) -> Epoch {
    let first = |frontier: &MutableAntichain<Epoch>| frontier.frontier().first().copied().unwrap_or(Epoch::MAX);
    frontiers.into_iter().map(first).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_epochs_are_taken_in_order_and_open_ones_wait() {
        let mut waiting: ByEpoch<Vec<u8>> = ByEpoch::default();
        waiting.at(7).push(1);
        waiting.at(3).push(2);
        waiting.at(7).push(3);
        assert_eq!(waiting.next_before(3), None);
        assert_eq!(waiting.next_before(8), Some((3, vec![2])));
        assert_eq!((waiting.next_before(7), waiting.take(7), waiting.take(7)), (None, vec![1, 3], vec![]));
    }

    #[test]
    fn the_slowest_input_decides() {
        let at = |epoch| MutableAntichain::from_elem(epoch);
        assert_eq!(first_open(&[at(5), at(3)]), 3);
        assert_eq!(first_open(&[at(5), MutableAntichain::new()]), 5);
        assert_eq!(first_open(&[MutableAntichain::new()]), Epoch::MAX);
    }
}
