//! Random logs of a small city: few places, few vehicles, many ties.

use citystream_dataflows::records::{
    Delivery, IncidentKind, Level, Outcome, Phase, Ping, Point, Reading, Severity, Sky, Source, Stamp, Status, TextId,
    Traffic, VehicleRecord, Weather,
};
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::Topic;
use h3o::{LatLng, Resolution};

pub const SECOND: Micros = 1_000_000;
pub const MINUTE: Micros = 60 * SECOND;
pub const HOUR: Micros = 60 * MINUTE;

/// A small generator (SplitMix64): the seed is all there is to reproduce a log.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    pub fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// The topics whose records are delivered.
const TOPICS: &[Topic] = &[Topic::VEHICLE, Topic::GPS, Topic::TRAFFIC, Topic::WEATHER, Topic::EMERGENCY];

/// An on-time record, or what became of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Record {
    Vehicle(VehicleRecord),
    Ping(Ping),
    Traffic(Traffic),
    Weather(Weather),
    Status(Status),
    Delivery(Delivery),
}

impl Record {
    /// The time that holds the horizon.
    pub fn time(&self) -> Micros {
        match self {
            Record::Vehicle(r) => r.stamp.time,
            Record::Ping(r) => r.stamp.time,
            Record::Traffic(r) => r.stamp.time,
            Record::Weather(r) => r.stamp.time,
            Record::Status(r) => r.stamp.time,
            Record::Delivery(r) => r.window,
        }
    }

    /// Tells records apart, mostly.
    pub fn tag(&self) -> u64 {
        let offset = match self {
            Record::Vehicle(r) => r.stamp.offset,
            Record::Ping(r) => r.stamp.offset,
            Record::Traffic(r) => r.stamp.offset,
            Record::Weather(r) => r.stamp.offset,
            Record::Status(r) => r.stamp.offset,
            Record::Delivery(r) => r.window,
        };
        offset as u64 * 0x0101_0101
    }
}

/// The cell of a place.
pub fn cell(at: Point, resolution: Resolution) -> u64 {
    LatLng::new(at.lat, at.lon).expect("a place on the globe").to_cell(resolution).into()
}

/// Places of some 4 km around a border of cells of resolution 5; the first two are metres apart, across it.
pub fn places() -> Vec<Point> {
    let east = |step: i32| Point { lat: 51.52, lon: -0.30 + f64::from(step) * 1e-4 };
    let c5 = |at: Point| cell(at, Resolution::Five);
    let across = (0..).find(|step| c5(east(*step)) != c5(east(step + 1))).expect("a border");
    let border = east(across);
    let mut places = vec![border, east(across + 1)];
    let mut random = Random(5);
    for _ in 0..12 {
        let mut offset = || random.below(2000) as f64 / 1000.0 - 1.0;
        places.push(Point { lat: border.lat + offset() * 0.018, lon: border.lon + offset() * 0.029 });
    }
    places
}

/// Makes records as time goes on.
pub struct World {
    random: Random,
    places: Vec<Point>,
    clock: Micros,
    offset: i64,
    last_vehicle: u64,
    /// Of a hundred records, so many come hours later.
    pauses: u64,
}

impl World {
    pub fn new(seed: u64) -> World {
        let clock = 1_600_000_000 * SECOND + Random(seed).below(3600) as i64 * SECOND;
        World {
            random: Random(seed ^ 0xC17),
            places: places(),
            clock,
            offset: 0,
            last_vehicle: 0,
            pauses: 1 + seed % 3 * 7,
        }
    }

    /// The next record.
    pub fn next(&mut self) -> Record {
        let random = &mut self.random;
        self.clock += match random.below(100) {
            pause if pause < self.pauses => random.below(7) as i64 * HOUR,
            97.. => random.below(20) as i64 * MINUTE,
            60.. => random.below(40) as i64 * SECOND,
            _ => random.below(4) as i64 * SECOND,
        };
        match random.below(100) {
            0..45 => Record::Ping(self.ping()),
            45..58 => Record::Traffic(self.traffic()),
            58..66 => Record::Weather(self.weather()),
            66..78 => Record::Status(self.status()),
            78..92 => Record::Vehicle(self.vehicle()),
            _ => Record::Delivery(self.delivery()),
        }
    }

    /// One in five is out of order, a few are far ahead, and many share their time.
    fn stamp(&mut self) -> Stamp {
        let random = &mut self.random;
        let mut time = self.clock;
        match random.below(100) {
            0..20 => time -= random.below(13 * 60) as i64 * SECOND,
            20 => time += 12 * HOUR,
            _ => {}
        }
        if random.one_in(3) {
            time -= time.rem_euclid(MINUTE);
        }
        self.offset += 1;
        Stamp { time, partition: random.below(3) as i32, offset: self.offset }
    }

    fn place(&mut self) -> Point {
        let mut at = self.random.pick(&self.places);
        if self.random.one_in(4) {
            at.lat += self.random.below(100) as f64 * 1e-5;
        }
        at
    }

    fn source(&mut self) -> Option<Source> {
        self.random.pick(&[None, Some(Source::Live), Some(Source::Cached), Some(Source::Synthetic)])
    }

