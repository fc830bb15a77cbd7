//! The as-of join of pings with traffic, over differential arrangements and over the state of `enrich`: the figures of
//! `docs/adr/008-own-state-for-the-join.md`. Medians of five runs of each, in turn, each in a process of its own so
//! that what is resident is its own.
//!
//! ```text
//! cargo bench -p citystream-dataflows --bench asof_differential                   all figures, some minutes
//! cargo bench -p citystream-dataflows --bench asof_differential -- own ordered    one run of: own, arranged or
//!                                                                                 differential; ordered or disordered
//! ```
//!
//! - `own`: `enrich`, with no weather and no statuses.
//! - `differential`: pings and traffic arranged by cell in the descending order of their stamps, so that a seek to a
//!   time finds the latest at or before it, and one operator over both traces. The net of its changes is that of `own`
//!   (asserted); it tells changes every epoch, and not one a commit.
//! - `arranged`: the two arrangements, and no operator: what any join over them pays at least.
//!
//! What is behind the horizon goes at the same moment and by the same reaches in all. In the arrangements it is found by
//! a seek to the end of each cell, and fed with -1: no list of what is to expire is kept beside them.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

#[allow(dead_code, reason = "this load has no vehicle records and no deliveries")]
mod load;

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::fmt::Debug;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use citystream_dataflows::operators::enrich::{self, TRAFFIC_REACH, enrich};
use citystream_dataflows::operators::incidents::BEFORE;
use citystream_dataflows::operators::weather_join::Joined;
use citystream_dataflows::records::changes::{Change, EnrichedPing, TrafficMatch};
use citystream_dataflows::records::hash::{IdMap, spread};
use citystream_dataflows::records::measures::distance_mm;
use citystream_dataflows::records::{Ping, Point, Reading, Stamp, TextId, Traffic};
use citystream_dataflows::time::closes::{CloseKind, EpochClose};
use citystream_dataflows::time::{Epoch, Micros};
use differential_dataflow::AsCollection;
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::cursor::cursor_list;
use differential_dataflow::trace::implementations::ValSpine;
use differential_dataflow::trace::{Cursor, TraceReader};
use serde::{Deserialize, Serialize};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::{CapabilitySet, Input, Inspect, Operator, Probe, vec::Map};
use timely::dataflow::{InputHandleVec, ProbeHandle, StreamVec};
use timely::progress::Antichain;
use timely::progress::frontier::AntichainRef;
use timely::worker::Worker;

use load::{Load, MINUTE, Shape, load_average, median, resident};

const EPOCH: usize = 50_000;
const SEAL: u64 = 8;
/// Twice as long as pings are in reach, so that as many go as come.
const EPOCHS: u64 = 64;
const BEHIND: Micros = 12 * MINUTE;
const SHAPE: Shape =
    Shape { gap: 1200, is_disordered: false, hot: 0, incidents: 200, per_status: 200, reports: 1, is_whole: false };

/// What an arrangement holds of a record.
trait Row: Clone + Debug + Serialize + for<'de> Deserialize<'de> + 'static {
    fn stamp(&self) -> Stamp;
    /// To seek with.
    fn probe(stamp: Stamp) -> Self;
}

/// A row among those of its cell: the later, the less. No two have one stamp.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Recent<R>(R);

impl<R: Row> Recent<R> {
    /// The first row at or before a time.
    fn at(time: Micros) -> Recent<R> {
        Recent(R::probe(Stamp { time, partition: i32::MAX, offset: i64::MAX }))
    }

    /// The first row before a time.
    fn before(time: Micros) -> Recent<R> {
        Recent(R::probe(Stamp { time, partition: i32::MIN, offset: i64::MIN }))
    }
}

impl<R: Row> PartialEq for Recent<R> {
    fn eq(&self, other: &Recent<R>) -> bool {
        self.0.stamp() == other.0.stamp()
    }
}

impl<R: Row> Eq for Recent<R> {}

impl<R: Row> PartialOrd for Recent<R> {
    fn partial_cmp(&self, other: &Recent<R>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Row> Ord for Recent<R> {
    fn cmp(&self, other: &Recent<R>) -> Ordering {
        other.0.stamp().cmp(&self.0.stamp())
    }
}

/// A ping as `enrich` holds it, less its matches: its vehicle and its wider cell are numbers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Held {
    time: Micros,
    offset: i64,
    at: Point,
    speed: Reading,
    vehicle: u32,
    region: u32,
    partition: u16,
}

const _: () = assert!(size_of::<Recent<Held>>() == 56);

impl Row for Held {
    fn stamp(&self) -> Stamp {
        // The least and the greatest partition are for probes.
        let partition = if self.partition == u16::MAX { i32::MAX } else { i32::from(self.partition) - 1 };
        Stamp { time: self.time, partition, offset: self.offset }
    }

