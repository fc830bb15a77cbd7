//! What the live views cost in real time: an epoch that changes a part of many vehicles, with no table beside them.
//!
//! ```text
//! cargo bench --profile release -p citystream-live --bench live [-- VEHICLES [PINGS [VIEWS]]]
//! ```
//!
//! 200,000 vehicles in 120 by 120 km; each epoch has 1,100 pings and as many traffic records, and so many standing views follow
//! it (areas of all sizes, speeds, ratios, clusters). Two figures: with what the caches keep from epoch to epoch, and with caches
//! that other work has taken meanwhile, as it is in a run. One thread, medians of 200 epochs; the hub is not in it.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use citystream_dataflows::city::{City, Records};
use citystream_dataflows::records::hash::spread;
use citystream_dataflows::records::{Ping, Point, Reading, Source, Stamp, TextId, Traffic};
use citystream_dataflows::time::closes::{CloseKind, EpochClose};
use citystream_dataflows::time::{Epoch, MINUTE, Micros};
use citystream_live::area::Area;
use citystream_live::collections::Collections;
use citystream_live::frames::{self, frames};
use citystream_live::rows::Place;
use citystream_live::standing::{Command, Question, standing};
use h3o::{LatLng, Resolution};
use timely::dataflow::InputHandleVec;
use timely::dataflow::operators::Input;
use timely::dataflow::operators::generic::operator::empty;
use timely::worker::Worker;

const START: Micros = 1_600_000_200_000_000;
const EPOCH: Micros = 250_000;
const WARM: u64 = 100;
const MEASURED: u64 = 200;
/// Of vehicles, degrees.
const CITY: [(f64, f64); 2] = [(51.0, 52.08), (-1.0, 0.74)];

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let number = |at: usize, or| numbers.get(at).copied().unwrap_or(or);
    let load = Load { vehicles: number(0, 200_000), pings: number(1, 1100), views: number(2, 0), random: 1 };
    for is_cold in [false, true] {
        let Measured { epoch, rows } = timely::execute_directly(move |worker| measure(worker, load, is_cold));
        let caches = if is_cold { "taken meanwhile" } else { "kept" };
        println!("{load:?}: {:.2} ms an epoch, {rows} rows changed, caches {caches}", epoch.as_secs_f64() * 1e3);
    }
}

/// What an epoch takes, and how many rows it changes.
struct Measured {
    epoch: Duration,
    rows: usize,
}

fn measure(worker: &mut Worker, mut load: Load, is_cold: bool) -> Measured {
    let mut handles = Handles::default();
    let shown = Rc::new(Cell::new((0, 0)));
    let told = Rc::clone(&shown);
    worker.dataflow(|scope| {
        let records = Records {
            vehicles: empty(scope),
            pings: scope.input_from(&mut handles.pings),
            traffic: scope.input_from(&mut handles.traffic),
            weather: empty(scope),
            statuses: empty(scope),
            deliveries: empty(scope),
            seeds: empty(scope),
        };
        let closes = scope.input_from(&mut handles.closes);
        let (pings, traffic) = (records.pings.clone(), records.traffic.clone());
        let nothing = Records { pings: empty(scope), traffic: empty(scope), ..records };
        let city = City { pings, traffic, ..City::new(closes.clone(), nothing) };
        let Collections { changes, traces } = Collections::new(&city);
        let commands = scope.input_from(&mut handles.commands);
        let standing = standing(city.closes.clone(), changes.clone(), commands.clone(), traces);
        let inputs = frames::Inputs { changes, standing, commands, closes, ready: empty(scope) };
        frames(inputs, move |frame| {
            told.set((frame.epoch, frame.views.values().map(|changes| changes.come.len()).sum()))
        });
    });
    let (mut taken, mut other) = (Vec::new(), vec![0_u8; 64 << 20]);
    let mut rows = 0;
    for epoch in 0..WARM + MEASURED {
        load.feed(epoch, &mut handles);
        if is_cold {
            other.chunks_mut(64).for_each(|line| line[0] += 1);
        }
        let began = Instant::now();
        while shown.get().0 < epoch {
            worker.step();
        }
        if epoch >= WARM {
            taken.push(began.elapsed());
            rows += shown.get().1;
        }
    }
    taken.sort_unstable();
    Measured { epoch: taken[taken.len() / 2], rows: rows / taken.len() }
}

