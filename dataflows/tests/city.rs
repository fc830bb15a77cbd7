//! The derived tables of random logs at 1 to 4 workers, against plain loops over the same log (P2, P3).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod finality;
mod harness;
mod reference;
mod world;

use citystream_dataflows::operators::incidents::{LifeId, Seed, exposed_until};
use citystream_dataflows::records::Phase;
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::closes::{CloseKind, EpochClose};

use harness::{Cut, apply, cut, effects, run, same};
use reference::{Row, Tables, tables};
use world::{HOUR, MINUTE, Random, Record, random_log, weather_log};

/// Every seal is right, the tables are those of the definitions, and seals are the same at any width.
fn widths(log: &[Record], seed: u64) -> Result<(), String> {
    let expected = tables(log);
    for seed in [seed, !seed] {
        let cuts = cut(log, seed);
        let mut narrow = None;
        for workers in 1..=4 {
            let seals = run(&cuts, workers, seed).map_err(|e| format!("{workers} workers: {e}"))?;
            let mut found = Tables::new();
            let applied = apply(&mut found, &seals, &cuts).and_then(|()| same(&found, &expected));
            applied.map_err(|e| format!("{workers} workers: {e}"))?;
            let effects: Vec<_> = seals.iter().map(|(epoch, seal)| (*epoch, effects(&seal.changes))).collect();
            let narrow = narrow.get_or_insert_with(|| effects.clone());
            if let Some((one, other)) = narrow.iter().zip(&effects).find(|(one, other)| one != other) {
                return Err(format!("{workers} workers write something else:\n  {one:?}\n  {other:?}"));
            }
        }
    }
    Ok(())
}

/// A run that begins with what is in reach goes on where the first one ended.
fn recover(log: &[Record], seed: u64) -> Result<(), String> {
    let cuts = cut(log, seed);
    let mut random = Random(seed);
    let seals: Vec<usize> = (0..cuts.len()).filter(|i| cuts[*i].close.kind == CloseKind::Seal).collect();
    let at = random.pick(&seals);
    let workers = 1 + random.below(4) as usize;
    let Some(horizon) = cuts[at].close.horizon else { return Ok(()) };
    let whole = run(&cuts, workers, seed)?;
    let mut held = Tables::new();
    let before = whole.iter().filter(|(epoch, _)| **epoch <= cuts[at].close.epoch);
    apply(&mut held, &before.map(|(epoch, seal)| (*epoch, seal.clone())).collect(), &cuts[..=at])?;

    let reach = cuts[..=at].iter().flat_map(|cut| &cut.records).filter(|record| is_in_reach(record, horizon));
    let first = EpochClose { kind: CloseKind::Recovery, last: at + 1 == cuts.len(), ..cuts[at].close };
    let mut resumed = vec![Cut { records: reach.copied().collect(), seeds: seeds(&held, horizon), close: first }];
    resumed.extend(cuts[at + 1..].iter().cloned());
    let seals = run(&resumed, 1 + random.below(4) as usize, seed + 1)?;
    let context = |e| format!("recovered at epoch {}: {e}", first.epoch);
    apply(&mut held, &seals, &resumed).map_err(context)?;
    same(&held, &tables(log)).map_err(context)
}

/// What a run loads: all that a row depends on that a record at or after the horizon can change.
fn is_in_reach(record: &Record, horizon: Micros) -> bool {
    let quarter = horizon - horizon.rem_euclid(15 * MINUTE);
    let from = match record {
        Record::Ping(_) => quarter - 75 * MINUTE,
        Record::Traffic(_) => quarter - 10 * MINUTE,
        Record::Weather(_) => quarter - 30 * MINUTE,
        Record::Vehicle(_) => quarter - 5 * MINUTE,
        Record::Status(_) => quarter - 48 * HOUR,
        Record::Delivery(_) => quarter,
    };
    record.time() >= from
}

