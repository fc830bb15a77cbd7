//! traffic_5m: a cell of resolution 8 in five minutes.
//!
//! ```text
//! enriched pings -- pipeline (by cell already) --+-> traffic_5m
//! traffic --------- pipeline (by cell already) --+
//! ```

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::counts::{Counts, Sum};
use super::{Aggregate, Windows};
use crate::changes::{Change, EnrichedPing, TrafficWindow};
use crate::hash::IdMap;
use crate::measures::{UNIT, quantised};
use crate::records::{Reading, Text, Traffic};
use crate::stage::{Inbox, Input, Open, Outputs, Stage, conduct};
use crate::time::{Epoch, MINUTE, Micros};
use crate::turns::Turn;

/// The changes of traffic_5m; see the module.
pub fn traffic<'scope>(
    turns: StreamVec<'scope, Epoch, Turn>,
    pings: StreamVec<'scope, Epoch, Change<EnrichedPing>>,
    traffic: StreamVec<'scope, Epoch, Traffic>,
) -> StreamVec<'scope, Epoch, Change<TrafficWindow>> {
    let mut builder = OperatorBuilder::new("traffic_5m".to_owned(), turns.scope());
    let pings = Inbox::new(&mut builder, pings, Pipeline);
    let traffic = Inbox::new(&mut builder, traffic, Pipeline);
    conduct(builder, turns, TrafficStage { pings, traffic, windows: Windows::new(5 * MINUTE) }).0
}

struct TrafficStage {
    pings: Inbox<Change<EnrichedPing>>,
    traffic: Inbox<Traffic>,
    windows: Windows<Cell>,
}

impl Stage for TrafficStage {
    type Row = Change<TrafficWindow>;
    type Side = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.pings, &mut self.traffic]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize) {
        for Change { row, diff } in self.pings.take(epoch, fuel) {
            self.windows.at(row.ping.stamp.time, row.ping.c8).add_ping(&row, diff.into());
        }
        for record in self.traffic.take(epoch, fuel) {
            self.windows.at(record.stamp.time, record.c8).add_record(&record);
        }
    }

    fn close(&mut self, turn: &Turn, fuel: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        self.windows.close(turn, fuel, &mut out.rows)
    }
}

/// What a cell has.
#[derive(Default)]
struct Cell {
    pings: u64,
    vehicles: IdMap<Text, u32>,
    with_traffic: u64,
    speed: Sum,
    slowness: Sum,
    whole_speeds: Counts<i32>,
    ratio: Sum,
    ratios: Counts<i64>,
    congested: u64,
    records: u64,
    closures: u64,
    levels: [u64; 3],
    sources: [u64; 3],
}

impl Cell {
    fn add_ping(&mut self, row: &EnrichedPing, diff: i64) {
        self.pings = self.pings.wrapping_add_signed(diff);
        let pings = self.vehicles.entry(row.ping.vehicle).or_default();
        *pings = pings.wrapping_add_signed(diff as i32);
        if *pings == 0 {
            self.vehicles.remove(&row.ping.vehicle);
        }
        if let Some(speed) = row.ping.speed.get() {
            self.speed.add(quantised(speed), diff);
            self.whole_speeds.add(speed.floor() as i32, diff);
            if speed >= 1.0 {
                self.slowness.add(quantised(1.0 / speed), diff);
            }
        }
        let Some(traffic) = &row.traffic else { return };
        self.with_traffic = self.with_traffic.wrapping_add_signed(diff);
        if let Some(ratio) = traffic.speed_ratio() {
            self.ratio.add(quantised(ratio), diff);
            self.ratios.add(quantised(ratio), diff);
        }
        if traffic.is_congested() == Some(true) {
            self.congested = self.congested.wrapping_add_signed(diff);
        }
    }

    fn add_record(&mut self, record: &Traffic) {
        self.records += 1;
        self.closures += u64::from(record.closure == Some(true));
        if let Some(level) = record.level {
            self.levels[level as usize] += 1;
        }
        if let Some(source) = record.source {
            self.sources[source as usize] += 1;
        }
    }
}

impl Aggregate for Cell {
    type Key = u64;
    type Row = TrafficWindow;

    fn row(&self, c8: u64, start: Micros) -> Option<TrafficWindow> {
        let least = self.ratios.min().map(|ratio| ratio as f64 / UNIT);
        (self.pings + self.records > 0).then(|| TrafficWindow {
            c8,
            start,
            pings: self.pings,
            vehicles: self.vehicles.len() as u64,
            with_traffic: self.with_traffic,
            speed_mean: self.speed.mean(),
            speed_harmonic: self.slowness.inverse_mean(),
            speed_percentiles: self.whole_speeds.percentiles([50, 85, 95]),
            ratio_mean: self.ratio.mean(),
            ratio_min: Reading::from(least),
            congested: self.congested,
            records: self.records,
            closures: self.closures,
            levels: self.levels,
            sources: self.sources,
        })
    }
}
