//! data_quality_15m: what became of a topic's records in a quarter of an hour of log time.
//!
//! ```text
//! deliveries -- counted on their worker -- by topic --> data_quality_15m
//! ```
//!
//! A record whose log time is in a sealed window (a partition that was idle brings old ones) counts in the first open
//! one: so every record counts once, and no sealed row is written again.

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::counts::Counts;
use super::{Aggregate, Windows};
use crate::bindings::Topic;
use crate::changes::{Change, QualityWindow};
use crate::disposition::Disposition;
use crate::hash::IdMap;
use crate::records::{Delivery, Fate};
use crate::stage::{Inbox, Input, Open, Outputs, Stage, conduct};
use crate::time::{Epoch, MINUTE, Micros};
use crate::turns::Turn;

/// The length of its windows.
pub const LENGTH: Micros = 15 * MINUTE;

/// The changes of data_quality_15m; see the module.
pub fn quality<'scope>(
    turns: StreamVec<'scope, Epoch, Turn>,
    deliveries: StreamVec<'scope, Epoch, Delivery>,
) -> StreamVec<'scope, Epoch, Change<QualityWindow>> {
    let counted = deliveries.unary(Pipeline, "count deliveries", |_, _| {
        |input, output| {
            input.for_each(|time, batch| {
                let mut counts: IdMap<Delivery, u64> = IdMap::default();
                for delivery in batch.drain(..) {
                    let window = delivery.log_time - delivery.log_time.rem_euclid(LENGTH);
                    *counts.entry(Delivery { log_time: window, ..delivery }).or_default() += 1;
                }
                output.session(&time).give_iterator(counts.into_iter());
            });
        }
    });
    let mut builder = OperatorBuilder::new("data_quality_15m".to_owned(), turns.scope());
    let by_topic = Exchange::new(|(delivery, _): &(Delivery, u64)| delivery.topic.index() as u64);
    let counted = Inbox::new(&mut builder, counted, by_topic);
    conduct(builder, turns, QualityStage { counted, windows: Windows::new(LENGTH) }).0
}

struct QualityStage {
    counted: Inbox<(Delivery, u64)>,
    windows: Windows<Quality>,
}

impl Stage for QualityStage {
    type Row = Change<QualityWindow>;
    type Side = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.counted]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize) {
        for (delivery, count) in self.counted.take(epoch, fuel) {
            self.windows.at(delivery.log_time, delivery.topic).add(&delivery, count);
        }
    }

    fn close(&mut self, turn: &Turn, fuel: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        self.windows.close(turn, fuel, &mut out.rows)
    }
}

#[derive(Default)]
struct Quality {
    fates: Vec<u64>,
    delays: Counts<i32>,
}

impl Quality {
    fn add(&mut self, delivery: &Delivery, count: u64) {
        let Fate(fate) = delivery.fate;
        let fate = usize::from(fate);
        self.fates.resize(self.fates.len().max(fate + 1), 0);
        self.fates[fate] += count;
        if fate < Disposition::ALL.len() {
            self.delays.add(delivery.delay_s, count as i64);
        }
    }
}

impl Aggregate for Quality {
    type Key = Topic;
    type Row = QualityWindow;

    fn row(&self, topic: Topic, start: Micros) -> Option<QualityWindow> {
        let delays = self.delays.percentiles([50, 99]);
        Some(QualityWindow { topic, start, fates: self.fates.clone(), delays })
    }
}