fn seeds(held: &Tables, horizon: Micros) -> Vec<Seed> {
    let quarter = horizon - horizon.rem_euclid(15 * MINUTE);
    let seed = |row: &Row| {
        let Row::Incident(row) = row else { return None };
        let life = row.life;
        let over = life
            .since(Phase::Active)
            .is_some_and(|active| exposed_until(active, life.since(Phase::Resolved)) <= quarter);
        let id = LifeId { incident: life.incident, first: life.first };
        (life.first.time >= horizon - 48 * HOUR).then_some(Seed { life: id, exposure: over.then_some(row.exposure) })
    };
    held.values().filter_map(seed).collect()
}

/// Removes parts of a failing log while it still fails, and fails with what is left.
fn shrink(mut log: Vec<Record>, seed: u64, check: fn(&[Record], u64) -> Result<(), String>) {
    let Err(mut error) = check(&log, seed) else { return };
    let mut size = log.len() / 2;
    while size > 0 {
        let mut start = 0;
        while start < log.len() {
            let mut less = log.clone();
            less.drain(start..(start + size).min(log.len()));
            match check(&less, seed) {
                Err(e) => (log, error) = (less, e),
                Ok(()) => start += size,
            }
        }
        size /= 2;
    }
    log.iter().for_each(|record| println!("{record:?}"));
    cut(&log, seed).iter().for_each(|cut| println!("{:?} of {} records", cut.close, cut.records.len()));
    panic!("seed {seed}, {} records: {error}", log.len());
}

fn seeds_of_environment(count: u64) -> std::ops::Range<u64> {
    let base = std::env::var("CITYSTREAM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let count = std::env::var("CITYSTREAM_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(count);
    base..base + count
}

#[test]
fn tables_are_those_of_the_definitions_at_any_width() {
    for seed in seeds_of_environment(30) {
        println!("seed {seed}");
        let length = 20 + Random(seed).below(600) as usize;
        shrink(random_log(seed, length), seed, widths);
    }
}

#[test]
fn a_run_goes_on_where_another_ended() {
    for seed in seeds_of_environment(60) {
        println!("seed {seed}");
        let length = 20 + Random(seed).below(600) as usize;
        shrink(random_log(seed, length), seed, recover);
    }
}

/// Weather that comes after the pings it governs, and from the half hour before; also where a run goes on.
#[test]
fn late_weather_governs_across_half_hours() {
    for seed in seeds_of_environment(40) {
        println!("seed {seed}");
        let length = 20 + Random(seed).below(400) as usize;
        shrink(weather_log(seed, length), seed, widths);
        shrink(weather_log(seed, length), seed, recover);
    }
}

/// Epochs so large that no operator closes one in a single turn, and so long that incidents begin and end within one.
#[test]
fn large_epochs_are_closed_in_portions() {
    let log = random_log(1, 40_000);
    let expected = tables(&log);
    for (seed, epochs) in [(1, 3), (2, 7)] {
        let size = log.len() / epochs;
        let cuts = chunks(&log, size);
        for workers in [1, 2] {
            let mut found = Tables::new();
            apply(&mut found, &run(&cuts, workers, seed).unwrap(), &cuts).unwrap();
            same(&found, &expected).unwrap();
        }
    }
}

/// Epochs of one size.
fn chunks(log: &[Record], size: usize) -> Vec<Cut> {
    let mut records = vec![Vec::new()];
    records.extend(log.chunks(size).map(<[Record]>::to_vec));
    let last = records.len() - 1;
    let horizon = |epoch: usize| log[epoch * size..].iter().map(Record::time).min();
    let close = |epoch: usize| EpochClose {
        epoch: epoch as u64,
        horizon: if epoch == 0 || epoch == last { None } else { horizon(epoch) },
        kind: [CloseKind::Seal, CloseKind::Recovery][usize::from(epoch == 0)],
        last: epoch == last,
    };
    (0..).zip(records).map(|(epoch, records)| Cut { records, seeds: Vec::new(), close: close(epoch) }).collect()
}
