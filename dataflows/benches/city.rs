//! What the city dataflow costs: no I/O, records are made beside the clock. Medians of three runs, with the
//! machine's load beside them. For bytes, run one figure a process.
//!
//! ```text
//! cargo bench -p citystream-dataflows --bench city              all figures, some minutes
//! cargo bench -p citystream-dataflows --bench city -- join      one of: join, hot, correction, widths, days
//! ```
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

mod load;

use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use citystream_dataflows::city::{City, Records};
use citystream_dataflows::operators::enrich::{self, enrich};
use citystream_dataflows::operators::incidents::{Seed, lives};
use citystream_dataflows::operators::weather_join::{at_home, weather_join};
use citystream_dataflows::records::{Delivery, Ping, Status, Traffic, VehicleRecord, Weather};
use citystream_dataflows::tables::{self, Derived};
use citystream_dataflows::time::closes::{CloseKind, EpochClose};
use citystream_dataflows::time::{Epoch, Micros};
use timely::dataflow::operators::{Input, Inspect, Probe};
use timely::dataflow::{InputHandleVec, ProbeHandle, Scope, StreamVec};
use timely::worker::Worker;

use load::{Batch, Load, MINUTE, SECOND, Shape, load_average, median, resident, thread_cpu};

const EPOCH: usize = 50_000;
const SEAL: u64 = 8;
/// Epochs under way at once where workers are to work side by side: half of what the clock of the pipeline allows.
const OPEN_EPOCHS: Epoch = 4;
/// How far the horizon is behind the greatest event time.
const BEHIND: Micros = 12 * MINUTE;
/// 2,000,000 pings in 40 minutes.
const SHAPE: Shape =
    Shape { gap: 1200, is_disordered: false, hot: 0, incidents: 200, per_status: 200, reports: 1, is_whole: false };

/// A dataflow with its inputs.
#[derive(Default)]
struct Driver {
    closes: InputHandleVec<Epoch, EpochClose>,
    vehicles: InputHandleVec<Epoch, VehicleRecord>,
    pings: InputHandleVec<Epoch, Ping>,
    traffic: InputHandleVec<Epoch, Traffic>,
    weather: InputHandleVec<Epoch, Weather>,
    statuses: InputHandleVec<Epoch, Status>,
    deliveries: InputHandleVec<Epoch, Delivery>,
    seeds: InputHandleVec<Epoch, Seed>,
    probe: ProbeHandle<Epoch>,
    rows: Arc<Mutex<usize>>,
    epoch: Epoch,
    longest: Duration,
}

impl Driver {
    fn records<'scope>(&mut self, scope: Scope<'scope, Epoch>) -> Records<'scope> {
        Records {
            vehicles: scope.input_from(&mut self.vehicles),
            pings: scope.input_from(&mut self.pings),
            traffic: scope.input_from(&mut self.traffic),
            weather: scope.input_from(&mut self.weather),
            statuses: scope.input_from(&mut self.statuses),
            deliveries: scope.input_from(&mut self.deliveries),
            seeds: scope.input_from(&mut self.seeds),
        }
    }

    fn watch<R: Clone + 'static>(&self, stream: StreamVec<'_, Epoch, R>, count: fn(&[R]) -> usize) {
        let rows = Arc::clone(&self.rows);
        let counted = stream.inspect_core(move |event| {
            if let Ok((_, batch)) = event {
                *rows.lock().expect("one thread") += count(batch);
            }
        });
        counted.probe_with(&self.probe);
    }

    /// The as-of join alone.
    fn join(worker: &mut Worker) -> Driver {
        let mut driver = Driver::default();
        worker.dataflow(|scope| {
            let records = driver.records(scope);
            let closes = scope.input_from(&mut driver.closes);
            let (_, circles) = lives(closes.clone().into(), records.statuses.clone(), records.seeds);
            let inputs = enrich::Inputs {
                joined: weather_join(closes.clone().into(), records.pings, at_home(records.weather)).0,
                traffic: enrich::by_cell(records.traffic),
                statuses: records.statuses,
                circles,
            };
            driver.watch(enrich(closes.into(), inputs).rows, <[_]>::len);
        });
        driver
    }

    /// All tables.
    fn city(worker: &mut Worker) -> Driver {
        let mut driver = Driver::default();
        worker.dataflow(|scope| {
            let records = driver.records(scope);
            let closes = scope.input_from(&mut driver.closes);
            for blocks in tables::derive(&City::new(closes, records), Derived::all()) {
                driver.watch(blocks, |blocks| blocks.iter().map(|block| block.rows()).sum());
            }
        });
        driver
    }

    /// Runs an epoch to its end; how long it took.
    fn run(&mut self, worker: &mut Worker, batch: Batch, horizon: Option<Micros>, close: CloseKind) -> Duration {
        let start = Instant::now();
        self.send(batch, horizon, close);
        self.settle(worker, self.epoch);
        start.elapsed()
    }

    /// Works until all epochs before `epoch` are done.
    fn settle(&mut self, worker: &mut Worker, epoch: Epoch) {
        while self.probe.less_than(&epoch) {
            let step = Instant::now();
            worker.step();
            self.longest = self.longest.max(step.elapsed());
        }
    }

    /// Hands an epoch over.
    fn send(&mut self, batch: Batch, horizon: Option<Micros>, kind: CloseKind) {
        let Batch { mut pings, mut traffic, mut weather, mut statuses, mut vehicles, mut deliveries } = batch;
        self.pings.send_batch(&mut pings);
        self.traffic.send_batch(&mut traffic);
        self.weather.send_batch(&mut weather);
        self.statuses.send_batch(&mut statuses);
        self.vehicles.send_batch(&mut vehicles);
        self.deliveries.send_batch(&mut deliveries);
        self.closes.send(EpochClose { epoch: self.epoch, horizon, kind, last: false });
        self.epoch += 1;
        self.closes.advance_to(self.epoch);
        self.vehicles.advance_to(self.epoch);
        self.pings.advance_to(self.epoch);
        self.traffic.advance_to(self.epoch);
        self.weather.advance_to(self.epoch);
        self.statuses.advance_to(self.epoch);
        self.deliveries.advance_to(self.epoch);
        self.seeds.advance_to(self.epoch);
    }

    /// Ends the dataflow.
    fn end(mut self) {
        self.closes.send(EpochClose { epoch: self.epoch, horizon: None, kind: CloseKind::Seal, last: true });
    }
}

