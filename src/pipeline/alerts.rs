//! Where alerts are decided: on worker 0, at the close of each epoch that ends a commit, of the rows that have changed since the
//! last one. What is decided goes into that commit. Beside that it is told who was heard of, for alerts of absence, which go by the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use citystream_dataflows::held::{Amount, Balance, Kind};
use citystream_dataflows::operators::stage::{Closes, Inbox, Input, Open, Outputs, Stage, conduct};
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::closes::{CloseKind, EpochClose};
use citystream_live::frames::Inputs;
use citystream_live::rows::{Key, Row, View};
use citystream_live::standing::{Command, Standing};
use citystream_live::updates::{Update, Updates};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Filter;

use crate::columns::names::Names;
use crate::lake::history::alerts::Event;
use crate::page::key_text;
use crate::process::Process;
use crate::standing::{Decisions, Heard, Registry};

/// What is decided, on worker 0, which alone is given `decisions`.
pub fn alerts<'scope>(
    process: &Process,
    decisions: Option<Decisions>,
    closes: Closes<'scope>,
    inputs: &Inputs<'scope>,
) -> StreamVec<'scope, Epoch, Event> {
    let views =
        process.alerts.rules.iter().map(|rule| &rule.view).chain(process.alerts.silences.iter().filter_map(|it| {
            match &it.of {
                Heard::View(view) => Some(view),
                Heard::Topic(_) => None,
            }
        }));
    let built_in: BTreeSet<View> = views.filter_map(|view| View::named(view)).collect();
    let changes = inputs.changes.clone().filter(move |(row, ..)| built_in.contains(&row.key().view()));
    let mut builder = OperatorBuilder::new("alerts".to_owned(), closes.scope());
    let stage = Alerting {
        changes: Updates::new(&mut builder, changes, Exchange::new(|_: &Update<Row>| 0)),
        standing: Updates::new(&mut builder, inputs.standing.clone(), Exchange::new(|_: &Update<Standing>| 0)),
        commands: Inbox::new(&mut builder, inputs.commands.clone(), Pipeline),
        ready: Inbox::new(&mut builder, inputs.ready.clone(), Pipeline),
        numbers: BTreeMap::new(),
        names: Arc::clone(&process.names),
        registry: process.views.clone().filter(|_| !process.alerts.silences.is_empty()),
        touched: BTreeMap::new(),
        decisions,
        is_first: true,
    };
    conduct(builder, closes, stage).rows
}

struct Alerting {
    changes: Updates<Row>,
    standing: Updates<Standing>,
    commands: Inbox<Command>,
    /// The texts of the epoch are there.
    ready: Inbox<()>,
    /// The names of standing views.
    numbers: BTreeMap<u32, Arc<str>>,
    names: Arc<Names>,
    /// Where it is kept who was heard of, if somebody asks.
    registry: Option<Arc<Registry>>,
    /// By rule, rows that have changed since the last seal.
    touched: BTreeMap<(usize, Key), Option<Row>>,
    decisions: Option<Decisions>,
    /// Nothing was decided in this run yet.
    is_first: bool,
}

impl Alerting {
    fn touch(&mut self, view: &str, row: Row, diff: isize) {
        let Some(decisions) = &self.decisions else { return };
        if let Some(registry) = self.registry.as_ref().filter(|_| diff > 0) {
            let key = key_text(&row.key(), &self.names.read());
            registry.silences().heard(&Heard::View(view.to_owned()), &key, Instant::now());
        }
        for (rule, _) in decisions.rules().iter().enumerate().filter(|(_, rule)| rule.view == view) {
            self.touched.insert((rule, row.key()), (diff > 0).then_some(row));
        }
    }

    fn decide(&mut self, horizon: i64) -> Vec<Event> {
        let Some(decisions) = &mut self.decisions else { return Vec::new() };
        let texts = self.names.read();
        let touched = std::mem::take(&mut self.touched).into_iter();
        let touched = touched.filter(|((rule, _), row)| decisions.concerns(*rule, row.as_ref()));
        let mut touched: Vec<_> = touched.map(|((rule, key), row)| (rule, key_text(&key, &texts), row)).collect();
        if std::mem::take(&mut self.is_first) {
            // What an earlier run left open, and is not there any more.
            let there: BTreeSet<(usize, String)> = touched.iter().map(|(rule, key, _)| (*rule, key.clone())).collect();
            let gone = decisions.open().filter(|name| !there.contains(name));
            touched.extend(gone.cloned().map(|(rule, key)| (rule, key, None)).collect::<Vec<_>>());
        }
        decisions.seal(horizon, touched)
    }
}

impl Stage for Alerting {
    const NAME: &'static str = "alerts";
    type Row = Event;
    type Side = ();
    type Sealed = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![self.changes.input(), self.standing.input(), &mut self.commands, &mut self.ready]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut Outputs<Event, ()>) {
        self.changes.absorb(epoch, fuel);
        self.standing.absorb(epoch, fuel);
        let installed = self.commands.take(epoch, fuel).into_iter().filter(|command| command.question.is_some());
        self.numbers.extend(installed.map(|command| (command.number, command.name)));
        self.ready.take(epoch, fuel);
    }

    fn close(&mut self, close: &EpochClose, _: &mut usize, out: &mut Outputs<Event, ()>) -> bool {
        for (row, diff) in self.changes.take(close.epoch) {
            self.touch(row.key().view().name(), row, diff);
        }
        for ((number, row), diff) in self.standing.take(close.epoch) {
            if let Some(name) = self.numbers.get(&number).cloned() {
                self.touch(&name, row, diff);
            }
        }
        if let (CloseKind::Seal, Some(horizon)) = (close.kind, close.horizon) {
            out.rows.extend(self.decide(horizon));
        }
        true
    }

    fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Live, Amount::of::<((usize, Key), Option<Row>)>(self.touched.len(), size_of::<u64>()));
    }
}
