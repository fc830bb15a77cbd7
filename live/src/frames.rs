//! What leaves for whoever watches: a frame an epoch, on worker 0.

use std::collections::BTreeMap;
use std::sync::Arc;

use citystream_dataflows::time::by_epoch::{ByEpoch, first_open};
use citystream_dataflows::time::closes::EpochClose;
use citystream_dataflows::time::{Epoch, Micros};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Filter;

use crate::rows::{Key, Row, View};
use crate::standing::{Command, Standing};
use crate::updates::Update;
use crate::worst::SHOWN;

/// What an epoch has changed of a view: what is there now, or gone.
pub type Changes = BTreeMap<Key, Option<Row>>;

/// Which view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViewId {
    /// A built-in one.
    BuiltIn(View),
    /// The standing one with this number.
    Standing(u32),
}

/// What an epoch has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The epoch.
    pub epoch: Epoch,
    /// The horizon after it.
    pub horizon: Option<Micros>,
    /// The standing views that have begun, with their names, and those that have ended, in order.
    pub installed: Vec<(u32, Option<Arc<str>>)>,
    /// The changes of each view that has some.
    pub views: BTreeMap<ViewId, Changes>,
}

impl Frame {
    /// Changes that a later frame has come after: what it says of a key counts.
    pub fn overlay(&mut self, later: Frame) {
        (self.epoch, self.horizon) = (later.epoch, later.horizon);
        self.installed.extend(later.installed);
        for (view, changes) in later.views {
            self.views.entry(view).or_default().extend(changes);
        }
    }

    fn take(&mut self, view: ViewId, row: Row, diff: isize) {
        let held = self.views.entry(view).or_default().entry(row.key()).or_insert(None);
        if diff > 0 {
            *held = Some(row);
        }
    }
}

/// What has come of an epoch that is not whole.
#[derive(Default)]
struct Waiting {
    close: Option<EpochClose>,
    updates: Vec<(ViewId, Row, isize)>,
    commands: Vec<Command>,
}

/// What frames are made of.
#[derive(Clone)]
pub struct Inputs<'scope> {
    /// Changes of the built-in views.
    pub changes: StreamVec<'scope, Epoch, Update<Row>>,
    /// And of the standing ones.
    pub standing: StreamVec<'scope, Epoch, Update<Standing>>,
    /// Which standing views come and go.
    pub commands: StreamVec<'scope, Epoch, Command>,
    /// How epochs close.
    pub closes: StreamVec<'scope, Epoch, EpochClose>,
    /// Holds epochs back whose names are not here yet.
    pub ready: StreamVec<'scope, Epoch, ()>,
}

/// Gives each closed epoch as a frame to `send`, in order, on worker 0.
pub fn frames(inputs: Inputs<'_>, mut send: impl FnMut(Frame) + 'static) {
    let Inputs { changes, standing, commands, closes, ready } = inputs;
    let is_worker0 = changes.scope().index() == 0;
    let changes = changes.filter(|(row, ..)| !matches!(row, Row::Worst(row) if row.rank > SHOWN));
    let mut builder = OperatorBuilder::new("frames".to_owned(), changes.scope());
    let mut changes = builder.new_input(changes, Exchange::new(|_: &Update<Row>| 0));
    let mut standing = builder.new_input(standing, Exchange::new(|_: &Update<Standing>| 0));
    let mut commands = builder.new_input(commands, Pipeline);
    let mut closes = builder.new_input(closes, Pipeline);
    let _ready = builder.new_input(ready, Pipeline);
    builder.build(move |_| {
        let mut waiting: ByEpoch<Waiting> = ByEpoch::default();
        move |frontiers| {
            changes.for_each(|_, batch| {
                let of_view = |row: &Row| ViewId::BuiltIn(row.key().view());
                batch
                    .drain(..)
                    .for_each(|(row, epoch, diff)| waiting.at(epoch).updates.push((of_view(&row), row, diff)));
            });
            standing.for_each(|_, batch| {
                batch.drain(..).for_each(|((number, row), epoch, diff)| {
                    waiting.at(epoch).updates.push((ViewId::Standing(number), row, diff));
                });
            });
            commands.for_each(|time, batch| {
                let Some(epoch) = time.least() else { return };
                waiting.at(*epoch).commands.append(batch);
            });
            closes.for_each(|_, batch| batch.drain(..).for_each(|close| waiting.at(close.epoch).close = Some(close)));
            let open = first_open(frontiers);
            while let Some((epoch, Waiting { close, updates, commands })) = waiting.next_before(open) {
                if !is_worker0 {
                    continue;
                }
                let mut frame = Frame { epoch, horizon: close.and_then(|close| close.horizon), ..Frame::default() };
                updates.into_iter().for_each(|(view, row, diff)| frame.take(view, row, diff));
                let name = |command: Command| (command.number, command.question.map(|_| command.name));
                frame.installed.extend(commands.into_iter().map(name));
                send(frame);
            }
        }
    });
}
