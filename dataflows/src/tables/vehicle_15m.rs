//! `vehicle_15m`: a vehicle in a quarter of an hour.
//!
//! ```text
//! pings ------------ by vehicle --+-> vehicle_15m
//! vehicle records -- by vehicle --+
//! ```
//!
//! A record that comes between two others takes back what the two had between them and adds what each has with it.

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::{
    Block, Columns, Counted, Declaration, Fields, Needs, Resume, Rows, Sealing, Select, Subject, Total, WINDOW_START,
    window,
};
use crate::city::City;
use crate::held::{Amount, Balance, Kind};
use crate::operators::stage::{Inbox, Input, Open, OutputsOf, Stage, conduct};
use crate::operators::timeline::{Stamped, Timeline};
use crate::operators::windows::{Aggregate, Windows};
use crate::records::changes::Change;
use crate::records::hash::IdMap;
use crate::records::measures::{distance_mm, quantised};
use crate::records::{Ping, Point, Reading, Stamp, TextId, VehicleRecord};
use crate::time::bindings::Topic;
use crate::time::closes::{CloseKind, EpochClose};
use crate::time::every::Every;
use crate::time::{Epoch, MINUTE, Micros};

/// The table.
pub static TABLE: Declaration = Declaration {
    name: NAME,
    about: ABOUT,
    key: &["vehicle_id", WINDOW_START],
    time: WINDOW_START,
    columns: || columns().describe(),
    build,
    sealing: Sealing::by_time(LENGTH),
    lookback,
    recovery: None,
    behind,
    key_of,
    record_columns: &[],
    totals: &[
        Total { column: Some("pings"), topic: Some(Topic::GPS), counted: Counted::OnTime, but_missed: false },
        Total {
            column: Some("vehicle_records"),
            topic: Some(Topic::VEHICLE),
            counted: Counted::OnTime,
            but_missed: false,
        },
    ],
    subject: Subject::Named("vehicle_id"),
};

const NAME: &str = "vehicle_15m";
const LENGTH: Micros = 15 * MINUTE;
/// How far apart two records may be to have something between them.
const STEP: Micros = 5 * MINUTE;
/// The longest step that shows a harsh acceleration.
const SHORT: Micros = 3_000_000;

const ABOUT: &str = "\
One row a vehicle and 15 minutes of event time that has a ping or a vehicle record. A step joins a ping to the one before it
(by event time, partition, offset) if 0 < dt <= 5 min, and belongs to the later one's window; a ping whose immediate
predecessor is at the same time or further back has no step, whatever came before that. Distance: haversine over steps, those
above 250 km/h not counted. Moving: time of steps whose later speed is >= 5 km/h; idle: of the others, also where the later
ping has no speed; both include steps above 250 km/h. Harsh: steps with dt <= 3 s, both speeds known, and >= +3.0 or <= -3.5
m/s2. Fuel used and odometer gain: sums of drops and of gains between consecutive vehicle records at most 5 min apart; where
either of the two lacks the value the pair counts nothing, and no pair reaches across it.";

/// A vehicle in a quarter of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VehicleWindow {
    /// The vehicle.
    pub vehicle: TextId,
    /// The window's start.
    pub start: Micros,
    /// Pings.
    pub pings: u64,
    /// Vehicle records.
    pub records: u64,
    /// Steps.
    pub steps: u64,
    /// Driven, in millimetres.
    pub distance_mm: i64,
    /// In motion, in microseconds.
    pub moving_us: i64,
    /// Standing, in microseconds.
    pub idle_us: i64,
    /// Hard accelerations and brakings; `None` where no step is short enough to tell.
    pub harsh: Option<[u64; 2]>,
    /// In millionths of a percent; `None` where no two records are close enough.
    pub fuel_used: Option<i64>,
    /// In millionths of a km; likewise.
    pub odometer_gain: Option<i64>,
}

/// The columns.
pub fn columns() -> Columns<VehicleWindow> {
    const LONG: &str = "no step of at most 3 s has both speeds";
    const NO_FUEL: &str = "no two records at most 5 min apart have a fuel level";
    const NO_ODOMETER: &str = "no two records at most 5 min apart have an odometer";
    let mut all = Columns::new();
    all.text("vehicle_id").from(|row: &VehicleWindow| row.vehicle);
    all.time(WINDOW_START).from(|row| row.start);
    all.count("pings").from(|row| row.pings);
    all.count("vehicle_records").from(|row| row.records);
    all.count("steps").from(|row| row.steps);
    all.double("distance_m", "m").from(|row| row.distance_mm as f64 / 1000.0);
    all.double("moving_s", "s").from(|row| row.moving_us as f64 / 1e6);
    all.double("idle_s", "s").from(|row| row.idle_us as f64 / 1e6);
    all.int("harsh_accel", "").null_when(LONG).from(|row| row.harsh.map(|harsh| harsh[0] as i32));
    all.int("harsh_brake", "").null_when(LONG).from(|row| row.harsh.map(|harsh| harsh[1] as i32));
    all.double("fuel_used_pct", "%").null_when(NO_FUEL).from(|row| row.fuel_used.map(|used| used as f64 / 1e6));
    all.double("odometer_gain_km", "km")
        .null_when(NO_ODOMETER)
        .from(|row| row.odometer_gain.map(|gain| gain as f64 / 1e6));
    all
}