    fn probe(Stamp { time, partition, offset }: Stamp) -> Held {
        let partition = partition.saturating_add(1).clamp(0, u16::MAX.into()) as u16;
        Held { time, offset, at: Point::default(), speed: Reading::NONE, vehicle: 0, region: 0, partition }
    }
}

impl Row for Traffic {
    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn probe(stamp: Stamp) -> Traffic {
        let (at, none) = (Point::default(), Reading::NONE);
        Traffic { stamp, at, c8: 0, current: none, free_flow: none, level: None, closure: None, source: None }
    }
}

/// Small numbers for ids.
#[derive(Default)]
struct Numbers {
    ids: Vec<u64>,
    numbers: IdMap<u64, u32>,
}

impl Numbers {
    fn number(&mut self, id: u64) -> u32 {
        *self.numbers.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len() as u32 - 1
        })
    }
}

fn hold(ping: &Ping, numbers: &mut Numbers) -> Held {
    let (vehicle, region) = (numbers.number(ping.vehicle.0 as u64), numbers.number(ping.c5));
    Held { at: ping.at, speed: ping.speed, vehicle, region, ..Held::probe(ping.stamp) }
}

fn change(c8: u64, held: &Held, numbers: &Numbers, traffic: Option<Traffic>, diff: i8) -> Change<EnrichedPing> {
    let (vehicle, c5) = (TextId(numbers.ids[held.vehicle as usize].into()), numbers.ids[held.region as usize]);
    let ping = Ping { stamp: held.stamp(), vehicle, at: held.at, speed: held.speed, c8, c5 };
    let traffic = traffic.map(|record| TrafficMatch {
        stamp: record.stamp,
        distance_mm: distance_mm(held.at, record.at),
        source: record.source,
        level: record.level,
        current: record.current,
        free_flow: record.free_flow,
    });
    Change { row: EnrichedPing { ping, traffic, weather: None, incidents: None }, diff }
}

type Trace<R> = TraceAgent<ValSpine<u64, Recent<R>, Epoch, isize>>;

/// Whether the row that a cursor is at counts.
fn counts<C: Cursor<Diff = isize>>(cursor: &mut C, storage: &C::Storage) -> bool {
    let mut sum = 0;
    cursor.map_times(storage, |_, diff| sum += C::owned_diff(diff));
    sum > 0
}

/// The record that governs a time, of the cell that the cursor is at; times must not rise from call to call.
fn governing<C>(cursor: &mut C, storage: &C::Storage, c8: u64, time: Micros) -> Option<Traffic>
where
    C: for<'a> Cursor<Key<'a> = &'a u64, Val<'a> = &'a Recent<Traffic>, Diff = isize>,
{
    if cursor.get_key(storage) != Some(&c8) {
        return None;
    }
    cursor.seek_val(storage, &Recent::at(time));
    while cursor.val_valid(storage) && !counts(cursor, storage) {
        cursor.step_val(storage);
    }
    cursor.get_val(storage).map(|held| held.0).filter(|held| time - held.stamp.time <= TRAFFIC_REACH)
}

