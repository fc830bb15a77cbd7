//! Pings with the weather of their time and region, a cell of resolution 5.
//!
//! ```text
//! pings ---- by region and half hour --------------------------+
//! weather -- by region and half hour --------------------------+-> weather_join -> joined: by cell, to who enriches
//!        \-- the latest of a batch, to the next half hour -----+               \-> drives: stay with their region
//! ```
//!
//! Each region and half hour of event time has a home, one of the workers, where all weather is that can govern its pings.
//! A record counts for half an hour, so it governs pings of its own half hour and of the next one: there are two copies of
//! it at most, whatever the number of workers. Pings wait for the weather of their epoch, and are sent on with what governs
//! them. Of the records that can govern a ping the one with the greatest stamp does: one that comes later can only take the
//! place of a lesser one, so whoever is told of it needs to know no order.

mod state;

use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::{Concat, Exchange as _};

use crate::held::Balance;
use crate::operators::stage::{Closes, Emitted, Inbox, Input, Open, Outputs, Stage, conduct};
use crate::records::hash::{IdMap, spread};
use crate::records::measures::quantised;
use crate::records::{Measure, Ping, Point, Reading, Sky, Source, Stamp, TextId, Weather};
use crate::time::closes::EpochClose;
use crate::time::{Epoch, MINUTE, Micros, window};
use state::State;

/// How long a weather record counts.
pub const WEATHER_REACH: Micros = 30 * MINUTE;

/// What the row of a ping shows of the weather record that governs it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The record.
    pub stamp: Stamp,
    /// Where it was.
    pub at: Point,
    /// The condition's word.
    pub condition: TextId,
    /// mm.
    pub precipitation: Reading,
    /// What falls.
    pub sky: Sky,
    /// Whether it is rain; `None` for neither rain nor dry.
    pub rain: Option<bool>,
    /// Where the record came from.
    pub source: Option<Source>,
}

impl From<&Weather> for Observation {
    fn from(record: &Weather) -> Observation {
        Observation {
            stamp: record.stamp,
            at: record.at,
            condition: record.condition,
            precipitation: record.measures[Measure::Precipitation as usize],
            sky: record.sky,
            rain: record.is_rain(),
            source: record.source,
        }
    }
}

/// What is told to the owner of a cell of resolution 8.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Joined {
    /// A ping, and what governs it.
    Ping(Ping, Option<Observation>),
    /// A record that came after pings that it governs.
    Late(Late),
}

const _: () = assert!(size_of::<Joined>() <= 160);

/// A weather record governs the pings of a cell and region at `from..until`, but for those that a greater stamp governs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Late {
    /// The cell.
    pub c8: u64,
    /// The region.
    pub c5: u64,
    /// The first time.
    pub from: Micros,
    /// The first time after.
    pub until: Micros,
    /// The record.
    pub weather: Observation,
}

impl Joined {
    /// Brings it to the owner of its cell.
    pub fn spread(&self) -> u64 {
        spread(match self {
            Joined::Ping(ping, _) => ping.c8,
            Joined::Late(late) => late.c8,
        })
    }
}

/// A ping with a speed that is known to have been in rain or on a dry road; it may be taken back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drive {
    /// The region.
    pub c5: u64,
    /// When.
    pub time: Micros,
    /// Its speed in km/h, quantised.
    pub speed: i64,
    /// Whether in rain.
    pub rain: bool,
    /// +1 or -1.
    pub diff: i8,
}

impl Drive {
    fn of((c5, time, speed): (u64, Micros, Reading), weather: Option<&Observation>, diff: i8) -> Option<Drive> {
        let (speed, rain) = (speed.get()?, weather?.rain?);
        Some(Drive { c5, time, speed: quantised(speed), rain, diff })
    }
}

/// Where what is of a region and half hour meets.
fn home(c5: u64, time: Micros) -> u64 {
    spread(spread(c5) ^ window(time, WEATHER_REACH) as u64)
}

/// Weather records where they govern pings.
pub struct AtHome<'scope> {
    /// Each once, at the home of its half hour.
    pub own: StreamVec<'scope, Epoch, Weather>,
    /// Those that may govern pings of the next half hour, at its home where that is another worker.
    pub next: StreamVec<'scope, Epoch, Weather>,
}

/// Brings weather records to where they govern pings.
pub fn at_home(weather: StreamVec<'_, Epoch, Weather>) -> AtHome<'_> {
    let own = weather.clone().exchange(|record| home(record.c5, record.stamp.time));
    let next = latest(weather).exchange(|record| home(record.c5, record.stamp.time + WEATHER_REACH));
    AtHome { own, next }
}

/// The latest record of each region and half hour in a batch, where the next half hour has its home elsewhere: all others
/// of the batch are before it, so they govern no ping of that.
fn latest(weather: StreamVec<'_, Epoch, Weather>) -> StreamVec<'_, Epoch, Weather> {
    let peers = weather.scope().peers() as u64;
    let moves = move |record: &Weather| {
        let (c5, time) = (record.c5, record.stamp.time);
        home(c5, time) % peers != home(c5, time + WEATHER_REACH) % peers
    };
    weather.unary::<CapacityContainerBuilder<Vec<Weather>>, _, _, _>(Pipeline, "latest weather", move |_, _| {
        let mut latest: IdMap<(u64, Micros), Weather> = IdMap::default();
        move |input, output| {
            input.for_each(|time, batch| {
                for record in batch.drain(..).filter(moves) {
                    let held = latest.entry((record.c5, window(record.stamp.time, WEATHER_REACH))).or_insert(record);
                    if held.stamp < record.stamp {
                        *held = record;
                    }
                }
                output.session(&time).give_iterator(latest.drain().map(|(_, record)| record));
            });
        }
    })
}

/// What becomes of pings; see the module.
pub fn weather_join<'scope>(
    closes: Closes<'scope>,
    pings: StreamVec<'scope, Epoch, Ping>,
    AtHome { own, next }: AtHome<'scope>,
) -> (StreamVec<'scope, Epoch, Joined>, StreamVec<'scope, Epoch, Drive>) {
    let mut builder = OperatorBuilder::new(WeatherJoin::NAME.to_owned(), closes.scope());
    let stage = WeatherJoin {
        pings: Inbox::new(&mut builder, pings, Exchange::new(|p: &Ping| home(p.c5, p.stamp.time))),
        weather: Inbox::new(&mut builder, own.concat(next), Pipeline),
        state: State::default(),
    };
    let Emitted { rows, side, .. } = conduct(builder, closes, stage);
    (rows, side)
}

struct WeatherJoin {
    pings: Inbox<Ping>,
    weather: Inbox<Weather>,
    state: State,
}

impl Stage for WeatherJoin {
    const NAME: &'static str = "weather_join";
    type Row = Joined;
    type Side = Drive;
    type Sealed = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.pings, &mut self.weather]
    }

    /// Pings wait for the weather of their epoch: a match is cheaper than a correction.
    fn absorb(&mut self, Open { epoch, is_complete }: Open, fuel: &mut usize, out: &mut Outputs<Joined, Drive>) {
        self.state.correct(fuel, out);
        self.state.learn_weather(self.weather.take(epoch, fuel));
        self.state.correct(fuel, out);
        if is_complete {
            self.state.learn_pings(&self.pings.take(epoch, fuel), out);
        }
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut Outputs<Joined, Drive>) -> bool {
        self.state.correct(fuel, out);
        self.state.close(close)
    }

    fn tell(&self, balance: &mut Balance) {
        self.state.tell(balance);
    }
}