fn build<'scope>(city: &City<'scope>) -> StreamVec<'scope, Epoch, Block> {
    super::block::blocks(NAME, columns(), rows(city))
}

fn lookback(Resume { horizon, .. }: Resume) -> Vec<Needs> {
    let from = window(horizon, LENGTH) - STEP;
    vec![Needs::Happened(Topic::GPS, from), Needs::Happened(Topic::VEHICLE, from)]
}

fn behind(key: &[&str]) -> Option<Vec<Select>> {
    // A vehicle's id may have slashes.
    let (start, id) = key.split_last()?;
    let (start, id): (Micros, String) = (start.parse().ok()?, id.join("/"));
    let of = |topic| {
        let id = id.clone();
        Select::on_time(topic, start - STEP, start + LENGTH, move |row| row.text("device_id") == Some(&id))
    };
    Some(vec![of(Topic::GPS), of(Topic::VEHICLE)])
}

fn key_of(topic: Topic, row: &dyn Fields) -> Option<String> {
    let counts = topic == Topic::GPS || topic == Topic::VEHICLE;
    let (id, time) = (row.text("device_id")?, row.long("event_time")?);
    counts.then(|| format!("{id}/{}", window(time, LENGTH)))
}

/// Its rows; see the module.
pub fn rows<'scope>(city: &City<'scope>) -> Rows<'scope, VehicleWindow> {
    let mut builder = OperatorBuilder::new(NAME.to_owned(), city.closes.scope());
    let by_vehicle = Exchange::new(|ping: &Ping| ping.vehicle.spread());
    let pings = Inbox::new(&mut builder, city.pings.clone(), by_vehicle);
    let by_vehicle = Exchange::new(|record: &VehicleRecord| record.vehicle.spread());
    let records = Inbox::new(&mut builder, city.vehicles.clone(), by_vehicle);
    let windows = Windows::new(LENGTH);
    let stage =
        VehicleStage { pings, records, fleet: IdMap::default(), windows, freeing: Every::new(MINUTE), tracks: 0 };
    conduct(builder, city.closes.clone(), stage).into()
}

struct VehicleStage {
    pings: Inbox<Ping>,
    records: Inbox<VehicleRecord>,
    fleet: IdMap<TextId, Tracks>,
    windows: Windows<Trip>,
    freeing: Every,
    /// Bytes of tracks.
    tracks: usize,
}

/// What of a vehicle is in reach.
#[derive(Default)]
struct Tracks {
    fixes: Timeline<Fix>,
    gauges: Timeline<Gauge>,
}

impl Stage for VehicleStage {
    const NAME: &'static str = NAME;
    type Row = Change<VehicleWindow>;
    type Side = ();
    type Sealed = VehicleWindow;

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.pings, &mut self.records]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut OutputsOf<Self>) {
        // In the order of each vehicle's way, nearly all are the last so far.
        let mut pings = self.pings.take(epoch, fuel);
        pings.sort_unstable_by_key(|ping| (ping.vehicle, ping.stamp));
        self.tracks += pings.len() * size_of::<Fix>();
        for ping in pings {
            self.windows.at(ping.stamp.time, ping.vehicle).pings += 1;
            let fixes = &mut self.fleet.entry(ping.vehicle).or_default().fixes;
            insert(fixes, Fix { stamp: ping.stamp, at: ping.at, speed: ping.speed }, |step, diff| {
                self.windows.at(step.1.stamp.time, ping.vehicle).add_step(step, diff);
            });
        }
        let mut records = self.records.take(epoch, fuel);
        records.sort_unstable_by_key(|record| (record.vehicle, record.stamp));
        self.tracks += records.len() * size_of::<Gauge>();
        for record in records {
            self.windows.at(record.stamp.time, record.vehicle).records += 1;
            let gauges = &mut self.fleet.entry(record.vehicle).or_default().gauges;
            let gauge = Gauge { stamp: record.stamp, fuel: record.fuel, odometer: record.odometer };
            insert(gauges, gauge, |pair, diff| {
                self.windows.at(pair.1.stamp.time, record.vehicle).add_pair(pair, diff);
            });
        }
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut OutputsOf<Self>) -> bool {
        if !self.windows.close(close, fuel, out) {
            return false;
        }
        // Once a minute is often enough: it visits every vehicle.
        if let Some(horizon) = close.horizon.filter(|h| close.kind != CloseKind::Open && self.freeing.is_due(*h)) {
            self.tracks = 0;
            self.fleet.retain(|_, tracks| {
                tracks.fixes.free_before(horizon - STEP);
                tracks.gauges.free_before(horizon - STEP);
                self.tracks += tracks.fixes.bytes() + tracks.gauges.bytes();
                !tracks.fixes.is_empty() || !tracks.gauges.is_empty()
            });
        }
        true
    }

    fn tell(&self, balance: &mut Balance) {
        let mut held = self.windows.held();
        held += Amount::bytes(self.tracks + Amount::in_map::<(TextId, Tracks)>(self.fleet.len()).bytes);
        balance.set(Kind::Windows, held);
    }
}

