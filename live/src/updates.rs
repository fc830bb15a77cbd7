//! Updates of a collection as a stage takes them: a batch may hold updates of epochs that are not open yet.

use citystream_dataflows::operators::stage::{Inbox, Input};
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::by_epoch::ByEpoch;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// An update of a collection.
pub type Update<D> = (D, Epoch, isize);

/// What an epoch changes: removals, and what comes.
pub struct Changed<D> {
    gone: Vec<(D, isize)>,
    come: Vec<(D, isize)>,
}

impl<D> Default for Changed<D> {
    fn default() -> Self {
        Changed { gone: Vec::new(), come: Vec::new() }
    }
}

impl<D> Changed<D> {
    fn push(&mut self, data: D, diff: isize) {
        if diff < 0 { self.gone.push((data, diff)) } else { self.come.push((data, diff)) }
    }

    /// Removals first.
    pub fn iter(&self) -> impl Iterator<Item = &(D, isize)> {
        self.gone.iter().chain(&self.come)
    }
}

impl<D> IntoIterator for Changed<D> {
    type Item = (D, isize);
    type IntoIter = std::iter::Chain<std::vec::IntoIter<(D, isize)>, std::vec::IntoIter<(D, isize)>>;

    /// Removals first.
    fn into_iter(self) -> Self::IntoIter {
        self.gone.into_iter().chain(self.come)
    }
}

/// An input of updates, by the epoch that each carries.
pub struct Updates<D> {
    inbox: Inbox<Update<D>>,
    waiting: ByEpoch<Changed<D>>,
}

impl<D: Clone + 'static> Updates<D> {
    /// Makes an input of the operator that is being built.
    pub fn new<'scope, P>(
        builder: &mut OperatorBuilder<'scope, Epoch>,
        stream: StreamVec<'scope, Epoch, Update<D>>,
        pact: P,
    ) -> Self
    where
        P: ParallelizationContract<Epoch, Vec<Update<D>>> + 'static,
    {
        Updates { inbox: Inbox::new(builder, stream, pact), waiting: ByEpoch::default() }
    }

    /// The input that a stage reads.
    pub fn input(&mut self) -> &mut dyn Input {
        &mut self.inbox
    }

    /// Takes in what has come, while there is fuel.
    pub fn absorb(&mut self, open: Epoch, fuel: &mut usize) {
        let taken = self.inbox.take(open, fuel);
        for run in taken.chunk_by(|(_, epoch, _), (_, next, _)| epoch == next) {
            let changed = self.waiting.at(run[0].1);
            run.iter().for_each(|(data, _, diff)| changed.push(data.clone(), *diff));
        }
    }

    /// The updates of an epoch that closes.
    pub fn take(&mut self, epoch: Epoch) -> Changed<D> {
        self.waiting.take(epoch)
    }
}