/// The join: what an epoch's traffic now governs of the pings before it is corrected, then its pings are matched.
/// Retractions change nothing: what they take is final.
#[allow(clippy::too_many_lines)] // One loop over two merged cursors: cut apart, it would not be read as one.
fn as_of<'scope>(
    pings: Arranged<'scope, Trace<Held>>,
    traffic: Arranged<'scope, Trace<Traffic>>,
    numbers: Rc<RefCell<Numbers>>,
) -> StreamVec<'scope, Epoch, Change<EnrichedPing>> {
    let (mut all_pings, mut all_traffic) = (pings.trace, traffic.trace);
    pings.stream.binary_frontier(traffic.stream, Pipeline, Pipeline, "as_of", move |capability, _| {
        let mut capabilities = CapabilitySet::from_elem(capability);
        let (mut new_pings, mut new_traffic) = (Vec::new(), Vec::new());
        let mut done = Antichain::from_elem(0);
        move |(pings, pings_frontier), (traffic, traffic_frontier), output| {
            pings.for_each(|_, spans| new_pings.extend(spans.drain(..).filter_map(|span| span.inner)));
            traffic.for_each(|_, spans| new_traffic.extend(spans.drain(..).filter_map(|span| span.inner)));
            let upper = pings_frontier.frontier().to_owned();
            // Whole epochs only; the driver runs one at a time.
            if upper == done || upper.borrow() != traffic_frontier.frontier() {
                return;
            }
            if let Some(capability) = capabilities.first() {
                let numbers = numbers.borrow();
                let mut session = output.session(capability);
                let (mut was, was_in) = cursor_list(all_traffic.batches_through(done.borrow()).expect("a cut"));
                let (mut is, is_in) = cursor_list(all_traffic.batches_through(upper.borrow()).expect("a cut"));
                let (mut held, held_in) = cursor_list(all_pings.batches_through(done.borrow()).expect("a cut"));
                let (mut new, new_in) = cursor_list(std::mem::take(&mut new_traffic));
                while let Some(c8) = new.get_key(&new_in).copied() {
                    held.seek_key(&held_in, &c8);
                    let last = held.get_val(&held_in).filter(|_| held.get_key(&held_in) == Some(&c8));
                    let last = last.map(|ping| ping.0.time);
                    was.seek_key(&was_in, &c8);
                    is.seek_key(&is_in, &c8);
                    while let Some(record) = new.get_val(&new_in).map(|record| record.0) {
                        let from = record.stamp.time;
                        // Most traffic is later than the pings that are here.
                        if last < Some(from) {
                            new.step_val(&new_in);
                            continue;
                        }
                        if counts(&mut new, &new_in) {
                            // It governs until the next one.
                            let mut until = from + TRAFFIC_REACH + 1;
                            is.rewind_vals(&is_in);
                            is.seek_val(&is_in, &Recent::before(until));
                            while let Some(next) = is.get_val(&is_in).filter(|next| next.0.stamp > record.stamp) {
                                let time = next.0.stamp.time;
                                if counts(&mut is, &is_in) {
                                    until = time;
                                }
                                is.step_val(&is_in);
                            }
                            held.seek_val(&held_in, &Recent::before(until));
                            while let Some(ping) = held.get_val(&held_in).filter(|ping| ping.0.time >= from) {
                                if counts(&mut held, &held_in) {
                                    let old = governing(&mut was, &was_in, c8, ping.0.time);
                                    session.give(change(c8, &ping.0, &numbers, old, -1));
                                    session.give(change(c8, &ping.0, &numbers, Some(record), 1));
                                }
                                held.step_val(&held_in);
                            }
                        }
                        new.step_val(&new_in);
                    }
                    new.step_key(&new_in);
                }
                is.rewind_keys(&is_in);
                let (mut new, new_in) = cursor_list(std::mem::take(&mut new_pings));
                while let Some(c8) = new.get_key(&new_in).copied() {
                    is.seek_key(&is_in, &c8);
                    while let Some(ping) = new.get_val(&new_in).map(|ping| ping.0) {
                        if counts(&mut new, &new_in) {
                            let record = governing(&mut is, &is_in, c8, ping.time);
                            session.give(change(c8, &ping, &numbers, record, 1));
                        }
                        new.step_val(&new_in);
                    }
                    new.step_key(&new_in);
                }
            }
            release(&mut all_pings, upper.borrow());
            release(&mut all_traffic, upper.borrow());
            capabilities.downgrade(upper.iter());
            done = upper;
        }
    })
}

/// Lets a trace merge what is before a frontier.
fn release<Tr: TraceReader<Time = Epoch>>(trace: &mut Tr, upper: AntichainRef<Epoch>) {
    trace.set_logical_compaction(upper);
    trace.set_physical_compaction(upper);
}

/// What goes into an arrangement: by cell, with its epoch.
type Update<R> = ((u64, Recent<R>), Epoch, isize);

/// An arrangement as the driver sees it.
struct Arrangement<R: Row> {
    input: InputHandleVec<Epoch, Update<R>>,
    trace: Trace<R>,
}

impl<R: Row> Arrangement<R> {
    /// Takes out what is before a time.
    fn expire(&mut self, time: Micros, epoch: Epoch) {
        let mut gone = Vec::new();
        let (mut cursor, storage) = cursor_list(self.trace.batches_through(AntichainRef::new(&[])).expect("a cut"));
        while let Some(c8) = cursor.get_key(&storage).copied() {
            cursor.seek_val(&storage, &Recent::before(time));
            while let Some(row) = cursor.get_val(&storage) {
                if counts(&mut cursor, &storage) {
                    gone.push(((c8, row.clone()), epoch, -1));
                }
                cursor.step_val(&storage);
            }
            cursor.step_key(&storage);
        }
        self.input.send_batch(&mut gone);
    }

