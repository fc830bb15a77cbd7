//! The dispositions of random logs at 1, 2 and 4 workers, against a plain loop over the same log (P1, P3).
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use citystream_dataflows::operators::classify::{Rows, classify};
use citystream_dataflows::time::bindings::{Binding, NextOffset, Partition, Position, Standing, Topic};
use citystream_dataflows::time::disposition::{Disposition, RowMeta};
use citystream_dataflows::time::ticks::{Added, Report, Seen, Start, Tick};
use citystream_dataflows::time::{Epoch, Micros, TimePolicy};
use timely::dataflow::InputHandleVec;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::operators::{Input, Inspect};

const SECOND: Micros = 1_000_000;
const POLICY: TimePolicy =
    TimePolicy { lateness: 60 * SECOND, slack: 10 * SECOND, max_ahead: 3600 * SECOND, max_hold: 70 * SECOND };

const STANDINGS: [Standing; 4] = [Standing::Behind, Standing::CaughtUp, Standing::Drained, Standing::Quiet];

/// A row is known by its partition and offset.
type Key = (Partition, i64);

#[derive(Clone, Debug)]
struct Batch {
    keys: Vec<Key>,
    metas: Vec<RowMeta>,
}

impl Rows for Batch {
    fn metas(&self) -> &[RowMeta] {
        &self.metas
    }
}

/// What each epoch holds of each partition: rows in offset order, and how it stood after them.
#[derive(Clone, Debug)]
struct Log {
    partitions: Vec<Partition>,
    epochs: Vec<BTreeMap<Partition, (Vec<RowMeta>, Standing)>>,
}

/// A small generator (SplitMix64): the seed is all there is to reproduce a log.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

fn random_log(seed: u64) -> Log {
    let mut random = Random(seed);
    let partitions: Vec<Partition> = (0..5)
        .map(|i| Partition { topic: [Topic::VEHICLE, Topic::GPS, Topic::TRAFFIC][i % 3], index: (i / 3) as i32 })
        .collect();
    let mut clocks: BTreeMap<Partition, Micros> =
        partitions.iter().map(|p| (*p, random.below(200) as i64 * SECOND)).collect();
    let epochs = (0..30).map(|_| {
        let epoch = partitions.iter().map(|p| {
            let clock = clocks.get_mut(p).unwrap();
            let rows = (0..random.below(6)).map(|_| {
                *clock += random.below(20) as i64 * SECOND;
                let event_time = *clock - random.below(90) as i64 * SECOND;
                let identity = (u128::from(random.below(4)) << 64) | event_time as u128;
                RowMeta { partition: *p, event_time, log_clock: *clock, identity }
            });
            let rows: Vec<_> = rows.collect();
            (*p, (rows, STANDINGS[random.below(4) as usize]))
        });
        epoch.collect()
    });
    let epochs = epochs.collect();
    Log { partitions, epochs }
}

/// The definition, read off the design: one loop, epoch by epoch.
fn reference(log: &Log) -> BTreeMap<Key, Disposition> {
    let mut result = BTreeMap::new();
    let mut horizon: Option<Micros> = None;
    let mut state: BTreeMap<Partition, (Option<Micros>, Standing)> =
        log.partitions.iter().map(|p| (*p, (None, Standing::Behind))).collect();
    let mut seen = HashSet::new();
    let mut offsets: BTreeMap<Partition, i64> = BTreeMap::new();
    for epoch in &log.epochs {
        for (partition, (rows, _)) in epoch {
            for row in rows {
                let disposition = if row.event_time < row.log_clock - POLICY.lateness {
                    Disposition::Late
                } else if horizon.is_some_and(|h| row.event_time < h) {
                    Disposition::Expired
                } else if !seen.insert((*partition, row.event_time, row.identity)) {
                    Disposition::Duplicate
                } else {
                    Disposition::OnTime
                };
                let offset = offsets.entry(*partition).or_default();
                result.insert((*partition, *offset), disposition);
                *offset += 1;
            }
        }
        for (partition, (rows, standing)) in epoch {
            let entry = state.get_mut(partition).unwrap();
            entry.0 = rows.last().map(|r| r.log_clock).or(entry.0);
            entry.1 = *standing;
        }
        let mut awake: Vec<Micros> =
            state.values().filter(|(_, s)| *s != Standing::Quiet).filter_map(|(clock, _)| *clock).collect();
        awake.sort();
        let mut clocks = Vec::new();
        for (clock, standing) in state.values() {
            match (standing, clock) {
                (Standing::Quiet, _) | (Standing::Drained, None) => {}
                (Standing::Behind | Standing::CaughtUp, None) => clocks.push(None),
                (Standing::Behind, Some(clock)) => clocks.push(Some(*clock)),
                (_, Some(clock)) => clocks.push(Some((*clock).max(awake[(awake.len() - 1) / 2] - POLICY.max_hold))),
            }
        }
        if let Some(clock) = clocks.into_iter().min().flatten() {
            horizon = horizon.max(Some(clock - POLICY.lateness - POLICY.slack));
        }
    }
    result
}

