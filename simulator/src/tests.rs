//! What is promised of simulated records, checked on the records alone.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use citystream_wire::{Place, Topic};
use serde_json::Value;

use crate::*;

/// A message with its own memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) topic: Topic,
    pub(crate) hash: u64,
    pub(crate) key: String,
    pub(crate) at_ms: i64,
    pub(crate) value: Option<Vec<u8>>,
}

impl Kept {
    fn json(&self) -> Value {
        serde_json::from_slice(self.value.as_ref().unwrap()).unwrap()
    }
}

fn all_troubles() -> Trouble {
    Trouble {
        out_of_order: 0.05,
        delayed: 0.05,
        late: 0.04,
        duplicates: 0.03,
        malformed: 0.02,
        skewed: 0.1,
        ahead: 0.1,
        bursts: 0.05,
        silent: 0.05,
        hot_cell: 0.1,
        ..Trouble::default()
    }
}

fn options(trouble: Trouble) -> Options {
    Options { vehicles: 40, trouble, ..Options::default() }
}

fn take(simulator: &mut Simulator, count: usize) -> Vec<Kept> {
    (0..count)
        .map(|_| {
            let m = simulator.next_until(i64::MAX).unwrap();
            let Message { topic, partition_hash, key, log_time_ms, value } = m;
            Kept {
                topic,
                hash: partition_hash,
                key: key.to_owned(),
                at_ms: log_time_ms,
                value: value.map(<[u8]>::to_vec),
            }
        })
        .collect()
}

fn run(options: Options, count: usize) -> Vec<Kept> {
    take(&mut Simulator::new(options, 1).unwrap(), count)
}

#[test]
fn the_same_options_give_the_same_records_on_any_number_of_threads() {
    let all = run(options(all_troubles()), 60_000);
    assert!(all.is_sorted_by_key(|m| m.at_ms), "log time never goes back");
    for threads in [2, 3, 64] {
        let mut simulator = Simulator::new(options(all_troubles()), threads).unwrap();
        assert!(take(&mut simulator, 60_000) == all, "{threads} threads");
    }
    // However few are asked for at once.
    let mut simulator = Simulator::new(options(all_troubles()), 2).unwrap();
    let (mut until_ms, mut by_time) = (options(all_troubles()).start_ms, Vec::new());
    while by_time.len() < 20_000 {
        until_ms += 700;
        while let Some(message) = simulator.next_until(until_ms) {
            assert!(message.log_time_ms <= until_ms);
            by_time.push((message.log_time_ms, message.key.to_owned(), message.value.map(<[u8]>::to_vec)));
        }
    }
    assert!(by_time.into_iter().zip(all).all(|(a, b)| a == (b.at_ms, b.key, b.value)));
}

#[test]
fn another_seed_or_another_start_gives_other_ids() {
    let ids = |options| run(options, 1000).into_iter().map(|m| m.key).collect::<BTreeSet<_>>();
    let base = options(Trouble::default());
    let first = ids(base.clone());
    assert_eq!(first.len(), 1000, "every record has an id of its own");
    assert!(first.is_disjoint(&ids(Options { seed: 2, ..base.clone() })));
    let start_ms = base.start_ms + 1;
    assert!(first.is_disjoint(&ids(Options { start_ms, ..base })), "going on later repeats no id");
}

#[test]
fn a_step_is_five_records_of_one_time_and_place() {
    for step in run(options(Trouble::default()), 20_000).chunks(5) {
        assert_eq!(step.iter().map(|m| m.topic).collect::<Vec<_>>(), topics::TOPICS);
        let json: Vec<Value> = step.iter().map(Kept::json).collect();
        for (message, value) in step.iter().zip(&json) {
            assert_eq!((message.hash, message.at_ms), (step[0].hash, step[0].at_ms));
            assert_eq!(value["id"], *message.key);
            assert_eq!((&value["timestamp"], &value["deviceId"]), (&json[0]["timestamp"], &json[0]["deviceId"]));
            assert_eq!(value["source"], "synthetic");
        }
        let place = |value: &Value| value["location"].as_str().map(|s| s.replace(['(', ')', ' '], ""));
        assert_eq!(json[1]["coordinates"], place(&json[0]).unwrap());
        assert!([2, 3, 4].iter().all(|i| json[*i]["location"] == json[0]["location"]));
        assert_eq!(micros(&json[0]).div_euclid(1000), step[0].at_ms);
    }
}