    fn advance(&mut self, epoch: Epoch) {
        self.input.advance_to(epoch);
        release(&mut self.trace, AntichainRef::new(&[epoch]));
    }
}

/// What came out: how many changes, and what all of them sum up to, in whatever order and however often a ping changes.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    changes: i64,
    rows: i64,
    checksum: u64,
}

fn sum<'scope>(changes: StreamVec<'scope, Epoch, Change<EnrichedPing>>) -> (ProbeHandle<Epoch>, Rc<Cell<Sums>>) {
    let (sums, probe) = (Rc::new(Cell::new(Sums::default())), ProbeHandle::new());
    let told = Rc::clone(&sums);
    let inspected = changes.inspect(move |Change { row, diff }| {
        let met = row.traffic.map_or((0, 0), |traffic| (traffic.stamp.offset as u64, traffic.distance_mm as u64));
        let hash = spread(spread(spread(row.ping.stamp.offset as u64) ^ met.0) ^ met.1);
        let Sums { changes, rows, checksum } = told.get();
        let checksum = checksum.wrapping_add(hash.wrapping_mul(i64::from(*diff) as u64));
        told.set(Sums { changes: changes + 1, rows: rows + i64::from(*diff), checksum });
    });
    inspected.probe_with(&probe);
    (probe, sums)
}

/// A dataflow: given the records of an epoch and a horizon, it runs the epoch.
type Runner = Box<dyn FnMut(&mut Worker, Epoch, Vec<Ping>, Vec<Traffic>, Micros)>;

fn own(worker: &mut Worker) -> (Runner, Rc<Cell<Sums>>) {
    let (mut closes, mut pings, mut traffic) =
        (InputHandleVec::new(), InputHandleVec::new(), InputHandleVec::<Epoch, Traffic>::new());
    let (probe, sums) = worker.dataflow(|scope| {
        let inputs = enrich::Inputs {
            joined: scope.input_from(&mut pings).map(|ping| Joined::Ping(ping, None)),
            traffic: enrich::by_cell(scope.input_from(&mut traffic)),
            statuses: empty(scope),
            circles: empty(scope),
        };
        sum(enrich(scope.input_from(&mut closes).into(), inputs).rows)
    });
    let runner = move |worker: &mut Worker, epoch, mut new_pings: Vec<Ping>, mut new_traffic: Vec<Traffic>, horizon| {
        pings.send_batch(&mut new_pings);
        traffic.send_batch(&mut new_traffic);
        let kind = if is_seal(epoch) { CloseKind::Seal } else { CloseKind::Open };
        closes.send(EpochClose { epoch, horizon: Some(horizon), kind, last: epoch + 1 == EPOCHS });
        closes.advance_to(epoch + 1);
        pings.advance_to(epoch + 1);
        traffic.advance_to(epoch + 1);
        worker.step_while(|| probe.less_than(&(epoch + 1)));
    };
    (Box::new(runner), sums)
}

fn differential(worker: &mut Worker, is_joined: bool) -> (Runner, Rc<Cell<Sums>>) {
    let numbers = Rc::new(RefCell::new(Numbers::default()));
    let (mut ping_input, mut traffic_input) = (InputHandleVec::new(), InputHandleVec::new());
    let (ping_trace, traffic_trace, arranged, (probe, sums)) = worker.dataflow(|scope| {
        let pings = scope.input_from(&mut ping_input).as_collection().arrange_by_key();
        let traffic = scope.input_from(&mut traffic_input).as_collection().arrange_by_key();
        let traces = (pings.trace.clone(), traffic.trace.clone());
        let arranged = ProbeHandle::new();
        pings.stream.clone().probe_with(&arranged);
        traffic.stream.clone().probe_with(&arranged);
        let joined = if is_joined { as_of(pings, traffic, Rc::clone(&numbers)) } else { empty(scope) };
        (traces.0, traces.1, arranged, sum(joined))
    });
    let mut pings = Arrangement { input: ping_input, trace: ping_trace };
    let mut traffic = Arrangement { input: traffic_input, trace: traffic_trace };
    let runner = move |worker: &mut Worker, epoch, new_pings: Vec<Ping>, new_traffic: Vec<Traffic>, horizon| {
        let mut rows = {
            let numbers = &mut *numbers.borrow_mut();
            let rows = new_pings.iter().map(|ping| ((ping.c8, Recent(hold(ping, numbers))), epoch, 1));
            rows.collect::<Vec<_>>()
        };
        pings.input.send_batch(&mut rows);
        let rows = new_traffic.into_iter().map(|record| ((record.c8, Recent(record)), epoch, 1));
        traffic.input.send_batch(&mut rows.collect());
        if is_seal(epoch) {
            pings.expire(horizon - BEFORE, epoch);
            traffic.expire(horizon - TRAFFIC_REACH, epoch);
        }
        pings.advance(epoch + 1);
        traffic.advance(epoch + 1);
        worker.step_while(|| probe.less_than(&(epoch + 1)) || arranged.less_than(&(epoch + 1)));
    };
    (Box::new(runner), sums)
}