    fn reading(&mut self, values: &[f64]) -> Reading {
        if self.random.one_in(5) { Reading::NONE } else { Reading::new(self.random.pick(values)) }
    }

    /// Often the same as before, so that steps are short.
    fn number(&mut self) -> TextId {
        if !self.random.one_in(3) {
            self.last_vehicle = 1000 + self.random.below(9);
        }
        TextId(self.last_vehicle.into())
    }

    fn ping(&mut self) -> Ping {
        let (stamp, at, vehicle) = (self.stamp(), self.place(), self.number());
        let speed = self.reading(&[0.0, 0.4, 0.999, 1.0, 4.999_999, 5.0, 5.1, 15.8, 30.0, 40.6, 63.25, 99.999, 130.0]);
        Ping { stamp, vehicle, at, speed, c8: cell(at, Resolution::Eight), c5: cell(at, Resolution::Five) }
    }

    fn traffic(&mut self) -> Traffic {
        let (stamp, at) = (self.stamp(), self.place());
        Traffic {
            stamp,
            at,
            c8: cell(at, Resolution::Eight),
            current: self.reading(&[0.0, 9.0, 45.0, 49.99, 50.0, 61.7]),
            free_flow: self.reading(&[1.0, 10.0, 50.0, 61.7]),
            level: self.random.pick(&[None, Some(Level::Light), Some(Level::Moderate), Some(Level::Heavy)]),
            closure: self.random.pick(&[None, Some(false), Some(true)]),
            source: self.source(),
        }
    }

    fn weather(&mut self) -> Weather {
        let (stamp, at) = (self.stamp(), self.place());
        let word = self.random.pick(&["Rain", "Drizzle", "Thunderstorm", "Snow", "Clear", "Clouds", "Mist"]);
        Weather {
            stamp,
            at,
            c5: cell(at, Resolution::Five),
            condition: TextId(word.len() as u128),
            sky: Sky::of(word),
            measures: std::array::from_fn(|_| self.reading(&[0.0, 0.0, 0.25, 3.7, 12.123_456_7, -4.2])),
            source: self.source(),
        }
    }

    fn status(&mut self) -> Status {
        let (stamp, at) = (self.stamp(), self.place());
        let active = Some(Phase::Active);
        let phases = [None, active, active, Some(Phase::Responding), Some(Phase::Resolved)];
        Status {
            stamp,
            incident: TextId((77 + self.random.below(5)).into()),
            at,
            phase: self.random.pick(&phases),
            kind: self.random.pick(&[None, Some(IncidentKind::Accident), Some(IncidentKind::Fire)]),
            severity: self.random.pick(&[None, Some(Severity::Low), Some(Severity::High)]),
            source: self.source(),
        }
    }

    fn vehicle(&mut self) -> VehicleRecord {
        let (stamp, vehicle) = (self.stamp(), self.number());
        let (fuel, odometer) = (self.reading(&[50.0, 49.7, 49.123_456_7]), self.reading(&[1000.0, 1000.1, 1002.5]));
        VehicleRecord { stamp, vehicle, fuel, odometer }
    }

    fn delivery(&mut self) -> Delivery {
        let (random, day) = (&mut self.random, 86_400);
        let outcome = Outcome(random.below(8) as u8);
        let delay_s = if outcome.0 < 4 { random.pick(&[0, 1, 2, 2, 700, -3, day, -day]) } else { 0 };
        Delivery { topic: random.pick(TOPICS), window: self.clock, outcome, delay_s }
    }
}

/// A log of so many records, in the order in which they are read.
pub fn random_log(seed: u64, length: usize) -> Vec<Record> {
    let mut world = World::new(seed);
    (0..length).map(|_| world.next()).collect()
}

/// Pings and weather around half hours. Each log has its own lateness, of up to fifty minutes; many records are at the
/// borders of half hours, or just as far from another as weather reaches.
pub fn weather_log(seed: u64, length: usize) -> Vec<Record> {
    let (mut world, mut random) = (World::new(seed), Random(!seed));
    let half = 30 * MINUTE;
    let lateness = random.pick(&[3, 12, 50]) * 60;
    let (mut clock, mut last) = (world.clock - world.clock.rem_euclid(half), 0);
    let mut log = Vec::new();
    for _ in 0..length {
        clock += random.pick(&[0, 1, 5, 20, 120, 600]) * SECOND;
        let late = clock - if random.one_in(3) { random.below(lateness) as i64 * SECOND } else { 0 };
        let border = late - late.rem_euclid(half);
        let time = match random.below(8) {
            0 => border + random.pick(&[-1, 0, 1]),
            1 if last > late - lateness as i64 * SECOND - half => last + half + random.pick(&[-1, 0, 1]),
            _ => late,
        };
        let mut record = if random.one_in(3) { Record::Weather(world.weather()) } else { Record::Ping(world.ping()) };
        match &mut record {
            Record::Weather(weather) => (weather.stamp.time, last) = (time, time),
            Record::Ping(ping) => ping.stamp.time = time,
            _ => {}
        }
        log.push(record);
    }
    log
}
