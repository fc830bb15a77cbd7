//! Standing views over random logs, which come and go while they run, at 1 to 3 workers: at each epoch they have those rows of
//! the collections, as plain loops make them, that they ask for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod driver;
mod plain;
#[allow(dead_code, reason = "shared with the tests of the tables")]
#[path = "../../dataflows/tests/world/mod.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use citystream_dataflows::records::TextId;
use citystream_dataflows::time::Epoch;
use citystream_live::area::Area;
use citystream_live::rows::{Key, Place, Row, View};
use citystream_live::standing::{Command, Question};

use driver::{Commands, cut, even, run};
use plain::Plain;
use world::{MINUTE, Random, Record, random_log};

fn seeds(count: u64) -> std::ops::Range<u64> {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let base = read("CITYSTREAM_SEED").unwrap_or(1);
    base..base + read("CITYSTREAM_SEEDS").unwrap_or(count)
}

/// What a view asks, said plainly.
type Asks = Box<dyn Fn(&Row) -> bool>;

/// A question of some kind, about what the log has.
fn question(random: &mut Random, log: &[Record]) -> (Question, Asks) {
    let places: Vec<Place> = log
        .iter()
        .filter_map(|record| match record {
            Record::Ping(it) => Some(it.at.into()),
            Record::Status(it) => Some(it.at.into()),
            _ => None,
        })
        .collect();
    let (one, other) = (random.pick(&places), random.pick(&places));
    let (low, high) = (
        Place { lat: one.lat.min(other.lat), lon: one.lon.min(other.lon) },
        Place { lat: one.lat.max(other.lat) + 1, lon: one.lon.max(other.lon) + 1 },
    );
    let corners =
        [(low.lon, low.lat), (high.lon, low.lat), (high.lon, high.lat), (low.lon, high.lat), (low.lon, low.lat)];
    let area = Area::new(&[corners.map(|(lon, lat)| Place { lat, lon }).to_vec()]).unwrap();
    let is_within = move |at: Place| (low.lat..high.lat).contains(&at.lat) && (low.lon..high.lon).contains(&at.lon);
    match random.below(7) {
        0 => {
            let pings = log.iter().filter_map(|it| if let Record::Ping(it) = it { Some(it.vehicle) } else { None });
            let ids: BTreeSet<TextId> = pings.filter(|_| random.below(3) == 0).collect();
            let asked = ids.clone();
            (
                Question::Vehicles(ids),
                Box::new(move |row| matches!(row, Row::Vehicle(it) if asked.contains(&it.vehicle))),
            )
        }
        1 => (Question::VehiclesIn(area), Box::new(move |row| matches!(row, Row::Vehicle(it) if is_within(it.at)))),
        2 => {
            let kmh = random.below(100) as f64;
            let is_fast = move |speed: i64| speed as f64 / 1e6 > kmh;
            let question = Question::VehiclesAbove((kmh * 1e6) as i64);
            (question, Box::new(move |row| matches!(row, Row::Vehicle(it) if it.speed.is_some_and(is_fast))))
        }
        3 => {
            let below = random.below(1500) as u32;
            let is_slow = move |row: &Row| match row {
                Row::Cell(it) => it.flow.and_then(|flow| flow.ratio()).is_some_and(|ratio| ratio < below),
                _ => false,
            };
            (Question::CellsBelow(below), Box::new(is_slow))
        }
        4 => {
            let k = 1 + random.below(20) as u32;
            (Question::Worst(k), Box::new(move |row| matches!(row, Row::Worst(it) if it.rank <= k)))
        }
        5 => (Question::IncidentsIn(area), Box::new(move |row| matches!(row, Row::Incident(it) if is_within(it.at)))),
        _ => {
            let cells = 1 + random.below(3) as u32;
            (Question::Clusters(cells), Box::new(move |row| matches!(row, Row::Cluster(it) if it.cells >= cells)))
        }
    }
}