fn micros(value: &Value) -> i64 {
    let time: jiff::civil::DateTime = value["timestamp"].as_str().unwrap().parse().unwrap();
    time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_microsecond()
}

/// The vehicle records of each device, in the order of time.
fn drives(options: Options, count: usize) -> BTreeMap<String, Vec<Value>> {
    let mut drives = BTreeMap::<String, Vec<Value>>::new();
    for message in run(options, count).iter().filter(|m| m.topic == Topic::VEHICLE) {
        let value = message.json();
        drives.entry(value["deviceId"].as_str().unwrap().to_owned()).or_default().push(value);
    }
    drives
}

#[test]
fn along_a_trip_odometer_fuel_engine_and_place_agree() {
    let ranges = BTreeMap::from([("Petrol", 700.0), ("Diesel", 900.0), ("Hybrid", 850.0), ("Electric", 420.0)]);
    let (mut arrivals, mut refuelled, mut stood) = (0, 0, 0);
    for drive in drives(options(Trouble::default()), 400_000).values() {
        for pair in drive.windows(2) {
            let of = |name: &str| [0, 1].map(|i| pair[i][name].as_f64().unwrap());
            let status = [0, 1].map(|i| pair[i]["engineStatus"].as_str().unwrap());
            let hours = (micros(&pair[1]) - micros(&pair[0])) as f64 / 3.6e9;
            let [before, after] = of("odometer");
            let driven = after - before;
            let said = of("speed")[0] * hours;
            // Kilometres are rounded to metres; where a trip ends, less is driven than the speed says.
            let arrives = status == ["Running", "Off"];
            assert!((driven - said).abs() < 0.002 || arrives && driven <= said + 0.002, "{pair:?}");
            let [full, left] = of("fuelLevel");
            let used = driven / ranges[pair[0]["fuelType"].as_str().unwrap()] * 100.0;
            let fills_up = status[0] == "Off" && left == 100.0;
            assert!((full - left - used).abs() < 0.002 || fills_up, "{pair:?}");
            assert!((1.0..=100.0).contains(&left), "{left}");
            assert_eq!(status[1] == "Running", of("speed")[1] > 0.0);
            arrivals += u32::from(arrives);
            refuelled += u32::from(fills_up && full < 60.0);
            stood += u32::from(status[1] == "Idle");
        }
    }
    assert!(arrivals > 100 && refuelled > 50 && stood > 300, "{arrivals} {refuelled} {stood}");
}

#[test]
fn incidents_are_seen_from_near_and_go_on_in_order() {
    let mut simulator = Simulator::new(Options { vehicles: 400, ..options(Trouble::default()) }, 1).unwrap();
    let messages = take(&mut simulator, 300_000);
    let truth = simulator.truth();
    let mut seen = BTreeMap::<String, Vec<(i64, Value)>>::new();
    for message in messages.iter().filter(|m| m.topic == Topic::EMERGENCY) {
        let value = message.json();
        if value["hasIncident"] == true {
            seen.entry(value["incidentId"].as_str().unwrap().to_owned()).or_default().push((message.at_ms, value));
        }
    }
    let truth: BTreeMap<_, _> = truth.incidents.into_iter().map(|i| (i.id.clone(), i)).collect();
    assert_eq!(truth.keys().collect::<Vec<_>>(), seen.keys().collect::<Vec<_>>());
    assert!(seen.len() > 5, "{} incidents", seen.len());
    for (id, statuses) in seen {
        let incident = &truth[&id];
        assert_eq!(statuses.len() as u64, incident.statuses);
        for (at_ms, value) in statuses {
            let wanted = match at_ms {
                at if at < incident.responding_ms => "Active",
                at if at < incident.resolved_ms => "Responding",
                _ => "Resolved",
            };
            assert_eq!(value["status"], wanted);
            assert_eq!(value["severity"], incident.severity);
            let place = Place { lat: incident.lat, lon: incident.lon };
            assert!(road::distance_m(place, place_of(&value)) < incidents::SEEN_M + 2.0);
            assert!((incident.active_ms..incident.resolved_ms + 600_000).contains(&at_ms));
        }
    }
}

