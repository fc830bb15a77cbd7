//! `traffic_5m`: a cell of resolution 8 in five minutes.
//!
//! ```text
//! enriched pings -- pipeline (by cell already) --+-> traffic_5m
//! traffic --------- pipeline (by cell already) --+
//! ```

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::{
    Block, Columns, Counted, Declaration, Needs, Resume, Rows, Sealing, Select, Subject, Total, WINDOW_START,
    behind_pings, cell_key, centre,
};
use crate::city::City;
use crate::held::{Balance, Kind};
use crate::operators::enrich::TRAFFIC_REACH;
use crate::operators::stage::{Inbox, Input, Open, OutputsOf, Stage, conduct};
use crate::operators::windows::counts::{Counts, Distinct, Sum};
use crate::operators::windows::{Aggregate, Windows};
use crate::records::changes::{Change, EnrichedPing};
use crate::records::measures::{UNIT, quantised};
use crate::records::{Level, Reading, Source, Traffic};
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
    key_of: |topic, row| cell_key(row, "h3_8", LENGTH).filter(|_| topic == Topic::GPS || topic == Topic::TRAFFIC),
    record_columns: &[],
    totals: &[
        Total { column: Some("pings"), topic: Some(Topic::GPS), counted: Counted::OnTime, but_missed: false },
        Total {
            column: Some("traffic_records"),
            topic: Some(Topic::TRAFFIC),
            counted: Counted::OnTime,
            but_missed: false,
        },
    ],
    subject: Subject::Counted("vehicles"),
};

const NAME: &str = "traffic_5m";
const LENGTH: Micros = 5 * MINUTE;
/// What governs a ping, and how long.
const GOVERNING: (Topic, Micros) = (Topic::TRAFFIC, TRAFFIC_REACH);

const ABOUT: &str = "\
One row a cell and 5 minutes of event time that has a ping or a traffic record. From the enriched pings: how many, distinct
vehicles, how many met a traffic record, mean speed, harmonic mean speed (of the n >= 1 km/h: n * 10^6 / sum(round(10^6 /
speed))), percentiles of whole km/h (nearest rank), mean and least `speed_ratio`, congested pings. From the traffic records:
how many, with a closed road, by level and by source. `lat`, `lon` are the cell's centre.";

/// A cell of resolution 8 in five minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrafficWindow {
    /// The cell.
    pub c8: u64,
    /// The window's start.
    pub start: Micros,
    /// Pings.
    pub pings: u64,
    /// Distinct vehicles.
    pub vehicles: u64,
    /// Pings with a traffic record.
    pub with_traffic: u64,
    /// km/h.
    pub speed_mean: Reading,
    /// km/h, of pings of at least 1 km/h.
    pub speed_harmonic: Reading,
    /// Percentiles 50, 85 and 95 of whole km/h.
    pub speed_percentiles: Option<[i32; 3]>,
    /// Mean of the pings' speed ratios.
    pub ratio_mean: Reading,
    /// Least of them.
    pub ratio_min: Reading,
    /// Pings with a ratio below 0.9.
    pub congested: u64,
    /// Traffic records.
    pub records: u64,
    /// With a closed road.
    pub closures: u64,
    /// By [`Level`].
    pub levels: [u64; 3],
    /// By [`Source`].
    pub sources: [u64; 3],
}

/// The columns.
pub fn columns() -> Columns<TrafficWindow> {
    let mut all = Columns::new();
    all.long("h3_8").from(|row: &TrafficWindow| row.c8 as i64);
    all.time(WINDOW_START).from(|row| row.start);
    all.place(|row| centre(row.c8));
    all.count("pings").from(|row| row.pings);
    all.count("vehicles").from(|row| row.vehicles);
    all.count("pings_with_traffic").from(|row| row.with_traffic);
    speeds(&mut all);
    all.count("congested_pings").from(|row| row.congested);
    all.count("traffic_records").from(|row| row.records);
    all.count("closures").from(|row| row.closures);
    for level in Level::ALL {
        all.count(level.word().to_lowercase()).from(move |row| row.levels[level as usize]);
    }
    for source in Source::ALL {
        all.count(source.word()).from(move |row| row.sources[source as usize]);
    }
    all
}

fn speeds(all: &mut Columns<TrafficWindow>) {
    const SILENT: &str = "no ping has a speed";
    const STILL: &str = "no ping has a speed of at least 1 km/h";
    const NO_RATIO: &str = "no ping has a speed ratio";
    all.double("speed_mean_kmh", "km/h").null_when(SILENT).from(|row| row.speed_mean);
    all.double("speed_harmonic_kmh", "km/h").null_when(STILL).from(|row| row.speed_harmonic);
    for (index, percent) in PERCENTS.into_iter().enumerate() {
        let name = format!("speed_p{percent}_kmh");
        all.int(name, "km/h").null_when(SILENT).from(move |row| row.speed_percentiles.map(|all| all[index]));
    }
    all.double("speed_ratio_mean", "").null_when(NO_RATIO).from(|row| row.ratio_mean);
    all.double("speed_ratio_min", "").null_when(NO_RATIO).from(|row| row.ratio_min);
}

/// The percentiles of speeds.
const PERCENTS: [u64; 3] = [50, 85, 95];

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
pub fn rows<'scope>(city: &City<'scope>) -> Rows<'scope, TrafficWindow> {
    let mut builder = OperatorBuilder::new(NAME.to_owned(), city.closes.scope());
    let pings = Inbox::new(&mut builder, city.enriched.clone(), Pipeline);
    let traffic = Inbox::new(&mut builder, city.traffic.clone(), Pipeline);
    conduct(builder, city.closes.clone(), TrafficStage { pings, traffic, windows: Windows::new(LENGTH) }).into()
}

struct TrafficStage {
    pings: Inbox<Change<EnrichedPing>>,
    traffic: Inbox<Traffic>,
    windows: Windows<Cell>,
}

impl Stage for TrafficStage {
    const NAME: &'static str = NAME;
    type Row = Change<TrafficWindow>;
    type Side = ();
    type Sealed = TrafficWindow;

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.pings, &mut self.traffic]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut OutputsOf<Self>) {
        for Change { row, diff } in self.pings.take(epoch, fuel) {
            self.windows.at(row.ping.stamp.time, row.ping.c8).add_ping(&row, diff.into());
        }
        for record in self.traffic.take(epoch, fuel) {
            self.windows.at(record.stamp.time, record.c8).add_record(&record);
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
        self.vehicles.add(row.ping.vehicle, diff);
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
            vehicles: self.vehicles.count(),
            with_traffic: self.with_traffic,
            speed_mean: self.speed.mean(),
            speed_harmonic: self.slowness.inverse_mean(),
            speed_percentiles: self.whole_speeds.percentiles(PERCENTS),
            ratio_mean: self.ratio.mean(),
            ratio_min: Reading::from(least),
            congested: self.congested,
            records: self.records,
            closures: self.closures,
            levels: self.levels,
            sources: self.sources,
        })
    }

    fn beside(&self) -> usize {
        self.vehicles.bytes() + self.whole_speeds.bytes() + self.ratios.bytes()
    }
}