fn close_of(epoch: u64) -> CloseKind {
    if epoch % SEAL == SEAL - 1 { CloseKind::Seal } else { CloseKind::Open }
}

/// What a run of the join costs.
struct Cost {
    pings_per_s: f64,
    /// Resident above what was there before, a ping held; batches on their way included.
    bytes: f64,
    rows_per_ping: f64,
    longest_ms: f64,
}

/// Runs the as-of join over so many epochs.
fn join(shape: Shape, epochs: u64) -> Cost {
    timely::execute_directly(move |worker| {
        let mut load = Load::new(shape);
        let mut driver = Driver::join(worker);
        let (mut time, mut bytes, base) = (Duration::ZERO, 0.0_f64, resident());
        let held = |clock: Micros, horizon: Micros| (clock - horizon.max(load_start()) + 15 * MINUTE) / shape.gap;
        for epoch in 0..epochs {
            let batch = load.batch(EPOCH);
            let horizon = load.clock - BEHIND;
            time += driver.run(worker, batch, Some(horizon), close_of(epoch));
            if epoch + 1 == epochs {
                let held = held(load.clock, horizon).min((epochs * EPOCH as u64) as i64);
                bytes = (resident() - base) as f64 / held as f64;
            }
        }
        let pings = (epochs * EPOCH as u64) as f64;
        let rows = *driver.rows.lock().expect("one thread") as f64;
        let longest_ms = driver.longest.as_secs_f64() * 1e3;
        driver.end();
        Cost { pings_per_s: pings / time.as_secs_f64(), bytes, rows_per_ping: rows / pings, longest_ms }
    })
}

fn load_start() -> Micros {
    Load::new(SHAPE).clock
}

fn print_join(what: &str, shape: Shape, epochs: u64) {
    let runs: Vec<Cost> = (0..3).map(|_| join(shape, epochs)).collect();
    let of = |value: fn(&Cost) -> f64| median(runs.iter().map(value).collect());
    println!(
        "{what}: {:.2} M pings/s, {:.2} rows a ping, longest close {:.1} ms, {:.0} B resident a ping held, load {}",
        of(|c| c.pings_per_s) / 1e6,
        of(|c| c.rows_per_ping),
        of(|c| c.longest_ms),
        // Later runs take the memory that the first one left.
        runs[0].bytes,
        load_average()
    );
}

fn hot() {
    let disordered = Shape { is_disordered: true, ..SHAPE };
    print_join("join, 20 % out of order", disordered, 40);
    // Half of two million; then two thirds of three million.
    print_join("join, 20 % out of order, 1 M pings of 2 M in one cell", Shape { hot: 6, ..disordered }, 40);
    print_join("join, 20 % out of order, 2 M pings of 3 M in one cell", Shape { hot: 8, gap: 800, ..disordered }, 60);
}

