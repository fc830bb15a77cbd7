//! What leaves for whoever watches: a frame an epoch, on worker 0.

use std::collections::BTreeMap;

use citystream_dataflows::time::by_epoch::{ByEpoch, first_open};
use citystream_dataflows::time::closes::EpochClose;
use citystream_dataflows::time::{Epoch, Micros};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Probe;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::probe::Handle;

use crate::rows::{Key, Row};
use crate::updates::Update;

/// What an epoch has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The epoch.
    pub epoch: Epoch,
    /// The horizon after it.
    pub horizon: Option<Micros>,
    /// What is there now, or gone.
    pub rows: BTreeMap<Key, Option<Row>>,
}

impl Frame {
    /// Changes that a later frame has come after: what it says of a key counts.
    pub fn overlay(&mut self, later: Frame) {
        (self.epoch, self.horizon) = (later.epoch, later.horizon);
        self.rows.extend(later.rows);
    }

    fn take(&mut self, updates: Vec<(Row, isize)>) {
        for (row, diff) in updates {
            let held = self.rows.entry(row.key()).or_insert(None);
            if diff > 0 {
                *held = Some(row);
            }
        }
    }
}

/// What has come of an epoch that is not whole.
type Waiting = (Option<EpochClose>, Vec<(Row, isize)>);

/// Gives each closed epoch as a frame to `send`, in order, on worker 0; `ready` holds epochs back whose names are not here
/// yet. Returns how far all changes are.
pub fn frames<'scope>(
    changes: StreamVec<'scope, Epoch, Update<Row>>,
    closes: StreamVec<'scope, Epoch, EpochClose>,
    ready: StreamVec<'scope, Epoch, ()>,
    mut send: impl FnMut(Frame) + 'static,
) -> Handle<Epoch> {
    let probe = Handle::new();
    let changes = changes.probe_with(&probe);
    let is_worker0 = changes.scope().index() == 0;
    let mut builder = OperatorBuilder::new("frames".to_owned(), changes.scope());
    let mut changes = builder.new_input(changes, Exchange::new(|_: &Update<Row>| 0));
    let mut closes = builder.new_input(closes, Pipeline);
    let _ready = builder.new_input(ready, Pipeline);
    builder.build(move |_| {
        let mut waiting: ByEpoch<Waiting> = ByEpoch::default();
        move |frontiers| {
            changes.for_each(|_, batch| {
                batch.drain(..).for_each(|(row, epoch, diff)| waiting.at(epoch).1.push((row, diff)));
            });
            closes.for_each(|_, batch| batch.drain(..).for_each(|close| waiting.at(close.epoch).0 = Some(close)));
            let open = first_open(frontiers);
            while let Some((epoch, (close, updates))) = waiting.next_before(open) {
                if !is_worker0 {
                    continue;
                }
                let horizon = close.and_then(|close| close.horizon);
                let mut frame = Frame { epoch, horizon, rows: BTreeMap::new() };
                frame.take(updates);
                send(frame);
            }
        }
    });
    probe
}