fn place_of(value: &Value) -> Place {
    let text = value["location"].as_str().unwrap().replace(['(', ')', ' '], "");
    let (lat, lon) = text.split_once(',').unwrap();
    Place { lat: lat.parse().unwrap(), lon: lon.parse().unwrap() }
}

#[test]
fn vehicles_are_as_fast_as_the_documented_effects_say() {
    let effects = Effects { rain: 0.7, snow: 0.5, incident: 0.3, ..Effects::default() };
    let (mut checked, mut slow) = (0, 0);
    for step in run(Options { vehicles: 400, effects, ..options(Trouble::default()) }, 400_000).chunks(5) {
        let json: Vec<Value> = step.iter().map(Kept::json).collect();
        let (speed, status) = (json[0]["speed"].as_f64().unwrap(), json[0]["engineStatus"].as_str().unwrap());
        let flow = json[2]["currentSpeed"].as_f64().unwrap();
        let limit = json[2]["freeFlowSpeed"].as_f64().unwrap();
        let condition = json[3]["weatherCondition"].as_str().unwrap();
        let weather = match condition {
            "Rain" | "Drizzle" | "Thunderstorm" => 0.7,
            "Snow" => 0.5,
            _ => 1.0,
        };
        if status == "Running" {
            let against = speed / flow;
            assert!((0.84..1.17).contains(&against), "{against}");
        }
        // Between the height of the rush hour and none.
        let factor = flow / limit / weather;
        if factor < 0.3 * 1.03 {
            slow += 1;
        }
        assert!((0.3 * 0.55 * 0.97..=1.03).contains(&factor), "{factor}");
        checked += 1;
    }
    assert!(checked == 80_000 && slow > 100, "{slow}");
}

#[test]
fn a_crowd_keeps_to_one_cell() {
    let trouble = Trouble { hot_cell: 1.0, ..Trouble::default() };
    let mut simulator = Simulator::new(options(trouble), 1).unwrap();
    let cells: BTreeSet<_> = take(&mut simulator, 50_000)
        .iter()
        .filter(|m| m.topic == Topic::VEHICLE)
        .map(|m| road::cell_of(place_of(&m.json()), h3o::Resolution::Eight))
        .collect();
    assert_eq!((cells.len(), simulator.truth().injected.hot_cell), (1, 50_000));
}

#[test]
fn what_gathers_while_the_connection_is_down_is_sent_at_once() {
    let trouble = Trouble { bursts: 0.2, ..Trouble::default() };
    let mut by_time = BTreeMap::<i64, u64>::new();
    for message in run(options(trouble), 100_000) {
        *by_time.entry(message.at_ms).or_default() += 1;
    }
    let bursts: Vec<_> = by_time.iter().filter(|(_, n)| **n > 200).collect();
    assert!(bursts.len() > 10, "{}", bursts.len());
    // Two minutes in each ten, and all of those two minutes at their end.
    assert!(bursts.iter().all(|(at_ms, _)| **at_ms % 600_000 == 120_000));
    assert!(by_time.keys().all(|at_ms| *at_ms % 600_000 >= 120_000));
}

mod overlay;
mod truth;