/// One weather record that comes last and governs all pings.
fn correction() {
    for pings in [1_000, 10_000, 100_000, 1_000_000_usize] {
        let runs = (0..3).map(|_| {
            timely::execute_directly(move |worker| {
                let mut load = Load::new(Shape { gap: 20 * MINUTE / pings as i64, ..SHAPE });
                let mut driver = Driver::join(worker);
                let mut weather = load.batch(1).weather;
                let mut pings = load.batch(pings).pings;
                pings.iter_mut().for_each(|ping| ping.c5 = weather[0].c5);
                weather[0].stamp.time = pings[0].stamp.time;
                driver.run(worker, Batch { pings, ..Batch::default() }, None, CloseKind::Seal);
                driver.longest = Duration::ZERO;
                *driver.rows.lock().expect("one thread") = 0;
                let time = driver.run(worker, Batch { weather, ..Batch::default() }, None, CloseKind::Seal);
                let (longest, rows) = (driver.longest, *driver.rows.lock().expect("one thread"));
                driver.end();
                (time, longest, rows)
            })
        });
        let runs: Vec<_> = runs.collect();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let time = median(runs.iter().map(|run| ms(run.0)).collect());
        let longest = median(runs.iter().map(|run| ms(run.1)).collect());
        println!(
            "correction of {pings} pings: {} rows, {time:.2} ms, {:.0} ns a ping, longest close {longest:.2} ms, load {}",
            runs[0].2,
            time * 1e6 / pings as f64,
            load_average()
        );
    }
}

/// Pings a second, and the workers' seconds of CPU for a million.
type Figures = (f64, f64);

/// All tables at a width.
fn whole(workers: usize) -> Figures {
    let barrier = Arc::new(Barrier::new(workers));
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let mut load = Load::new(Shape { is_disordered: true, is_whole: true, ..SHAPE });
        let mut driver = Driver::city(worker);
        let (index, peers) = (worker.index(), worker.peers());
        let mut epochs = Vec::new();
        for _ in 0..40 {
            let batch = load.batch(EPOCH);
            epochs.push((share(batch, index, peers), load.clock - BEHIND));
        }
        barrier.wait();
        let (start, before) = (Instant::now(), thread_cpu());
        for (epoch, (batch, horizon)) in (0..).zip(epochs) {
            driver.send(batch, Some(horizon), close_of(epoch));
            driver.settle(worker, driver.epoch.saturating_sub(OPEN_EPOCHS));
        }
        driver.settle(worker, driver.epoch);
        let times = (start.elapsed().as_secs_f64(), thread_cpu() - before);
        driver.end();
        times
    });
    let times = guards.expect("workers").join().into_iter().map(|times| times.expect("no panic"));
    let (wall, cpu) = times.fold((0.0_f64, 0.0), |(wall, cpu), (w, c)| (wall.max(w), cpu + c));
    let pings = (40 * EPOCH) as f64;
    (pings / wall, cpu * 1e6 / pings)
}

/// A worker's share of an epoch.
fn share(batch: Batch, index: usize, peers: usize) -> Batch {
    fn every<T>(values: Vec<T>, index: usize, peers: usize) -> Vec<T> {
        values.into_iter().skip(index).step_by(peers).collect()
    }
    Batch {
        pings: every(batch.pings, index, peers),
        traffic: every(batch.traffic, index, peers),
        weather: every(batch.weather, index, peers),
        statuses: every(batch.statuses, index, peers),
        vehicles: every(batch.vehicles, index, peers),
        deliveries: every(batch.deliveries, index, peers),
    }
}

fn widths() {
    // In turn, so that what else the machine does hits both.
    let runs: Vec<_> = (0..3).map(|_| (whole(1), whole(2))).collect();
    let of = |value: fn(&(Figures, Figures)) -> f64| median(runs.iter().map(value).collect());
    println!(
        "whole city: {:.0} k pings/s at 1 worker, {:.0} k at 2, ratio {:.2}; CPU {:.2} s and {:.2} s a million, load {}",
        of(|(one, _)| one.0) / 1e3,
        of(|(_, two)| two.0) / 1e3,
        of(|(one, two)| two.0 / one.0),
        of(|(one, _)| one.1),
        of(|(_, two)| two.1),
        load_average()
    );
}

/// Seven days at three pings a second, a commit a quarter of an hour.
fn days() {
    timely::execute_directly(|worker| {
        let shape = Shape { gap: SECOND / 3, is_disordered: true, is_whole: true, ..SHAPE };
        let mut load = Load::new(shape);
        let mut driver = Driver::city(worker);
        for day in 1..=7 {
            for minute in 0..24 * 60 {
                let batch = load.batch(180);
                let close = if minute % 15 == 14 { CloseKind::Seal } else { CloseKind::Open };
                driver.run(worker, batch, Some(load.clock - BEHIND), close);
            }
            println!("day {day}: {:.1} MB resident", resident() as f64 / 1e6);
        }
        driver.end();
    });
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|arg| arg == name);
    // First, while nothing else has left memory behind.
    let parts: [(&str, fn()); 5] = [
        ("days", days),
        ("join", || {
            print_join("join", SHAPE, 40);
            print_join("join, a tenth of the statuses", Shape { per_status: 2000, ..SHAPE }, 40);
            // As in the simulated city: few incidents, each reported by everybody who passes.
            let city = Shape { incidents: 5, per_status: 50, reports: 150, ..SHAPE };
            print_join("join, 5 incidents at any time, reported again and again", city, 40);
        }),
        ("hot", hot),
        ("correction", correction),
        ("widths", widths),
    ];
    parts.iter().filter(|(name, _)| is_wanted(name)).for_each(|(_, part)| part());
}
