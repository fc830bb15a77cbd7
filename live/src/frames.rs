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

/// What an epoch has changed of a view: first `gone` goes, then `come` comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What went.
    pub gone: Vec<Key>,
    /// What came.
    pub come: Vec<Row>,
}

impl Changes {
    /// What there is now of each key, if anything.
    pub fn by_key(&self) -> BTreeMap<Key, Option<&Row>> {
        let gone = self.gone.iter().map(|key| (*key, None));
        gone.chain(self.come.iter().map(|row| (row.key(), Some(row)))).collect()
    }
}

impl FromIterator<(Key, Option<Row>)> for Changes {
    /// All keys go, and those that have a row come again.
    fn from_iter<I: IntoIterator<Item = (Key, Option<Row>)>>(changes: I) -> Changes {
        let mut made = Changes::default();
        for (key, row) in changes {
            made.gone.push(key);
            made.come.extend(row);
        }
        made
    }
}

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

/// What has come of an epoch that is not whole.
#[derive(Default)]
struct Waiting {
    close: Option<EpochClose>,
    views: BTreeMap<ViewId, Changes>,
    commands: Vec<Command>,
}

/// Takes updates, of which each has a view and a row. Those of one view come in runs, so that it is looked for once a run.
fn take<D>(waiting: &mut ByEpoch<Waiting>, updates: &[Update<D>], of: impl Fn(&D) -> (ViewId, &Row)) {
    for run in updates.chunk_by(|(one, epoch, _), (next, at, _)| epoch == at && of(one).0 == of(next).0) {
        let (first, epoch, _) = &run[0];
        let Changes { gone, come } = waiting.at(*epoch).views.entry(of(first).0).or_default();
        for (data, _, diff) in run {
            let (_, row) = of(data);
            if *diff < 0 { gone.push(row.key()) } else { come.push(*row) }
        }
    }
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
            let built_in = |row: &Row| ViewId::BuiltIn(row.key().view());
            changes.for_each(|_, batch| take(&mut waiting, batch, |row| (built_in(row), row)));
            standing.for_each(|_, batch| take(&mut waiting, batch, |(number, row)| (ViewId::Standing(*number), row)));
            commands.for_each(|time, batch| {
                let Some(epoch) = time.least() else { return };
                waiting.at(*epoch).commands.append(batch);
            });
            closes.for_each(|_, batch| batch.drain(..).for_each(|close| waiting.at(close.epoch).close = Some(close)));
            let open = first_open(frontiers);
            while let Some((epoch, Waiting { close, views, commands })) = waiting.next_before(open) {
                if !is_worker0 {
                    continue;
                }
                let name = |command: Command| (command.number, command.question.map(|_| command.name));
                let installed = commands.into_iter().map(name).collect();
                send(Frame { epoch, horizon: close.and_then(|close| close.horizon), installed, views });
            }
        }
    });
}
