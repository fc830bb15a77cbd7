//! What each cell is like: its vehicles summed, beside its traffic. Sums are of integers, and what leaves is taken back.
//!
//! When an epoch closes, at most one -1 and one +1 leave for a cell that was touched.

use citystream_dataflows::held::{Amount, Balance, Kind};
use citystream_dataflows::operators::stage::{Closes, Input, Open, Outputs, Stage, conduct};
use citystream_dataflows::records::hash::{IdMap, spread};
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::closes::EpochClose;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::rows::{Cell, Crowd, Flow, Vehicle};
use crate::updates::{Update, Updates};

/// The cells that have vehicles or traffic.
pub fn cells<'scope>(
    closes: Closes<'scope>,
    vehicles: StreamVec<'scope, Epoch, Update<Vehicle>>,
    flows: StreamVec<'scope, Epoch, Update<Flow>>,
) -> StreamVec<'scope, Epoch, Update<Cell>> {
    let mut builder = OperatorBuilder::new("cells".to_owned(), closes.scope());
    let by_cell = Exchange::new(|(row, ..): &Update<Vehicle>| spread(row.cell));
    let vehicles = Updates::new(&mut builder, vehicles, by_cell);
    let flows = Updates::new(&mut builder, flows, Exchange::new(|(row, ..): &Update<Flow>| spread(row.cell)));
    let stage = Cells { vehicles, flows, held: IdMap::default(), touched: Vec::new() };
    conduct(builder, closes, stage).rows
}

struct Cells {
    vehicles: Updates<Vehicle>,
    flows: Updates<Flow>,
    held: IdMap<u64, Held>,
    /// Cells of which the row may change at this close.
    touched: Vec<u64>,
}

/// What is held of a cell.
#[derive(Default)]
struct Held {
    now: (Crowd, Option<Flow>),
    shown: Option<Cell>,
    is_touched: bool,
}

impl Cells {
    fn touch(&mut self, cell: u64) -> &mut (Crowd, Option<Flow>) {
        let held = self.held.entry(cell).or_default();
        if !std::mem::replace(&mut held.is_touched, true) {
            self.touched.push(cell);
        }
        &mut held.now
    }

    /// Takes in what an epoch has changed.
    fn take(&mut self, epoch: Epoch) {
        for (row, diff) in self.vehicles.take(epoch) {
            let (crowd, _) = self.touch(row.cell);
            crowd.vehicles = crowd.vehicles.wrapping_add_signed(diff as i64);
            crowd.measured = crowd.measured.wrapping_add_signed(diff as i64 * i64::from(row.speed.is_some()));
            crowd.speed += diff as i64 * row.speed.unwrap_or(0);
        }
        for (row, diff) in self.flows.take(epoch) {
            self.touch(row.cell).1 = (diff > 0).then_some(row);
        }
    }
}

impl Stage for Cells {
    const NAME: &'static str = "cells";
    type Row = Update<Cell>;
    type Side = ();
    type Sealed = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![self.vehicles.input(), self.flows.input()]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut Outputs<Self::Row, ()>) {
        self.vehicles.absorb(epoch, fuel);
        self.flows.absorb(epoch, fuel);
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        self.take(close.epoch);
        while *fuel > 0 {
            let Some(cell) = self.touched.pop() else { return true };
            let Some(held) = self.held.get_mut(&cell) else { continue };
            held.is_touched = false;
            let (crowd, flow) = held.now;
            let now = (crowd.vehicles > 0 || flow.is_some()).then_some(Cell { cell, crowd, flow });
            let was = std::mem::replace(&mut held.shown, now);
            if was != now {
                out.rows.extend(was.map(|row| (row, close.epoch, -1)));
                out.rows.extend(now.map(|row| (row, close.epoch, 1)));
                *fuel -= 1;
            }
            if now.is_none() {
                self.held.remove(&cell);
            }
        }
        self.touched.is_empty()
    }

    fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Live, Amount::in_map::<(u64, Held)>(self.held.len()));
    }
}
