//! `environment_15m`: a cell of resolution 5 in a quarter of an hour.
//!
//! ```text
//! weather -- pipeline (by cell and half hour already) --+-> environment_15m
//! drives --- pipeline (by cell and half hour already) --+
//! ```

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::{
    Block, Columns, Counted, Declaration, Fields, Needs, Resume, Rows, Sealing, Select, Subject, Total, WINDOW_START,
    cell_and_start, cell_key, centre,
};
use crate::city::City;
use crate::held::{Balance, Kind};
use crate::operators::stage::{Inbox, Input, Open, OutputsOf, Stage, conduct};
use crate::operators::weather_join::{Drive, WEATHER_REACH};
use crate::operators::windows::counts::Sum;
use crate::operators::windows::{Aggregate, Windows};
use crate::records::changes::Change;
use crate::records::measures::{UNIT, quantised};
use crate::records::{Measure, Reading, Weather};
use crate::time::bindings::Topic;
use crate::time::closes::EpochClose;
use crate::time::{Epoch, MINUTE, Micros};

/// The table.
pub static TABLE: Declaration = Declaration {
    name: NAME,
    about: ABOUT,
    key: &["h3_5", WINDOW_START],
    time: WINDOW_START,
    columns: || columns().describe(),
    build,
    sealing: Sealing::by_time(LENGTH),
    lookback,
    recovery: None,
    behind,
    key_of: |topic, row| cell_key(row, "h3_5", LENGTH).filter(|_| topic == Topic::GPS || topic == Topic::WEATHER),
    record_columns: &[],
    totals: &[Total {
        column: Some("weather_records"),
        topic: Some(Topic::WEATHER),
        counted: Counted::OnTime,
        but_missed: false,
    }],
    subject: Subject::Nobody,
};

const NAME: &str = "environment_15m";
const LENGTH: Micros = 15 * MINUTE;
/// What governs a ping, and how long.
const GOVERNING: (Topic, Micros) = (Topic::WEATHER, WEATHER_REACH);

const ABOUT: &str = "\
One row a cell and 15 minutes of event time that has a weather record, or a ping with a speed in rain or on a dry road; only
pings with a speed count. Of each measure mean, least and greatest. In rain: the matched weather is Rain, Drizzle or
Thunderstorm, or precipitation is above 0. Dry: it is neither that nor Snow. Pings that met no weather record are in neither.
`lat`, `lon` are the cell's centre.";

/// A cell of resolution 5 in a quarter of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentWindow {
    /// The cell.
    pub c5: u64,
    /// The window's start.
    pub start: Micros,
    /// Weather records.
    pub records: u64,
    /// Mean, least and greatest of each [`Measure`].
    pub measures: [[Reading; 3]; Measure::COUNT],
    /// Pings in rain with a speed, and their mean speed in km/h.
    pub rain: (u64, Reading),
    /// Pings on dry roads with a speed, and their mean speed in km/h.
    pub dry: (u64, Reading),
}

/// The columns.
pub fn columns() -> Columns<EnvironmentWindow> {
    const SILENT: &str = "no weather record has the measure";
    let mut all = Columns::new();
    all.long("h3_5").from(|row: &EnvironmentWindow| row.c5 as i64);
    all.time(WINDOW_START).from(|row| row.start);
    all.place(|row| centre(row.c5));
    all.count("weather_records").from(|row| row.records);
    for measure in Measure::ALL {
        for (index, what) in ["mean", "min", "max"].into_iter().enumerate() {
            all.double(format!("{}_{what}", measure.column()), measure.unit())
                .null_when(SILENT)
                .from(move |row| row.measures[measure as usize][index]);
        }
    }
    all.count("pings_rain").from(|row| row.rain.0);
    all.double("speed_rain_kmh", "km/h").null_when("`pings_rain` is 0").from(|row| row.rain.1);
    all.count("pings_dry").from(|row| row.dry.0);
    all.double("speed_dry_kmh", "km/h").null_when("`pings_dry` is 0").from(|row| row.dry.1);
    all
}

