//! The live views of the pipeline: collections over the city's streams, and the frames that leave for the page.

use std::collections::BTreeMap;
use std::sync::Arc;

use citystream_dataflows::city::City;
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::ticks::{Tick, ViewCommand};
use citystream_live::collections::Collections;
use citystream_live::frames::{self, frames};
use citystream_live::standing::{Command, Question, standing};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::{Operator, empty};

use super::alerts::alerts;
use crate::columns::text_hash::TextHasher;
use crate::error::RunError;
use crate::lake::history::alerts::Event;
use crate::page::{Hub, feed};
use crate::process::{Fatal, Process};
use crate::standing::{Decisions, Definition};

/// Builds the views; their frames are sent once the names of their epoch are `interned`. Gives what is decided of alerts.
pub fn live_views<'scope>(
    process: &Process,
    hub: &Arc<Hub>,
    decisions: Option<Decisions>,
    city: &City<'scope>,
    ticks: StreamVec<'scope, Epoch, Tick>,
    interned: StreamVec<'scope, Epoch, ()>,
) -> StreamVec<'scope, Epoch, Event> {
    let Collections { changes, traces } = Collections::new(city);
    let is_worker0 = changes.scope().index() == 0;
    let commands = commands(ticks, process.fatal.clone());
    let standing = standing(city.closes.clone(), changes.clone(), commands.clone(), traces);
    let closes = city.closes.stream.clone();
    let inputs = frames::Inputs { changes, standing, commands, closes, ready: interned };
    let decided = if process.alerts.rules.is_empty() && process.alerts.silences.is_empty() {
        empty(inputs.closes.scope())
    } else {
        alerts(process, decisions, city.closes.clone(), &inputs)
    };
    let mut outlet = is_worker0.then(|| feed(Arc::clone(hub), Arc::clone(&process.names)));
    frames(inputs, move |frame| {
        if let Some(outlet) = &mut outlet {
            outlet.send(frame);
        }
    });
    decided
}

/// What ticks say of standing views, with the run's ids of texts. Every worker counts alike.
fn commands<'scope>(ticks: StreamVec<'scope, Epoch, Tick>, fatal: Fatal) -> StreamVec<'scope, Epoch, Command> {
    ticks.unary::<timely::container::CapacityContainerBuilder<Vec<Command>>, _, _, _>(
        Pipeline,
        "view commands",
        move |_, _| {
            let (mut hasher, mut numbers) = (None, Numbers::default());
            move |input, output| {
                input.for_each(|time, batch| {
                    for tick in batch.drain(..) {
                        hasher = tick.start.as_ref().map(|start| TextHasher::new(start.key)).or(hasher.take());
                        let made = tick.views.iter().map(|view| numbers.command(view, hasher.as_ref()));
                        match made.collect::<Result<Vec<_>, _>>() {
                            Ok(made) => output.session(&time).give_iterator(made.into_iter().flatten()),
                            Err(error) => fatal.raise(error),
                        }
                    }
                });
            }
        },
    )
}

/// The numbers of the standing views by name.
#[derive(Default)]
struct Numbers {
    given: BTreeMap<String, u32>,
    next: u32,
}

impl Numbers {
    /// None for what goes and was not there.
    fn command(&mut self, command: &ViewCommand, hasher: Option<&TextHasher>) -> Result<Option<Command>, RunError> {
        let ViewCommand { name, definition } = command;
        let command = |number, question| Command { number, name: name.as_str().into(), question };
        let Some(definition) = definition else {
            return Ok(self.given.remove(name).map(|number| command(number, None)));
        };
        self.next += 1;
        self.given.insert(name.clone(), self.next);
        Ok(Some(command(self.next, Some(Arc::new(question(name, definition, hasher)?)))))
    }
}

/// What was checked before it came with a tick.
fn question(name: &str, definition: &str, hasher: Option<&TextHasher>) -> Result<Question, RunError> {
    let wrong = |why: &str| RunError::Usage(format!("the view `{name}` of the lake cannot be read: {why}"));
    let hasher = hasher.ok_or_else(|| wrong("the run has no key"))?;
    let value = serde_json::from_str(definition).map_err(|error| wrong(&error.to_string()))?;
    let read = Definition::read(&value).and_then(|definition| definition.question(hasher));
    read.map_err(|error| wrong(&error.to_string()))
}