/// Inserts a record, and tells which pairs of neighbours are there no more (-1) and which are new (+1).
fn insert<T: Stamped + Copy>(timeline: &mut Timeline<T>, record: T, mut tell: impl FnMut((&T, &T), i64)) {
    let (before, after) = timeline.neighbours(record.stamp());
    if let (Some(before), Some(after)) = (before, after) {
        tell((before, after), -1);
    }
    before.into_iter().for_each(|before| tell((before, &record), 1));
    after.into_iter().for_each(|after| tell((&record, after), 1));
    timeline.insert(record);
}

/// A ping, as far as steps are concerned.
#[derive(Clone, Copy)]
struct Fix {
    stamp: Stamp,
    at: Point,
    speed: Reading,
}

impl Stamped for Fix {
    fn stamp(&self) -> Stamp {
        self.stamp
    }
}

/// A vehicle record, as far as gauges are concerned.
#[derive(Clone, Copy)]
struct Gauge {
    stamp: Stamp,
    fuel: Reading,
    odometer: Reading,
}

impl Stamped for Gauge {
    fn stamp(&self) -> Stamp {
        self.stamp
    }
}

/// What a vehicle did. All sums are integers.
#[derive(Default)]
struct Trip {
    pings: u64,
    records: u64,
    steps: i64,
    distance_mm: i64,
    moving_us: i64,
    idle_us: i64,
    short_steps: i64,
    harsh: [i64; 2],
    fuel_pairs: i64,
    fuel_used: i64,
    odometer_pairs: i64,
    odometer_gain: i64,
}

impl Trip {
    fn add_step(&mut self, (from, to): (&Fix, &Fix), diff: i64) {
        let dt = to.stamp.time - from.stamp.time;
        if dt <= 0 || dt > STEP {
            return;
        }
        self.steps += diff;
        let distance = distance_mm(from.at, to.at);
        // mm/us is 3600 km/h.
        if distance * 3600 <= 250 * dt {
            self.distance_mm += diff * distance;
        }
        let moving = to.speed.get().is_some_and(|speed| speed >= 5.0);
        *(if moving { &mut self.moving_us } else { &mut self.idle_us }) += diff * dt;
        if let (Some(before), Some(after)) = (from.speed.get(), to.speed.get())
            && dt <= SHORT
        {
            self.short_steps += diff;
            // In 1e-6 km/h over us: +3.0 m/s2 is 10.8 of it, -3.5 m/s2 is -12.6.
            let gain = 10 * (quantised(after) - quantised(before));
            self.harsh[0] += diff * i64::from(gain >= 108 * dt);
            self.harsh[1] += diff * i64::from(gain <= -126 * dt);
        }
    }

    fn add_pair(&mut self, (from, to): (&Gauge, &Gauge), diff: i64) {
        if to.stamp.time - from.stamp.time > STEP {
            return;
        }
        if let (Some(before), Some(after)) = (from.fuel.get(), to.fuel.get()) {
            self.fuel_pairs += diff;
            self.fuel_used += diff * (quantised(before) - quantised(after)).max(0);
        }
        if let (Some(before), Some(after)) = (from.odometer.get(), to.odometer.get()) {
            self.odometer_pairs += diff;
            self.odometer_gain += diff * (quantised(after) - quantised(before)).max(0);
        }
    }
}

impl Aggregate for Trip {
    type Key = TextId;
    type Row = VehicleWindow;

    fn row(&self, vehicle: TextId, start: Micros) -> Option<VehicleWindow> {
        // A step belongs to a ping and a pair to a record: without either there is nothing.
        (self.pings + self.records > 0).then(|| VehicleWindow {
            vehicle,
            start,
            pings: self.pings,
            records: self.records,
            steps: self.steps as u64,
            distance_mm: self.distance_mm,
            moving_us: self.moving_us,
            idle_us: self.idle_us,
            harsh: (self.short_steps > 0).then(|| self.harsh.map(|count| count as u64)),
            fuel_used: (self.fuel_pairs > 0).then_some(self.fuel_used),
            odometer_gain: (self.odometer_pairs > 0).then_some(self.odometer_gain),
        })
    }
}