fn build<'scope>(city: &City<'scope>) -> StreamVec<'scope, Epoch, Block> {
    super::block::blocks(NAME, columns(), rows(city))
}

fn lookback(Resume { horizon, .. }: Resume) -> Vec<Needs> {
    Needs::pings(horizon, LENGTH, GOVERNING)
}

fn behind(key: &[&str]) -> Option<Vec<Select>> {
    let (c5, start) = cell_and_start(key)?;
    let here = move |row: &dyn Fields| row.long("h3_5") == Some(c5);
    Some(vec![
        Select::on_time(Topic::WEATHER, start - WEATHER_REACH, start + LENGTH, here),
        Select::on_time(Topic::GPS, start, start + LENGTH, here),
    ])
}

/// Its rows; see the module.
pub fn rows<'scope>(city: &City<'scope>) -> Rows<'scope, EnvironmentWindow> {
    let mut builder = OperatorBuilder::new(NAME.to_owned(), city.closes.scope());
    let weather = Inbox::new(&mut builder, city.weather.clone(), Pipeline);
    let drives = Inbox::new(&mut builder, city.drives.clone(), Pipeline);
    conduct(builder, city.closes.clone(), EnvironmentStage { weather, drives, windows: Windows::new(LENGTH) }).into()
}

struct EnvironmentStage {
    weather: Inbox<Weather>,
    drives: Inbox<Drive>,
    windows: Windows<Cell>,
}

impl Stage for EnvironmentStage {
    const NAME: &'static str = NAME;
    type Row = Change<EnvironmentWindow>;
    type Side = ();
    type Sealed = EnvironmentWindow;

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.weather, &mut self.drives]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut OutputsOf<Self>) {
        for record in self.weather.take(epoch, fuel) {
            self.windows.at(record.stamp.time, record.c5).add_record(&record);
        }
        for drive in self.drives.take(epoch, fuel) {
            let cell = self.windows.at(drive.time, drive.c5);
            let side = if drive.rain { &mut cell.rain } else { &mut cell.dry };
            side.add(drive.speed, drive.diff.into());
        }
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut OutputsOf<Self>) -> bool {
        self.windows.close(close, fuel, out)
    }

    fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Windows, self.windows.held());
    }
}

/// What a cell has. Weather is never taken back: its extremes need no counts.
#[derive(Default)]
struct Cell {
    records: u64,
    measures: [Extent; Measure::COUNT],
    rain: Sum,
    dry: Sum,
}

#[derive(Clone, Copy, Default)]
struct Extent {
    sum: Sum,
    range: Option<(i64, i64)>,
}

impl Extent {
    fn add(&mut self, value: f64) {
        let value = quantised(value);
        self.sum.add(value, 1);
        self.range = Some(self.range.map_or((value, value), |(min, max)| (min.min(value), max.max(value))));
    }

    fn readings(&self) -> [Reading; 3] {
        let unit = |value: i64| value as f64 / UNIT;
        let end = |pick: fn((i64, i64)) -> i64| Reading::from(self.range.map(pick).map(unit));
        [self.sum.mean(), end(|range| range.0), end(|range| range.1)]
    }
}

impl Cell {
    fn add_record(&mut self, record: &Weather) {
        self.records += 1;
        for (extent, value) in self.measures.iter_mut().zip(record.measures) {
            value.get().into_iter().for_each(|value| extent.add(value));
        }
    }
}

impl Aggregate for Cell {
    type Key = u64;
    type Row = EnvironmentWindow;

    fn row(&self, c5: u64, start: Micros) -> Option<EnvironmentWindow> {
        (self.records + self.rain.count + self.dry.count > 0).then(|| EnvironmentWindow {
            c5,
            start,
            records: self.records,
            measures: self.measures.map(|extent| extent.readings()),
            rain: (self.rain.count, self.rain.mean()),
            dry: (self.dry.count, self.dry.mean()),
        })
    }
}
