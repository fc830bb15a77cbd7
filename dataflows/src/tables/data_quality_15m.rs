//! `data_quality_15m`: what became of a topic's records in a quarter of an hour of log time.
//!
//! ```text
//! deliveries -- counted on their worker -- by topic --> data_quality_15m
//! ```
//!
//! A record counts in the window of its partition's log clock, a function of the log alone (P3). What comes for a sealed
//! window, whatever it is, is *missed*: counted in the ledger and in no window.

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::{
    Block, Columns, Counted, Declaration, Fields, From, Needs, Resume, Rows, Sealing, Select, Subject, Total,
    WINDOW_START, When, window,
};
use crate::city::City;
use crate::held::{Balance, Kind};
use crate::operators::stage::{Inbox, Input, Open, OutputsOf, Stage, conduct};
use crate::operators::windows::counts::Counts;
use crate::operators::windows::{Aggregate, Windows};
use crate::records::changes::Change;
use crate::records::hash::IdMap;
use crate::records::reason::Reason;
use crate::records::{Delivery, Outcome};
use crate::time::bindings::Topic;
use crate::time::closes::EpochClose;
use crate::time::disposition::{Disposition, QUALITY_WINDOW};
use crate::time::{Epoch, Micros};

/// The table.
pub static TABLE: Declaration = Declaration {
    name: NAME,
    about: ABOUT,
    key: &["topic", WINDOW_START],
    time: WINDOW_START,
    columns: || columns().describe(),
    build,
    sealing: Sealing::by_time(LENGTH),
    lookback,
    recovery: None,
    behind,
    key_of: |_, _| None,
    record_columns: &[],
    totals: &[
        windowed("records", Counted::Read),
        windowed("on_time", Counted::OnTime),
        windowed("late", Counted::Late),
        windowed("expired", Counted::Expired),
        windowed("duplicate", Counted::Duplicate),
        windowed("dead_letters", Counted::Dead),
    ],
    subject: Subject::Nobody,
};

const NAME: &str = "data_quality_15m";
const LENGTH: Micros = QUALITY_WINDOW;

const fn windowed(column: &'static str, counted: Counted) -> Total {
    Total { column: Some(column), topic: None, counted, but_missed: true }
}

const ABOUT: &str = "\
One row a topic and 15 minutes of log time: records by disposition, dead letters by reason, and the delay (log time less
event time, to the nearest second, halves up, clamped to a day either way) of those that became rows, as percentiles (nearest
rank) and the greatest. Log time is here the log clock of the record's partition: its `quality_window`. What came for a window that was sealed
already (a partition that had gone quiet brings old records) has none, and counts in the ledger as missed.";

/// What became of a topic's records in a quarter of an hour of log time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityWindow {
    /// The topic.
    pub topic: Topic,
    /// The window's start.
    pub start: Micros,
    /// Records by [`Outcome`].
    pub outcomes: Vec<u64>,
    /// The rows' delay in whole seconds.
    pub delays: Option<Delays>,
}

/// Delays in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delays {
    /// Percentiles 50 and 99.
    pub percentiles: [i32; 2],
    /// The greatest.
    pub max: i32,
}

impl QualityWindow {
    /// Records with one outcome.
    fn with(&self, outcome: usize) -> u64 {
        self.outcomes.get(outcome).copied().unwrap_or(0)
    }
}

/// The columns.
pub fn columns() -> Columns<QualityWindow> {
    // Outcomes below this are dispositions, the others reasons.
    const ROWS: usize = Disposition::ALL.len();
    let mut all = Columns::new();
    all.word("topic").from(|row: &QualityWindow| row.topic.name());
    all.time(WINDOW_START).from(|row| row.start);
    all.count("records").from(|row| row.outcomes.iter().sum());
    for disposition in Disposition::ALL {
        all.count(disposition.name()).from(move |row| row.with(disposition as usize));
    }
    all.count("dead_letters").from(|row| row.outcomes.iter().skip(ROWS).sum());
    for reason in Reason::ALL {
        all.count(format!("dead_{}", reason.name())).from(move |row| row.with(ROWS + reason as usize));
    }
    const NO_ROW: &str = "nothing became a row";
    for (index, percent) in PERCENTS.into_iter().enumerate() {
        let name = format!("delay_p{percent}_s");
        all.int(name, "s").null_when(NO_ROW).from(move |row| Some(row.delays?.percentiles[index]));
    }
    all.int("delay_max_s", "s").null_when(NO_ROW).from(|row| Some(row.delays?.max));
    all
}

