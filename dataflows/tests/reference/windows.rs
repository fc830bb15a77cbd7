//! The tables of windows as their definitions say.

use std::collections::BTreeSet;

use citystream_dataflows::records::changes::EnrichedPing;
use citystream_dataflows::records::measures::{distance_mm, quantised};
use citystream_dataflows::records::{Delivery, Level, Ping, Reading, Source, Traffic, VehicleRecord, Weather};
use citystream_dataflows::tables::data_quality_15m::{Delays, QualityWindow};
use citystream_dataflows::tables::environment_15m::EnvironmentWindow;
use citystream_dataflows::tables::traffic_5m::TrafficWindow;
use citystream_dataflows::tables::vehicle_15m::VehicleWindow;
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::Topic;

use super::mean;
use crate::world::{MINUTE, SECOND};

fn window(time: Micros, minutes: i64) -> Micros {
    time.div_euclid(minutes * MINUTE) * minutes * MINUTE
}

/// Nearest rank.
fn percentile(values: &[i32], percent: usize) -> i32 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (percent * sorted.len()).div_ceil(100);
    sorted[rank.max(1) - 1]
}

fn count<T>(values: &[T], is: impl Fn(&T) -> bool) -> u64 {
    values.iter().filter(|value| is(value)).count() as u64
}

pub fn traffic(pings: &[EnrichedPing], records: &[Traffic]) -> Vec<TrafficWindow> {
    let of_ping = |p: &EnrichedPing| (p.ping.c8, window(p.ping.stamp.time, 5));
    let of_record = |r: &Traffic| (r.c8, window(r.stamp.time, 5));
    let keys: BTreeSet<_> = pings.iter().map(of_ping).chain(records.iter().map(of_record)).collect();
    let row = |key| {
        let pings: Vec<_> = pings.iter().copied().filter(|p| of_ping(p) == key).collect();
        let records: Vec<_> = records.iter().copied().filter(|r| of_record(r) == key).collect();
        traffic_window(key, &pings, &records)
    };
    keys.into_iter().map(row).collect()
}

fn traffic_window((c8, start): (u64, Micros), pings: &[EnrichedPing], records: &[Traffic]) -> TrafficWindow {
    let vehicles: BTreeSet<_> = pings.iter().map(|p| p.ping.vehicle).collect();
    let speeds: Vec<f64> = pings.iter().filter_map(|p| p.ping.speed.get()).collect();
    let whole: Vec<i32> = speeds.iter().map(|v| v.floor() as i32).collect();
    let slowness: Vec<i64> = speeds.iter().filter(|v| **v >= 1.0).map(|v| quantised(1.0 / v)).collect();
    let harmonic = slowness.len() as f64 * 1e6 / slowness.iter().sum::<i64>() as f64;
    let matched = pings.iter().filter_map(|p| p.traffic);
    let ratios = matched.filter_map(|t| Some(t.current.get()? / t.free_flow.get()?));
    let ratios: Vec<f64> = ratios.collect();
    let least = ratios.iter().map(|r| quantised(*r)).min();
    TrafficWindow {
        c8,
        start,
        pings: pings.len() as u64,
        vehicles: vehicles.len() as u64,
        with_traffic: count(pings, |p| p.traffic.is_some()),
        speed_mean: mean(pings.iter().map(|p| p.ping.speed)),
        speed_harmonic: Reading::new(harmonic),
        speed_percentiles: (!whole.is_empty()).then(|| [50, 85, 95].map(|percent| percentile(&whole, percent))),
        ratio_mean: mean(ratios.iter().map(|r| Reading::new(*r))),
        ratio_min: least.map(|r| r as f64 / 1e6).into(),
        congested: count(&ratios, |r| *r < 0.9),
        records: records.len() as u64,
        closures: count(records, |r| r.closure == Some(true)),
        levels: [Level::Light, Level::Moderate, Level::Heavy].map(|level| count(records, |r| r.level == Some(level))),
        sources: [Source::Live, Source::Cached, Source::Synthetic]
            .map(|source| count(records, |r| r.source == Some(source))),
    }
}

pub fn vehicle(pings: &[Ping], records: &[VehicleRecord]) -> Vec<VehicleWindow> {
    let (mut pings, mut records) = (pings.to_vec(), records.to_vec());
    pings.sort_by_key(|p| p.stamp);
    records.sort_by_key(|r| r.stamp);
    let of_ping = |p: &Ping| (p.vehicle, window(p.stamp.time, 15));
    let of_record = |r: &VehicleRecord| (r.vehicle, window(r.stamp.time, 15));
    let keys: BTreeSet<_> = pings.iter().map(of_ping).chain(records.iter().map(of_record)).collect();
    let mut rows = Vec::new();
    for key in keys {
        let mut row = VehicleWindow {
            vehicle: key.0,
            start: key.1,
            pings: count(&pings, |p| of_ping(p) == key),
            records: count(&records, |r| of_record(r) == key),
            steps: 0,
            distance_mm: 0,
            moving_us: 0,
            idle_us: 0,
            harsh: None,
            fuel_used: None,
            odometer_gain: None,
        };
        let mine: Vec<Ping> = pings.iter().copied().filter(|p| p.vehicle == key.0).collect();
        mine.windows(2).filter(|pair| of_ping(&pair[1]) == key).for_each(|pair| step(&mut row, &pair[0], &pair[1]));
        let mine: Vec<VehicleRecord> = records.iter().copied().filter(|r| r.vehicle == key.0).collect();
        for pair in mine.windows(2).filter(|pair| of_record(&pair[1]) == key) {
            gauges(&mut row, &pair[0], &pair[1]);
        }
        rows.push(row);
    }
    rows
}