fn install(number: u32, question: Question) -> Command {
    Command { number, name: format!("view-{number}").into(), question: Some(Arc::new(question)) }
}

fn remove(number: u32) -> Command {
    Command { number, name: format!("view-{number}").into(), question: None }
}

#[test]
fn standing_views_have_what_they_ask_for_at_every_epoch() {
    let (mut compared, mut kinds) = (0, BTreeMap::<View, usize>::new());
    for seed in seeds(60) {
        println!("CITYSTREAM_SEED={seed}");
        let log = random_log(seed, 20 + Random(seed).below(500) as usize);
        let cuts = cut(&log, seed);
        let mut random = Random(seed + 99);
        let (mut commands, mut asked) = (Commands::new(), BTreeMap::new());
        for number in 0..8 {
            let (question, asks) = question(&mut random, &log);
            let from = random.below(cuts.len() as u64);
            let until = from + random.below(cuts.len() as u64);
            asked.insert(number, (from..until.max(from + 1), question.about(), asks));
            commands.entry(from).or_default().push(install(number, question));
            commands.entry(until.max(from + 1)).or_default().push(remove(number));
        }
        for workers in 1..=3 {
            let ran = run(&cuts, &commands, workers, seed).unwrap();
            let mut plain = Plain::default();
            for (cut, (epoch, standing)) in cuts.iter().zip(&ran.standing) {
                plain.close(cut);
                let rows = plain.rows();
                for (number, (_, about, asks)) in asked.iter().filter(|(_, (span, ..))| span.contains(epoch)) {
                    let expected: BTreeMap<Key, Row> =
                        rows.iter().filter(|(_, row)| asks(row)).map(|(key, row)| (*key, *row)).collect();
                    compared += expected.len();
                    *kinds.entry(*about).or_default() += expected.len();
                    assert_eq!(
                        standing.get(number),
                        Some(&expected),
                        "seed {seed}, {workers} workers, epoch {epoch}, {number}"
                    );
                }
                let there: Vec<&u32> =
                    asked.iter().filter(|(_, (span, ..))| span.contains(epoch)).map(|it| it.0).collect();
                assert_eq!(standing.keys().collect::<Vec<_>>(), there, "seed {seed}, epoch {epoch}");
            }
        }
    }
    println!("{compared} rows compared: {kinds:?}");
    assert!(kinds.len() == View::ALL.len() && kinds.values().all(|count| *count > 100), "{kinds:?}");
}

/// Vehicles that go on and on.
fn rush(epochs: u64) -> Vec<Record> {
    let mut random = Random(3);
    let pings: Vec<_> = random_log(4, 400)
        .into_iter()
        .filter_map(|it| if let Record::Ping(it) = it { Some(it) } else { None })
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
fn a_thousand_views_that_come_and_go_leave_nothing() {
    let log = rush(600);
    let cuts = even(&log, 20);
    let (mut commands, mut random) = (Commands::new(), Random(5));
    for number in 0..1000_u32 {
        let from = Epoch::from(number / 2);
        commands.entry(from).or_default().push(install(number, question(&mut random, &log).0));
        commands.entry(from + 3).or_default().push(remove(number));
    }
    let with = run(&cuts, &commands, 1, 7).unwrap();
    let without = run(&cuts, &Commands::new(), 1, 7).unwrap();
    println!("updates held: {} at most, {} without views; {} at the end", with.most_held, without.most_held, with.held);
    let rows = with.states.last_key_value().unwrap().1.keys().filter(|key| key.view() == View::Vehicles).count();
    assert!(with.standing.values().any(|views| views.values().any(|rows| !rows.is_empty())), "they had rows");
    assert!(with.standing.last_key_value().unwrap().1.is_empty(), "all are gone");
    assert!(with.held <= 8 * rows + 64 && with.most_held <= without.most_held + 64, "an arrangement has grown");
}