/// The percentiles of delays.
const PERCENTS: [u64; 2] = [50, 99];

fn build<'scope>(city: &City<'scope>) -> StreamVec<'scope, Epoch, Block> {
    super::block::blocks(NAME, columns(), rows(city))
}

fn lookback(Resume { horizon, .. }: Resume) -> Vec<Needs> {
    vec![Needs::Counted(window(horizon, LENGTH))]
}

fn behind(key: &[&str]) -> Option<Vec<Select>> {
    let [topic, start] = key else { return None };
    let topic = Topic::named(topic)?;
    let start: Micros = start.parse().ok()?;
    let from = [From::Topic(topic), From::DeadLetters(topic)];
    Some(from.map(|from| Select::new(from, When::Counted(start, start + LENGTH), |_: &dyn Fields| true)).into())
}

/// Its rows; see the module.
pub fn rows<'scope>(city: &City<'scope>) -> Rows<'scope, QualityWindow> {
    let counted = city.deliveries.clone().unary(Pipeline, "count deliveries", |_, _| {
        |input, output| {
            input.for_each(|time, batch| {
                let mut counts: IdMap<Delivery, u64> = IdMap::default();
                batch.drain(..).for_each(|delivery| *counts.entry(delivery).or_default() += 1);
                output.session(&time).give_iterator(counts.into_iter());
            });
        }
    });
    let mut builder = OperatorBuilder::new(NAME.to_owned(), city.closes.scope());
    let by_topic = Exchange::new(|(delivery, _): &(Delivery, u64)| delivery.topic.index() as u64);
    let counted = Inbox::new(&mut builder, counted, by_topic);
    conduct(builder, city.closes.clone(), QualityStage { counted, windows: Windows::new(LENGTH) }).into()
}

struct QualityStage {
    counted: Inbox<(Delivery, u64)>,
    windows: Windows<Quality>,
}

impl Stage for QualityStage {
    const NAME: &'static str = NAME;
    type Row = Change<QualityWindow>;
    type Side = ();
    type Sealed = QualityWindow;

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.counted]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut OutputsOf<Self>) {
        for (delivery, count) in self.counted.take(epoch, fuel) {
            self.windows.at(delivery.window, delivery.topic).add(&delivery, count);
        }
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut OutputsOf<Self>) -> bool {
        self.windows.close(close, fuel, out)
    }

    fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Windows, self.windows.held());
    }
}

#[derive(Default)]
struct Quality {
    outcomes: Vec<u64>,
    delays: Counts<i32>,
}

impl Quality {
    fn add(&mut self, delivery: &Delivery, count: u64) {
        let Outcome(outcome) = delivery.outcome;
        let outcome = usize::from(outcome);
        self.outcomes.resize(self.outcomes.len().max(outcome + 1), 0);
        self.outcomes[outcome] += count;
        if outcome < Disposition::ALL.len() {
            self.delays.add(delivery.delay_s, count as i64);
        }
    }
}

impl Aggregate for Quality {
    type Key = Topic;
    type Row = QualityWindow;

    fn row(&self, topic: Topic, start: Micros) -> Option<QualityWindow> {
        let delays = self.delays.percentiles(PERCENTS).zip(self.delays.max());
        let delays = delays.map(|(percentiles, max)| Delays { percentiles, max });
        Some(QualityWindow { topic, start, outcomes: self.outcomes.clone(), delays })
    }

    fn beside(&self) -> usize {
        self.outcomes.capacity() * size_of::<u64>() + self.delays.bytes()
    }
}
