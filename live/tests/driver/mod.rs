//! Runs of the collections over logs cut into epochs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use citystream_dataflows::city::{City, Records};
use citystream_dataflows::records::{Ping, Status, Traffic};
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::closes::{CloseKind, EpochClose};
use citystream_live::collections::{Collections, Traces};
use citystream_live::frames::{self, Frame, ViewId, frames};
use citystream_live::rows::{Key, Row};
use citystream_live::standing::{Command, standing};
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
    /// The rows of each standing view after each epoch, by its number.
    pub standing: BTreeMap<Epoch, BTreeMap<u32, BTreeMap<Key, Row>>>,
    /// Updates that the arrangement of vehicles holds at the end, and held at most.
    pub held: usize,
    pub most_held: usize,
    /// Vehicles that are found in it at the end.
    pub peeked: usize,
}

/// What becomes of standing views with each epoch.
pub type Commands = BTreeMap<Epoch, Vec<Command>>;

/// Runs the collections; records go to workers as `seed` says, and each worker at its own pace.
pub fn run(cuts: &[Cut], commands: &Commands, workers: usize, seed: u64) -> Result<Ran, String> {
    let ran = Arc::new(Mutex::new(Ran::default()));
    let (shared, input) = (Arc::clone(&ran), Arc::new((cuts.to_vec(), commands.clone())));
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (index, peers) = (worker.index(), worker.peers() as u64);
        let mut handles = Handles::default();
        let told = Arc::clone(&shared);
        let mut traces = worker.dataflow(|scope| {
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
            let mut seen = traces.clone();
            // Ours hold nothing back: what is held is held by the views.
            seen.advance(Epoch::MAX - 1);
            let commands = scope.input_from(&mut handles.commands);
            let standing = standing(city.closes.clone(), changes.clone(), commands.clone(), traces);
            let inputs = frames::Inputs { changes, standing, commands, closes, ready: empty(scope) };
            frames(inputs, move |frame| show(&told, frame));
            seen
        });
        let (mut random, mut pace) = (Random(seed), Random(seed + 1 + index as u64));
        for cut in &input.0 {
            let mine = cut.records.iter().filter(|_| random.below(peers) as usize == index);
            handles.feed(cut, mine, input.1.get(&cut.close.epoch));
            for _ in 0..pace.below(if peers == 1 { 40 } else { 4 }) {
                worker.step();
                if index == 0 {
                    let mut ran = shared.lock().unwrap();
                    ran.most_held = ran.most_held.max(held(&mut traces));
                }
            }
        }
        drop(handles);
        while worker.step_or_park(None) {}
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
    let mut standing = ran.standing.last_key_value().map(|(_, views)| views.clone()).unwrap_or_default();
    for (number, name) in frame.installed {
        match name {
            Some(_) => drop(standing.insert(number, BTreeMap::new())),
            None => drop(standing.remove(&number)),
        }
    }
    for (view, changes) in frame.views {
        let rows = match view {
            ViewId::BuiltIn(_) => Some(&mut state),
            ViewId::Standing(number) => standing.get_mut(&number),
        };
        let Some(rows) = rows else { continue };
        for key in changes.gone {
            assert!(rows.remove(&key).is_some(), "{view:?}: {key:?} goes, and was not there");
        }
        for row in changes.come {
            assert!(rows.insert(row.key(), row).is_none(), "{view:?}: {row:?} comes, and another is there");
        }
    }
    ran.states.insert(frame.epoch, state);
    ran.standing.insert(frame.epoch, standing);
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
    commands: InputHandleVec<Epoch, Command>,
}

impl Handles {
    fn feed<'a>(&mut self, cut: &Cut, records: impl Iterator<Item = &'a Record>, commands: Option<&Vec<Command>>) {
        let epoch = cut.close.epoch;
        self.closes.advance_to(epoch);
        self.pings.advance_to(epoch);
        self.traffic.advance_to(epoch);
        self.statuses.advance_to(epoch);
        self.commands.advance_to(epoch);
        commands.into_iter().flatten().for_each(|command| self.commands.send(command.clone()));
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