/// Runs the operator: every worker feeds the partitions it owns; worker 0 the ticks.
fn dataflow(log: &Log, workers: usize) -> BTreeMap<Key, Disposition> {
    let result = Arc::new(Mutex::new(BTreeMap::new()));
    let (log, collected) = (log.clone(), Arc::clone(&result));
    timely::execute(timely::Config::process(workers), move |worker| {
        let (index, peers) = (worker.index(), worker.peers());
        let mut rows: InputHandleVec<Epoch, Batch> = InputHandleVec::new();
        let mut ticks: InputHandleVec<Epoch, Tick> = InputHandleVec::new();
        let mut reports: InputHandleVec<Epoch, Report> = InputHandleVec::new();
        let mut seen: InputHandleVec<Epoch, Seen> = InputHandleVec::new();
        let collected = Arc::clone(&collected);
        worker.dataflow(|scope| {
            let ticks = scope.input_from(&mut ticks).broadcast();
            let reports = scope.input_from(&mut reports).broadcast();
            let (rows, seen) = (scope.input_from(&mut rows), scope.input_from(&mut seen));
            classify((POLICY, Arc::default()), rows, ticks, reports, seen).inspect(move |classified| {
                let decided = classified.batch.keys.iter().copied().zip(classified.dispositions.iter().copied());
                collected.lock().unwrap().extend(decided);
            });
        });
        let mut offsets: BTreeMap<Partition, i64> = BTreeMap::new();
        feed_tick(&mut ticks, index, start(&log));
        for (epoch, content) in (1u64..).zip(&log.epochs) {
            rows.advance_to(epoch);
            reports.advance_to(epoch);
            seen.advance_to(epoch);
            ticks.advance_to(epoch);
            let mut bindings = Vec::new();
            for (partition, (metas, standing)) in content.iter().filter(|(p, _)| p.owner(peers) == index) {
                let offset = offsets.entry(*partition).or_default();
                let first = NextOffset(*offset);
                let keys: Vec<Key> = (0..metas.len() as i64).map(|i| (*partition, *offset + i)).collect();
                *offset += metas.len() as i64;
                let log_clock = content_clock(&log, *partition, epoch);
                let (next, read) = (NextOffset(*offset), metas.len() as u64);
                bindings.push(Binding { partition: *partition, first, next, read, log_clock, standing: *standing });
                rows.send(Batch { keys, metas: metas.clone() });
            }
            reports.send(Report {
                process: 0,
                uncommitted: 0,
                stop: false,
                many_dates: false,
                is_crowded: false,
                bindings,
            });
            feed_tick(&mut ticks, index, plain_tick(epoch));
            worker.step();
        }
    })
    .unwrap()
    .join()
    .into_iter()
    .for_each(|r| r.unwrap());
    Arc::into_inner(result).unwrap().into_inner().unwrap()
}

fn feed_tick(ticks: &mut InputHandleVec<Epoch, Tick>, index: usize, tick: Tick) {
    if index == 0 {
        ticks.send(tick);
    }
}

fn plain_tick(epoch: Epoch) -> Tick {
    Tick {
        epoch,
        seal: None,
        publishes: false,
        limit: None,
        added: Vec::new(),
        start: None,
        last: false,
        is_idle: false,
        ends_log: false,
        views: Vec::new(),
    }
}

fn start(log: &Log) -> Tick {
    let added = log.partitions.iter().map(|p| Added {
        position: Position { partition: *p, next: NextOffset(0), log_clock: None, standing: Standing::Behind },
        from: NextOffset(0),
    });
    let start = Start {
        key: 0,
        run: String::new(),
        seq: 0,
        horizon: None,
        closed_before: None,
        reach: Vec::new(),
        seeds: Vec::new(),
    };
    Tick { added: added.collect(), start: Some(start), ..plain_tick(0) }
}

/// The log clock of a partition after an epoch.
fn content_clock(log: &Log, partition: Partition, epoch: Epoch) -> Option<Micros> {
    let rows = log.epochs[..epoch as usize].iter().rev().flat_map(|e| e[&partition].0.last());
    rows.map(|r| r.log_clock).next()
}

#[test]
fn dispositions_are_a_function_of_the_log_at_any_width() {
    let base = std::env::var("CITYSTREAM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let mut found = HashSet::new();
    for seed in base..base + 40 {
        println!("seed {seed}");
        let log = random_log(seed);
        let expected = reference(&log);
        found.extend(expected.values().copied());
        for workers in [1, 2, 4] {
            same(&dataflow(&log, workers), &expected, &format!("seed {seed} at {workers} workers"));
        }
    }
    assert_eq!(found.len(), 4, "the logs show every disposition: {found:?}");
}

#[test]
fn a_future_dated_device_moves_no_horizon_and_makes_nothing_late() {
    let mut log = random_log(7);
    let before = reference(&log);
    let mut positions = BTreeMap::<Partition, i64>::new();
    for epoch in &mut log.epochs {
        for (partition, (rows, _)) in epoch {
            let next = positions.entry(*partition).or_default();
            *next += rows.len() as i64;
        }
    }
    let last = log.epochs.last_mut().unwrap();
    let (partition, (rows, _)) = last.iter_mut().find(|(_, (rows, _))| !rows.is_empty()).unwrap();
    let ahead = RowMeta { event_time: rows[0].log_clock + 1800 * SECOND, identity: 99, ..*rows.last().unwrap() };
    rows.push(ahead);
    let key = (*partition, positions[partition]);
    let mut after = dataflow(&log, 2);
    assert_eq!(after.remove(&key), Some(Disposition::OnTime));
    same(&after, &before, "without the device");
}

/// Equality that names the first difference only.
fn same(found: &BTreeMap<Key, Disposition>, expected: &BTreeMap<Key, Disposition>, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (key, disposition) in expected {
        assert_eq!(found.get(key), Some(disposition), "{what}: {key:?}");
    }
}
