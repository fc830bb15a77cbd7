//! `congestion_1h`: how congested a cell of resolution 8 was in an hour.
//!
//! ```text
//! enriched pings -- pipeline (by cell already) --> congestion_1h
//! ```

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::{
    Block, Columns, Declaration, Needs, Resume, Rows, Sealing, Select, Subject, WINDOW_START, behind_pings, cell_key,
    centre,
};
use crate::city::City;
use crate::held::{Balance, Kind};
use crate::operators::enrich::TRAFFIC_REACH;
use crate::operators::stage::{Inbox, Input, Open, OutputsOf, Stage, conduct};
use crate::operators::windows::counts::{Counts, Distinct, Sum};
use crate::operators::windows::{Aggregate, Windows};
use crate::records::changes::{Change, EnrichedPing, TrafficMatch};
use crate::records::measures::quantised;
use crate::time::bindings::Topic;
use crate::time::closes::EpochClose;
use crate::time::{Epoch, MINUTE, Micros};

/// The table.
pub static TABLE: Declaration = Declaration {
    name: NAME,
    about: ABOUT,
    key: &["h3_8", WINDOW_START],
    time: WINDOW_START,
    columns: || columns().describe(),
    build,
    sealing: Sealing::by_time(LENGTH),
    lookback,
    recovery: None,
    behind,
    key_of: |topic, row| cell_key(row, "h3_8", LENGTH).filter(|_| topic == Topic::GPS),
    record_columns: &[],
    totals: &[],
    subject: Subject::Counted("vehicles"),
};

const NAME: &str = "congestion_1h";
const LENGTH: Micros = 60 * MINUTE;
/// What governs a ping, and how long.
const GOVERNING: (Topic, Micros) = (Topic::TRAFFIC, TRAFFIC_REACH);
/// The greatest index: one vehicle that hardly moves is not to outweigh all others.
const GREATEST: f64 = 100.0;

const ABOUT: &str = "\
One row a cell and hour of event time (UTC) that has an enriched ping with a speed ratio: how many, distinct vehicles, and how
many are congested (a ratio below 0.9). The travel time index of a ping is the lesser of 100 and free flow over current speed
of its traffic record, where that is above 0; a ping whose record stands still counts in `pings` and has no index. Its mean,
its 80th percentile, and its 95th, the planning time index; percentiles are nearest ranks of indices rounded down to
hundredths. The buffer index is (planning time index - mean) / mean. All of it is within the hour and weighted by pings: it is
not FHWA's index, which compares one time of day over many days. `lat`, `lon` are the cell's centre.";

/// A cell of resolution 8 in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CongestionWindow {
    /// The cell.
    pub c8: u64,
    /// The window's start.
    pub start: Micros,
    /// Pings with a speed ratio.
    pub pings: u64,
    /// Distinct vehicles.
    pub vehicles: u64,
    /// The travel time index; `None` if no ping has one.
    pub index: Option<Index>,
    /// Pings with a ratio below 0.9.
    pub congested: u64,
}

/// Travel times over those of free flow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Their mean.
    pub mean: f64,
    /// Percentiles 80 and 95.
    pub percentiles: [f64; 2],
}

impl Index {
    /// How much longer than the mean a journey may take: (p95 - mean) / mean.
    pub fn buffer(&self) -> f64 {
        (self.percentiles[1] - self.mean) / self.mean
    }
}

/// The columns.
pub fn columns() -> Columns<CongestionWindow> {
    const STILL: &str = "no ping's traffic record has a current speed above 0";
    let mut all = Columns::new();
    all.long("h3_8").from(|row: &CongestionWindow| row.c8 as i64);
    all.time(WINDOW_START).from(|row| row.start);
    all.place(|row| centre(row.c8));
    all.count("pings").from(|row| row.pings);
    all.count("vehicles").from(|row| row.vehicles);
    all.double("travel_time_index_mean", "").null_when(STILL).from(|row| row.index.map(|index| index.mean));
    all.double("travel_time_index_p80", "").null_when(STILL).from(|row| row.index.map(|index| index.percentiles[0]));
    all.double("planning_time_index", "").null_when(STILL).from(|row| row.index.map(|index| index.percentiles[1]));
    all.double("buffer_index", "").null_when(STILL).from(|row| row.index.map(|index| index.buffer()));
    all.count("congested_pings").from(|row| row.congested);
    all.double("congested_share", "").from(|row| row.congested as f64 / row.pings as f64);
    all
}

fn build<'scope>(city: &City<'scope>) -> StreamVec<'scope, Epoch, Block> {
    super::block::blocks(NAME, columns(), rows(city))
}

fn lookback(Resume { horizon, .. }: Resume) -> Vec<Needs> {
    Needs::pings(horizon, LENGTH, GOVERNING)
}

fn behind(key: &[&str]) -> Option<Vec<Select>> {
    behind_pings(key, "h3_8", LENGTH, GOVERNING)
}

/// Its rows; see the module.
pub fn rows<'scope>(city: &City<'scope>) -> Rows<'scope, CongestionWindow> {
    let mut builder = OperatorBuilder::new(NAME.to_owned(), city.closes.scope());
    let pings = Inbox::new(&mut builder, city.enriched.clone(), Pipeline);
    conduct(builder, city.closes.clone(), CongestionStage { pings, windows: Windows::new(LENGTH) }).into()
}

struct CongestionStage {
    pings: Inbox<Change<EnrichedPing>>,
    windows: Windows<Cell>,
}

impl Stage for CongestionStage {
    const NAME: &'static str = NAME;
    type Row = Change<CongestionWindow>;
    type Side = ();
    type Sealed = CongestionWindow;

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.pings]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut OutputsOf<Self>) {
        for Change { row, diff } in self.pings.take(epoch, fuel) {
            if let Some(traffic) = row.traffic.filter(|traffic| traffic.speed_ratio().is_some()) {
                self.windows.at(row.ping.stamp.time, row.ping.c8).add(&row, &traffic, diff.into());
            }
        }
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut OutputsOf<Self>) -> bool {
        self.windows.close(close, fuel, out)
    }

    fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Windows, self.windows.held());
    }
}

/// What a cell has.
#[derive(Default)]
struct Cell {
    pings: u64,
    vehicles: Distinct,
    index: Sum,
    hundredths: Counts<i32>,
    congested: u64,
}

impl Cell {
    fn add(&mut self, row: &EnrichedPing, traffic: &TrafficMatch, diff: i64) {
        self.pings = self.pings.wrapping_add_signed(diff);
        self.vehicles.add(row.ping.vehicle, diff);
        if let Some(index) = traffic.travel_time_index().map(|index| index.min(GREATEST)) {
            self.index.add(quantised(index), diff);
            self.hundredths.add((100.0 * index).floor() as i32, diff);
        }
        if traffic.is_congested() == Some(true) {
            self.congested = self.congested.wrapping_add_signed(diff);
        }
    }
}

impl Aggregate for Cell {
    type Key = u64;
    type Row = CongestionWindow;

    fn row(&self, c8: u64, start: Micros) -> Option<CongestionWindow> {
        let percentiles = self.hundredths.percentiles([80, 95]).map(|all| all.map(|value| f64::from(value) / 100.0));
        let index = self.index.mean().get().zip(percentiles).map(|(mean, percentiles)| Index { mean, percentiles });
        (self.pings > 0).then(|| CongestionWindow {
            c8,
            start,
            pings: self.pings,
            vehicles: self.vehicles.count(),
            index,
            congested: self.congested,
        })
    }

    fn beside(&self) -> usize {
        self.vehicles.bytes() + self.hundredths.bytes()
    }
}
