//! Updates of a collection as a stage takes them: a batch may hold updates of epochs that are not open yet.

use std::collections::BTreeMap;

use citystream_dataflows::operators::stage::{Inbox, Input};
use citystream_dataflows::time::Epoch;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// An update of a collection.
pub type Update<D> = (D, Epoch, isize);

/// An input of updates, by the epoch that each carries.
pub struct Updates<D> {
    inbox: Inbox<Update<D>>,
    waiting: BTreeMap<Epoch, Vec<(D, isize)>>,
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
        Updates { inbox: Inbox::new(builder, stream, pact), waiting: BTreeMap::new() }
    }

    /// The input that a stage reads.
    pub fn input(&mut self) -> &mut dyn Input {
        &mut self.inbox
    }

    /// Takes in what has come, while there is fuel.
    pub fn absorb(&mut self, open: Epoch, fuel: &mut usize) {
        let taken = self.inbox.take(open, fuel);
        for run in taken.chunk_by(|(_, epoch, _), (_, next, _)| epoch == next) {
            let updates = run.iter().map(|(data, _, diff)| (data.clone(), *diff));
            self.waiting.entry(run[0].1).or_default().extend(updates);
        }
    }

    /// The updates of an epoch that closes: what goes comes first.
    pub fn take(&mut self, epoch: Epoch) -> Vec<(D, isize)> {
        let mut updates = self.waiting.remove(&epoch).unwrap_or_default();
        updates.sort_by_key(|(_, diff)| *diff);
        updates
    }
}