fn step(row: &mut VehicleWindow, from: &Ping, to: &Ping) {
    let dt = to.stamp.time - from.stamp.time;
    if dt <= 0 || dt > 5 * MINUTE {
        return;
    }
    row.steps += 1;
    let mm = distance_mm(from.at, to.at);
    let kmh = (mm as f64 / 1e6) / (dt as f64 / 3.6e9);
    row.distance_mm += if kmh > 250.0 { 0 } else { mm };
    if to.speed.get().unwrap_or(0.0) >= 5.0 {
        row.moving_us += dt;
    } else {
        row.idle_us += dt;
    }
    let (Some(before), Some(after)) = (from.speed.get(), to.speed.get()) else { return };
    if dt > 3 * SECOND {
        return;
    }
    // In whole numbers: 1e-6 km/h, and microseconds.
    let gained = i128::from(quantised(after) - quantised(before)) * 10;
    let [accelerated, braked] = row.harsh.unwrap_or_default();
    let is_accelerated = gained >= 3 * 36 * i128::from(dt);
    let is_braked = 2 * gained <= -7 * 36 * i128::from(dt);
    row.harsh = Some([accelerated + u64::from(is_accelerated), braked + u64::from(is_braked)]);
}

fn gauges(row: &mut VehicleWindow, from: &VehicleRecord, to: &VehicleRecord) {
    if to.stamp.time - from.stamp.time > 5 * MINUTE {
        return;
    }
    let gain = |from: Reading, to: Reading| Some(quantised(to.get()?) - quantised(from.get()?));
    if let Some(gain) = gain(from.fuel, to.fuel) {
        row.fuel_used = Some(row.fuel_used.unwrap_or(0) + (-gain).max(0));
    }
    if let Some(gain) = gain(from.odometer, to.odometer) {
        row.odometer_gain = Some(row.odometer_gain.unwrap_or(0) + gain.max(0));
    }
}

pub fn environment(pings: &[EnrichedPing], records: &[Weather]) -> Vec<EnvironmentWindow> {
    let of_ping = |p: &EnrichedPing| (p.ping.c5, window(p.ping.stamp.time, 15));
    let of_record = |r: &Weather| (r.c5, window(r.stamp.time, 15));
    let rain = |p: &EnrichedPing| p.ping.speed.get().and_then(|_| p.weather?.rain);
    let known = pings.iter().filter(|p| rain(p).is_some());
    let keys: BTreeSet<_> = known.map(of_ping).chain(records.iter().map(of_record)).collect();
    let row = |key| {
        let records: Vec<_> = records.iter().filter(|r| of_record(r) == key).collect();
        let drives = |wanted| {
            let drives = pings.iter().filter(|p| of_ping(p) == key && rain(p) == Some(wanted));
            let speeds: Vec<Reading> = drives.map(|p| p.ping.speed).collect();
            (speeds.len() as u64, mean(speeds.into_iter()))
        };
        let measures = std::array::from_fn(|measure| {
            let values: Vec<Reading> = records.iter().map(|r| r.measures[measure]).collect();
            let known = || values.iter().filter_map(|v| v.get()).map(quantised);
            let end = |value: Option<i64>| Reading::from(value.map(|value| value as f64 / 1e6));
            [mean(values.iter().copied()), end(known().min()), end(known().max())]
        });
        let (rain, dry) = (drives(true), drives(false));
        EnvironmentWindow { c5: key.0, start: key.1, records: records.len() as u64, measures, rain, dry }
    };
    keys.into_iter().map(row).collect()
}

pub fn quality(deliveries: &[Delivery]) -> Vec<QualityWindow> {
    let key = |d: &Delivery| (d.topic, window(d.window, 15));
    let keys: BTreeSet<(Topic, Micros)> = deliveries.iter().map(key).collect();
    let row = |(topic, start)| {
        let mine: Vec<_> = deliveries.iter().filter(|d| key(d) == (topic, start)).collect();
        let most = mine.iter().map(|d| d.outcome.0).max().unwrap_or(0);
        let outcomes = (0..=most).map(|outcome| count(&mine, |d| d.outcome.0 == outcome)).collect();
        let delays: Vec<i32> = mine.iter().filter(|d| d.outcome.0 < 4).map(|d| d.delay_s).collect();
        let delays = delays
            .iter()
            .copied()
            .max()
            .map(|max| Delays { percentiles: [50, 99].map(|percent| percentile(&delays, percent)), max });
        QualityWindow { topic, start, outcomes, delays }
    };
    keys.into_iter().map(row).collect()
}
