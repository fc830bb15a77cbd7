//! Standing views: questions about the rows of one collection each, which come and go while the run goes on.
//!
//! A view is installed, or removed, at the close of the epoch whose tick says so, on every worker. Its first rows are those that
//! the shared arrangements hold up to that epoch; from there on it follows what changes. So it is always of the same epoch as
//! all other views (V1), no dataflow is built for it, and nothing is left of it once it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use citystream_dataflows::held::{Amount, Balance, Kind};
use citystream_dataflows::operators::stage::{Closes, Inbox, Input, Open, Outputs, Stage, conduct};
use citystream_dataflows::records::TextId;
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::closes::EpochClose;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::area::Area;
use crate::collections::Traces;
use crate::rows::{Row, View};
use crate::updates::{Update, Updates};

/// What a standing view asks: which rows of a collection it has.
#[derive(Clone, Debug)]
pub enum Question {
    /// These vehicles.
    Vehicles(BTreeSet<TextId>),
    /// Vehicles in an area.
    VehiclesIn(Area),
    /// Vehicles faster than this, in millionths of a km/h.
    VehiclesAbove(i64),
    /// Cells with a speed ratio below this, in thousandths.
    CellsBelow(u32),
    /// So many of the slowest cells.
    Worst(u32),
    /// Open incidents in an area.
    IncidentsIn(Area),
    /// Clusters of at least so many cells.
    Clusters(u32),
}

impl Question {
    /// The collection that it is about.
    pub fn about(&self) -> View {
        match self {
            Question::Vehicles(_) | Question::VehiclesIn(_) | Question::VehiclesAbove(_) => View::Vehicles,
            Question::CellsBelow(_) => View::Cells,
            Question::Worst(_) => View::Worst,
            Question::IncidentsIn(_) => View::Incidents,
            Question::Clusters(_) => View::Clusters,
        }
    }

    /// Whether it has a row.
    pub fn has(&self, row: &Row) -> bool {
        match (self, row) {
            (Question::Vehicles(ids), Row::Vehicle(row)) => ids.contains(&row.vehicle),
            (Question::VehiclesIn(area), Row::Vehicle(row)) => area.contains(row.at),
            (Question::VehiclesAbove(speed), Row::Vehicle(row)) => row.speed.is_some_and(|it| it > *speed),
            (Question::CellsBelow(ratio), Row::Cell(row)) => {
                row.flow.and_then(|flow| flow.ratio()).is_some_and(|it| it < *ratio)
            }
            (Question::Worst(k), Row::Worst(row)) => row.rank <= *k,
            (Question::IncidentsIn(area), Row::Incident(row)) => area.contains(row.at),
            (Question::Clusters(cells), Row::Cluster(row)) => row.cells >= *cells,
            _ => false,
        }
    }
}

/// What is to become of a standing view.
#[derive(Clone, Debug)]
pub struct Command {
    /// Its number, which no other view of the run has.
    pub number: u32,
    /// Its name.
    pub name: Arc<str>,
    /// What it asks; `None` if it is to go.
    pub question: Option<Arc<Question>>,
}

/// A row of the standing view with this number.
pub type Standing = (u32, Row);

/// The rows of all standing views, where the rows of the collections arise; `changes` are of all collections.
pub fn standing<'scope>(
    closes: Closes<'scope>,
    changes: StreamVec<'scope, Epoch, Update<Row>>,
    commands: StreamVec<'scope, Epoch, Command>,
    traces: Traces,
) -> StreamVec<'scope, Epoch, Update<Standing>> {
    let mut builder = OperatorBuilder::new("standing views".to_owned(), closes.scope());
    let changes = Updates::new(&mut builder, changes, Pipeline);
    let commands = Inbox::new(&mut builder, commands, Pipeline);
    let stage = StandingViews { changes, commands, told: Vec::new(), views: BTreeMap::new(), traces };
    conduct(builder, closes, stage).rows
}

struct StandingViews {
    changes: Updates<Row>,
    commands: Inbox<Command>,
    /// Commands of the open epoch.
    told: Vec<Command>,
    views: BTreeMap<u32, Arc<Question>>,
    traces: Traces,
}

impl Stage for StandingViews {
    const NAME: &'static str = "standing views";
    type Row = Update<Standing>;
    type Side = ();
    type Sealed = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![self.changes.input(), &mut self.commands]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut Outputs<Self::Row, ()>) {
        self.changes.absorb(epoch, fuel);
        self.told.extend(self.commands.take(epoch, fuel));
    }

    fn close(&mut self, close: &EpochClose, _: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        let epoch = close.epoch;
        let changes = self.changes.take(epoch);
        for (number, question) in &self.views {
            let having = changes.iter().filter(|(row, _)| question.has(row));
            out.rows.extend(having.map(|(row, diff)| ((*number, *row), epoch, *diff)));
        }
        for Command { number, question, .. } in std::mem::take(&mut self.told) {
            let Some(question) = question else {
                self.views.remove(&number);
                continue;
            };
            self.traces.rows(question.about(), epoch, |row| {
                if question.has(&row) {
                    out.rows.push(((number, row), epoch, 1));
                }
            });
            self.views.insert(number, question);
        }
        // Nobody asks for what was before: arrangements stay as small as what they show.
        self.traces.advance(epoch);
        true
    }

    fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Live, Amount::of::<(u32, Question)>(self.views.len(), 0));
    }
}