fn is_seal(epoch: Epoch) -> bool {
    epoch % SEAL == SEAL - 1
}

/// What a run costs.
#[derive(Clone, Debug)]
struct Cost {
    kind: String,
    pings_per_s: f64,
    /// Resident above what was there before, a ping in reach: the mean after the last eight epochs, and the most.
    bytes: (f64, f64),
    sums: Sums,
}

/// One run in this process.
fn run(kind: &str, order: &str) -> Cost {
    let (kind, is_disordered) = (kind.to_owned(), order == "disordered");
    timely::execute_directly(move |worker| {
        let mut load = Load::new(Shape { is_disordered, ..SHAPE });
        let (mut runner, sums) = if kind == "own" { own(worker) } else { differential(worker, kind == "differential") };
        let (mut time, mut bytes, base) = (Duration::ZERO, Vec::new(), resident());
        for epoch in 0..EPOCHS {
            let batch = load.batch(EPOCH);
            let start = Instant::now();
            runner(worker, epoch, batch.pings, batch.traffic, load.clock - BEHIND);
            time += start.elapsed();
            bytes.push(resident().saturating_sub(base) as f64 / ((BEHIND + BEFORE) / SHAPE.gap) as f64);
        }
        let last = &bytes[bytes.len() - SEAL as usize..];
        let bytes = (last.iter().sum::<f64>() / last.len() as f64, bytes.iter().copied().fold(0.0, f64::max));
        let pings_per_s = (EPOCHS * EPOCH as u64) as f64 / time.as_secs_f64();
        Cost { kind, pings_per_s, bytes, sums: sums.get() }
    })
}

/// One run in a process of its own.
fn run_apart(kind: &str, order: &str) -> Cost {
    let program = std::env::current_exe().expect("a program");
    let output = Command::new(program).args([kind, order]).output().expect("a run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok()).expect("a figure");
    let sums = Sums {
        changes: number(7) as i64,
        rows: number(9) as i64,
        checksum: words.get(11).and_then(|word| word.parse().ok()).expect("a checksum"),
    };
    Cost { kind: kind.to_owned(), pings_per_s: number(1), bytes: (number(3), number(5)), sums }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if let [kind, order] = &wanted[..] {
        let Cost { kind, pings_per_s, bytes, sums } = run(kind, order);
        let Sums { changes, rows, checksum } = sums;
        println!(
            "{kind} {pings_per_s} pings/s {} (most {} ) changes: {changes} rows: {rows} checksum: {checksum}",
            bytes.0, bytes.1
        );
        return;
    }
    for order in ["ordered", "disordered"] {
        let kinds = ["own", "differential", "arranged"];
        let runs: Vec<Cost> = (0..5).flat_map(|_| kinds.map(|kind| run_apart(kind, order))).collect();
        let of = |kind: &str, value: fn(&Cost) -> f64| {
            median(runs.iter().filter(|run| run.kind == kind).map(value).collect())
        };
        let net = |run: &Cost| (run.sums.rows, run.sums.checksum);
        assert!(runs.iter().filter(|run| run.kind != "arranged").all(|run| net(run) == net(&runs[0])), "{runs:?}");
        for kind in kinds {
            let (speed, bytes) = (of(kind, |run| run.pings_per_s), of(kind, |run| run.bytes.0));
            println!(
                "{order}, {kind}: {:.2} M pings/s (x {:.2}), {bytes:.0} B a ping in reach (x {:.2}), at most {:.0}, \
                 {:.2} changes a ping, load {}",
                speed / 1e6,
                speed / of("own", |run| run.pings_per_s),
                bytes / of("own", |run| run.bytes.0),
                of(kind, |run| run.bytes.1),
                of(kind, |run| run.sums.changes as f64) / (EPOCHS * EPOCH as u64) as f64,
                load_average()
            );
        }
    }
}
