//! The collections over random logs, epoch by epoch and at 1 to 3 workers, against plain loops over the same records.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod driver;
mod plain;
#[allow(dead_code, reason = "shared with the tests of the tables")]
#[path = "../../dataflows/tests/world/mod.rs"]
mod world;

use citystream_dataflows::records::Ping;
use citystream_live::rows::{Key, View};

use driver::{Commands, Cut, cut, run};
use plain::Plain;
use world::{MINUTE, Random, Record, random_log};

fn seeds(count: u64) -> std::ops::Range<u64> {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let base = read("CITYSTREAM_SEED").unwrap_or(1);
    base..base + read("CITYSTREAM_SEEDS").unwrap_or(count)
}

/// At each epoch the rows are those of the definitions; returns how many rows of each view were ever there.
fn check(cuts: &[Cut], workers: usize, seed: u64) -> Result<[usize; 5], String> {
    let states = run(cuts, &Commands::new(), workers, seed)?.states;
    let mut plain = Plain::default();
    let mut seen = [0; 5];
    if states.len() != cuts.len() {
        return Err(format!("{} frames of {} epochs", states.len(), cuts.len()));
    }
    for (cut, (epoch, state)) in cuts.iter().zip(&states) {
        plain.close(cut);
        let expected = plain.rows();
        let keys: std::collections::BTreeSet<&Key> = state.keys().chain(expected.keys()).collect();
        for key in keys {
            seen[key.view() as usize] += 1;
            if state.get(key) != expected.get(key) {
                let (found, right) = (state.get(key), expected.get(key));
                return Err(format!("{workers} workers, epoch {epoch}: {key:?} is\n  {found:?}\nand not\n  {right:?}"));
            }
        }
    }
    Ok(seen)
}

#[test]
fn collections_are_those_of_the_definitions_at_every_epoch() {
    let mut seen = [0; 5];
    for seed in seeds(60) {
        println!("CITYSTREAM_SEED={seed}");
        let log = random_log(seed, 20 + Random(seed).below(500) as usize);
        let cuts = cut(&log, seed);
        for workers in 1..=3 {
            let found = check(&cuts, workers, seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            seen.iter_mut().zip(found).for_each(|(seen, found)| *seen += found);
        }
    }
    for view in View::ALL {
        assert!(seen[view as usize] > 100, "no test of {view:?}: {seen:?}");
    }
}

/// Vehicles that go on and on, in so many epochs.
fn rush(epochs: u64) -> Vec<Record> {
    let mut random = Random(3);
    let pings: Vec<Ping> = random_log(4, 400)
        .into_iter()
        .filter_map(|record| if let Record::Ping(p) = record { Some(p) } else { None })
        .collect();
    (0..epochs as i64 * 20)
        .map(|n| {
            let mut ping = random.pick(&pings);
            ping.stamp.time = 1_600_000_000_000_000 + n * MINUTE / 100;
            ping.stamp.offset = n;
            Record::Ping(ping)
        })
        .collect()
}

#[test]
fn arrangements_stay_as_small_as_what_they_show() {
    let cuts = driver::even(&rush(1000), 20);
    let run = run(&cuts, &Commands::new(), 1, 7).unwrap();
    let rows = run.states.last_key_value().unwrap().1.keys().filter(|key| key.view() == View::Vehicles).count();
    println!("{rows} vehicles, {} updates held, {} at most", run.held, run.most_held);
    assert!(rows > 3 && run.held <= 8 * rows + 64, "{rows} rows in {} updates", run.held);
    assert!(run.most_held <= 16 * rows + 256, "{rows} rows in {} updates", run.most_held);
    assert_eq!(run.peeked, rows, "what is arranged is what the frames add up to");
}
