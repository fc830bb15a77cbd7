//! The cells where traffic is slowest, by rank: the first of all cells in the order of (ratio, cell).

use std::collections::BTreeMap;

use citystream_dataflows::held::{Amount, Balance, Kind};
use citystream_dataflows::operators::stage::{Closes, Input, Open, Outputs, Stage, conduct};
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::closes::EpochClose;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::rows::{Flow, Worst};
use crate::updates::{Update, Updates};

/// How many are ranked, for whoever asks.
pub const RANKS: usize = 100;
/// And how many of them the built-in view shows.
pub const SHOWN: u32 = 20;

/// The worst cells of all traffic, on worker 0.
pub fn worst<'scope>(
    closes: Closes<'scope>,
    flows: StreamVec<'scope, Epoch, Update<Flow>>,
) -> StreamVec<'scope, Epoch, Update<Worst>> {
    let mut builder = OperatorBuilder::new("worst".to_owned(), closes.scope());
    let flows = Updates::new(&mut builder, flows, Exchange::new(|_: &Update<Flow>| 0));
    conduct(builder, closes, Ranking { flows, cells: BTreeMap::new(), shown: Vec::new() }).rows
}

struct Ranking {
    flows: Updates<Flow>,
    /// By ratio and cell; the rank is only known once it is shown.
    cells: BTreeMap<(u32, u64), Worst>,
    shown: Vec<Worst>,
}

impl Stage for Ranking {
    const NAME: &'static str = "worst";
    type Row = Update<Worst>;
    type Side = ();
    type Sealed = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![self.flows.input()]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut Outputs<Self::Row, ()>) {
        self.flows.absorb(epoch, fuel);
    }

    fn close(&mut self, close: &EpochClose, _: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        for (flow, diff) in self.flows.take(close.epoch) {
            let (Some(ratio), Some(current)) = (flow.ratio(), flow.current) else { continue };
            let row = Worst { rank: 0, cell: flow.cell, ratio, current, is_closed: flow.is_closed };
            let place = (ratio, flow.cell);
            if diff > 0 {
                self.cells.insert(place, row)
            } else {
                self.cells.remove(&place)
            };
        }
        let ranked = (1..).zip(self.cells.values().take(RANKS));
        let now: Vec<Worst> = ranked.map(|(rank, row)| Worst { rank, ..*row }).collect();
        let was = std::mem::replace(&mut self.shown, now);
        for rank in 0..was.len().max(self.shown.len()) {
            let (was, is) = (was.get(rank), self.shown.get(rank));
            if was != is {
                out.rows.extend(was.map(|row| (*row, close.epoch, -1)));
                out.rows.extend(is.map(|row| (*row, close.epoch, 1)));
            }
        }
        true
    }

    fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Live, Amount::of::<((u32, u64), Worst)>(self.cells.len(), size_of::<u64>()));
    }
}
