//! environment_15m: a cell of resolution 5 in a quarter of an hour.
//!
//! ```text
//! weather --------- by cell --------------------+-> environment_15m
//! enriched pings -- what they say -- by cell ---+
//! ```

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Map;

use super::counts::Sum;
use super::{Aggregate, Windows};
use crate::changes::{Change, EnrichedPing, EnvironmentWindow};
use crate::hash::spread;
use crate::measures::{UNIT, quantised};
use crate::records::{Measure, Reading, Weather};
use crate::stage::{Inbox, Input, Open, Outputs, Stage, conduct};
use crate::time::{Epoch, MINUTE, Micros};
use crate::turns::Turn;

/// The changes of environment_15m; see the module.
pub fn environment<'scope>(
    turns: StreamVec<'scope, Epoch, Turn>,
    weather: StreamVec<'scope, Epoch, Weather>,
    pings: StreamVec<'scope, Epoch, Change<EnrichedPing>>,
) -> StreamVec<'scope, Epoch, Change<EnvironmentWindow>> {
    let mut builder = OperatorBuilder::new("environment_15m".to_owned(), turns.scope());
    let weather = Inbox::new(&mut builder, weather, Exchange::new(|w: &Weather| spread(w.c5)));
    let drives = pings.flat_map(|change| Drive::of(&change));
    let drives = Inbox::new(&mut builder, drives, Exchange::new(|d: &Drive| spread(d.c5)));
    conduct(builder, turns, EnvironmentStage { weather, drives, windows: Windows::new(15 * MINUTE) }).0
}

/// A ping with a speed that is known to have been in rain or on a dry road.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Drive {
    c5: u64,
    time: Micros,
    speed: i64,
    rain: bool,
    diff: i8,
}

impl Drive {
    fn of(Change { row, diff }: &Change<EnrichedPing>) -> Option<Drive> {
        let speed = quantised(row.ping.speed.get()?);
        let rain = row.weather.as_ref()?.rain?;
        Some(Drive { c5: row.ping.c5, time: row.ping.stamp.time, speed, rain, diff: *diff })
    }
}

struct EnvironmentStage {
    weather: Inbox<Weather>,
    drives: Inbox<Drive>,
    windows: Windows<Cell>,
}

impl Stage for EnvironmentStage {
    type Row = Change<EnvironmentWindow>;
    type Side = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.weather, &mut self.drives]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize) {
        for record in self.weather.take(epoch, fuel) {
            self.windows.at(record.stamp.time, record.c5).add_record(&record);
        }
        for drive in self.drives.take(epoch, fuel) {
            let cell = self.windows.at(drive.time, drive.c5);
            let side = if drive.rain { &mut cell.rain } else { &mut cell.dry };
            side.add(drive.speed, drive.diff.into());
        }
    }

    fn close(&mut self, turn: &Turn, fuel: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        self.windows.close(turn, fuel, &mut out.rows)
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
