//! Runs of the collections over logs cut into epochs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use citystream_dataflows::city::{City, Records};
use citystream_dataflows::records::{Ping, Status, Traffic};
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::closes::{CloseKind, EpochClose};
use citystream_live::collections::{Collections, Traces};
use citystream_live::frames::{Frame, frames};
use citystream_live::rows::{Key, Row};
use differential_dataflow::trace::cursor::cursor_list;
use differential_dataflow::trace::{Cursor, TraceReader};
use timely::dataflow::InputHandleVec;
use timely::dataflow::operators::Input;
use timely::dataflow::operators::generic::operator::empty;
use timely::progress::frontier::AntichainRef;

use crate::world::{MINUTE, Random, Record};

/// An epoch: what it holds, and its close.
#[derive(Clone, Debug)]
pub struct Cut {
    pub records: Vec<Record>,
    pub close: EpochClose,
}

/// Cuts a log into epochs of random length. The horizon is as far as it may be, or behind.
pub fn cut(log: &[Record], seed: u64) -> Vec<Cut> {
    let mut random = Random(!seed);
    let most = 1 + random.below(40);
    let (mut cuts, mut start) = (Vec::new(), 0);
    while start < log.len() {
        let end = (start + random.below(most + 1) as usize).min(log.len());
        cuts.push((start, end, random.pick(&[0, 0, 1, 20 * MINUTE])));
        start = end;
    }
    closed(log, cuts)
}

/// Cuts a log into epochs of so many records each.
pub fn even(log: &[Record], length: usize) -> Vec<Cut> {
    closed(log, (0..log.len()).step_by(length).map(|start| (start, (start + length).min(log.len()), 0)).collect())
}

fn closed(log: &[Record], parts: Vec<(usize, usize, i64)>) -> Vec<Cut> {
    let mut least: Vec<Option<i64>> = vec![None; log.len() + 1];
    for (at, record) in log.iter().enumerate().rev() {
        least[at] = Some(least[at + 1].map_or(record.time(), |later| later.min(record.time())));
    }
    let (count, mut horizon) = (parts.len(), None);
    let mut close = |(epoch, (start, end, behind)): (usize, (usize, usize, i64))| {
        horizon = horizon.max(least[end].map(|bound| bound - behind));
        let kind = if epoch % 3 == 2 { CloseKind::Seal } else { CloseKind::Open };
        let close = EpochClose { epoch: epoch as Epoch, horizon, kind, last: epoch + 1 == count };
        Cut { records: log[start..end].to_vec(), close }
    };
    parts.into_iter().enumerate().map(&mut close).collect()
}

/// What came of a run.
#[derive(Default)]
pub struct Ran {
    /// All rows after each epoch.
    pub states: BTreeMap<Epoch, BTreeMap<Key, Row>>,
    /// Updates that the arrangement of vehicles holds at the end, and held at most.
    pub held: usize,
    pub most_held: usize,
    /// Vehicles that are found in it at the end.
    pub peeked: usize,
}

/// Runs the collections; records go to workers as `seed` says, and each worker at its own pace.
pub fn run(cuts: &[Cut], workers: usize, seed: u64) -> Result<Ran, String> {
    let ran = Arc::new(Mutex::new(Ran::default()));
    let (shared, input) = (Arc::clone(&ran), Arc::new(cuts.to_vec()));
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (index, peers) = (worker.index(), worker.peers() as u64);
        let mut handles = Handles::default();
        let told = Arc::clone(&shared);
        let (mut traces, probe) = worker.dataflow(|scope| {
            let records = Records {
                vehicles: empty(scope),
                pings: scope.input_from(&mut handles.pings),
                traffic: scope.input_from(&mut handles.traffic),
                weather: empty(scope),
                statuses: scope.input_from(&mut handles.statuses),
                deliveries: empty(scope),
                seeds: empty(scope),
            };
            let closes = scope.input_from(&mut handles.closes);
            let city = City::new(closes.clone(), records);
            let Collections { changes, traces } = Collections::new(&city);
            (traces, frames(changes, closes, empty(scope), move |frame| show(&told, frame)))
        });
        let (mut random, mut pace) = (Random(seed), Random(seed + 1 + index as u64));
        for cut in input.iter() {
            let mine = cut.records.iter().filter(|_| random.below(peers) as usize == index);
            handles.feed(cut, mine);
            for _ in 0..pace.below(if peers == 1 { 40 } else { 4 }) {
                worker.step();
                advance(&mut traces, &probe);
                if index == 0 {
                    let mut ran = shared.lock().unwrap();
                    ran.most_held = ran.most_held.max(held(&mut traces));
                }
            }
        }
        drop(handles);
        while worker.step_or_park(None) {
            advance(&mut traces, &probe);
        }
        let mut ran = shared.lock().unwrap();
        ran.held += held(&mut traces);
        ran.peeked += peek(&mut traces);
    });
    for result in guards?.join() {
        result?;
    }
    Arc::into_inner(ran).expect("all workers are done").into_inner().map_err(|error| error.to_string())
}

fn show(ran: &Mutex<Ran>, frame: Frame) {
    let mut ran = ran.lock().unwrap();
    let mut state = ran.states.last_key_value().map(|(_, state)| state.clone()).unwrap_or_default();
    for (key, row) in frame.rows {
        match row {
            Some(row) => drop(state.insert(key, row)),
            None => assert!(state.remove(&key).is_some(), "{key:?} goes, and was not there"),
        }
    }
    ran.states.insert(frame.epoch, state);
}

fn advance(traces: &mut Traces, probe: &timely::dataflow::ProbeHandle<Epoch>) {
    if let Some(epoch) = probe.with_frontier(|frontier| frontier.first().copied()) {
        traces.advance(epoch.saturating_sub(1));
    }
}

fn held(traces: &mut Traces) -> usize {
    let mut held = 0;
    traces.vehicles.map_spans(|span| held += span.inner.as_ref().map_or(0, |batch| batch.updates));
    held
}

fn peek(traces: &mut Traces) -> usize {
    let batches = traces.vehicles.batches_through(AntichainRef::new(&[])).expect("a cut");
    let (mut cursor, storage) = cursor_list(batches);
    let mut found = 0;
    while cursor.get_key(&storage).is_some() {
        while cursor.get_val(&storage).is_some() {
            let mut count = 0;
            cursor.map_times(&storage, |_, diff| count += *diff);
            found += count as usize;
            cursor.step_val(&storage);
        }
        cursor.step_key(&storage);
    }
    found
}

#[derive(Default)]
struct Handles {
    closes: InputHandleVec<Epoch, EpochClose>,
    pings: InputHandleVec<Epoch, Ping>,
    traffic: InputHandleVec<Epoch, Traffic>,
    statuses: InputHandleVec<Epoch, Status>,
}

impl Handles {
    fn feed<'a>(&mut self, cut: &Cut, records: impl Iterator<Item = &'a Record>) {
        let epoch = cut.close.epoch;
        self.closes.advance_to(epoch);
        self.pings.advance_to(epoch);
        self.traffic.advance_to(epoch);
        self.statuses.advance_to(epoch);
        for record in records {
            match record {
                Record::Ping(ping) => self.pings.send(*ping),
                Record::Traffic(traffic) => self.traffic.send(*traffic),
                Record::Status(status) => self.statuses.send(*status),
                _ => {}
            }
        }
        self.closes.send(cut.close);
    }
}