#[derive(Default)]
struct Handles {
    closes: InputHandleVec<Epoch, EpochClose>,
    pings: InputHandleVec<Epoch, Ping>,
    traffic: InputHandleVec<Epoch, Traffic>,
    commands: InputHandleVec<Epoch, Command>,
}

/// Vehicles that drive about, each at its own place.
#[derive(Clone, Copy, Debug)]
struct Load {
    vehicles: u64,
    pings: u64,
    views: u64,
    random: u64,
}

impl Load {
    /// Sends an epoch. The first ones have a ping of each vehicle, and the one after them installs the views.
    fn feed(&mut self, epoch: Epoch, handles: &mut Handles) {
        let clock = START + epoch as Micros * EPOCH;
        let is_first = epoch < WARM / 2;
        let pings = if is_first { self.vehicles / (WARM / 2) } else { self.pings };
        for n in 0..pings {
            let vehicle = if is_first { epoch * pings + n } else { self.below(self.vehicles) };
            handles.pings.send(self.ping(vehicle, clock + n as Micros, (epoch * pings + n) as i64));
            handles.traffic.send(self.traffic(clock + n as Micros, (epoch * pings + n) as i64));
        }
        if epoch == WARM / 2 {
            (0..self.views as u32).for_each(|number| handles.commands.send(view(number)));
        }
        let horizon = Some(clock - 10 * MINUTE);
        handles.closes.send(EpochClose { epoch, horizon, kind: CloseKind::Open, last: epoch + 1 == WARM + MEASURED });
        handles.closes.advance_to(epoch + 1);
        handles.pings.advance_to(epoch + 1);
        handles.traffic.advance_to(epoch + 1);
        handles.commands.advance_to(epoch + 1);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random = spread(self.random.wrapping_add(0x9E37_79B9_7F4A_7C15));
        spread(self.random >> 7) % bound
    }

    fn place(&mut self, of: u64) -> Point {
        let part = |number: u64, (low, high): (f64, f64)| low + (high - low) * (spread(number) % 100_000) as f64 / 1e5;
        let wander = self.below(1000) as f64 / 1e5;
        Point { lat: part(of, CITY[0]) + wander, lon: part(of + (1 << 40), CITY[1]) }
    }

    fn ping(&mut self, vehicle: u64, time: Micros, offset: i64) -> Ping {
        let at = self.place(vehicle);
        let speed = Reading::new(self.below(90) as f64);
        let (c8, c5) = cells(at);
        let id = u128::from(spread(vehicle)) << 64 | u128::from(spread(vehicle + (1 << 50)));
        Ping { stamp: Stamp { time, partition: 0, offset }, vehicle: TextId(id), at, speed, c8, c5 }
    }

    fn traffic(&mut self, time: Micros, offset: i64) -> Traffic {
        let of = self.below(1 << 20);
        let at = self.place(of);
        let reading = |value: u64| Reading::new(value as f64);
        // The level of few cells changes with each record: of those whose speed is near a threshold.
        let (current, free_flow) = (reading(10 + (spread(cells(at).0) % 36) + self.below(5)), reading(50));
        let stamp = Stamp { time, partition: 0, offset };
        let source = Some(Source::Live);
        Traffic { stamp, at, c8: cells(at).0, current, free_flow, level: None, closure: None, source }
    }
}

fn cells(Point { lat, lon }: Point) -> (u64, u64) {
    let place = LatLng::new(lat, lon).expect("a place");
    (place.to_cell(Resolution::Eight).into(), place.to_cell(Resolution::Five).into())
}

/// One of the standing views.
fn view(number: u32) -> Command {
    let question = match number % 4 {
        0 => Question::VehiclesIn(square(number)),
        1 => Question::VehiclesAbove(i64::from(number) * 1_000_000),
        2 => Question::CellsBelow(number * 10),
        _ => Question::Clusters(number),
    };
    Command { number, name: format!("view {number}").into(), question: Some(Arc::new(question)) }
}

/// A square in the south-west of the city, the larger the greater the number.
fn square(number: u32) -> Area {
    let millionths = |degrees: f64| (degrees * 1e6) as i32;
    let corner = |at: usize, share: f64| millionths(CITY[at].0 + (CITY[at].1 - CITY[at].0) * share);
    let share = f64::from(1 + number % 62) / 62.0;
    let place = |north: f64, east: f64| Place { lat: corner(0, north), lon: corner(1, east) };
    let ring = vec![place(0.0, 0.0), place(0.0, share), place(share, share), place(share, 0.0), place(0.0, 0.0)];
    Area::new(&[ring]).expect("a square")
}
