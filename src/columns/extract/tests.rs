//! What the decoder makes of JSON comes out as the records that the definitions speak of.
#![allow(clippy::unwrap_used)]

use citystream_dataflows::operators::classify::Classified;
use citystream_dataflows::records::{IncidentKind, Level, Phase, Severity, Source, Stamp};
use citystream_dataflows::time::bindings::{NextOffset, Partition};
use citystream_dataflows::time::disposition::Disposition::{Duplicate, Late, OnTime};
use citystream_wire::Topic;
use h3o::{LatLng, Resolution};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::*;
use crate::columns::decode::{DecodeOptions, Decoder, Incoming, RawBatch};
use crate::columns::text_hash::testing::{hasher, text};
use crate::sink::write::complete;
use crate::source::Record;

/// 2026-11-23T10:15:30Z.
const T: Micros = 1_795_428_930_000_000;

/// Records of one topic at offsets 0, 1, ... of partition 3, received 2.5 s after `T`.
fn decoded(topic: Topic, members: &[Value]) -> Vec<RawBatch> {
    let options = DecodeOptions { timezone: TimeZone::UTC, max_record: 4096, max_ahead: 3_600_000_000 };
    let mut decoder = Decoder::new(options, hasher());
    let mut rows = decoder.rows();
    let place = if topic == Topic::GPS { "coordinates" } else { "location" };
    for (offset, members) in members.iter().enumerate() {
        let offset = offset as i64;
        let mut record = json!({"id": format!("id-{offset}"), "deviceId": "car", "timestamp": "2026-11-23T10:15:30"});
        record[place] = json!("52.5,-0.25");
        for (name, value) in members.as_object().unwrap() {
            record[name] = value.clone();
        }
        let payload = record.to_string();
        let (next, payload) = (NextOffset(offset + 1), Some(payload.as_bytes()));
        let record = Record { offset, next, log_time: T + 2_500_000, key: None, payload, length: None };
        let partition = Partition { topic, index: 3 };
        decoder.decode(Incoming::new(partition, None, record), &mut rows);
    }
    rows.finish()
}

/// The rows with these dispositions, all in one window of data quality.
fn classified(batch: RawBatch, dispositions: &[Disposition]) -> Batch {
    let quality_windows = vec![Some(T); batch.columns.num_rows()];
    Classified { batch, dispositions: dispositions.to_vec(), quality_windows }.into()
}

/// Extracts from the decoded rows, and again from what a raw table's file would hold, projected.
fn extracted(topic: Topic, members: &[Value], dispositions: &[Disposition]) -> Records {
    let batch = decoded(topic, members).remove(0);
    let table = Table::Raw(topic);
    let mut records = Records::default();
    let batch = classified(batch, dispositions);
    Extractor::new(hasher()).extract(&batch, &mut records).unwrap();
    let stored = complete(&batch, 5, 9).unwrap();
    let schema = stored.schema();
    let needed: Vec<usize> = columns(table).iter().map(|name| schema.index_of(name).unwrap()).collect();
    let mut again = Records::default();
    let projected = stored.project(&needed).unwrap();
    let projected = super::stored(table, projected).unwrap();
    assert_eq!(projected.dispositions, dispositions);
    Extractor::new(hasher()).extract(&projected, &mut again).unwrap();
    assert_eq!(records, again);
    records
}

fn stamp(offset: i64) -> Stamp {
    Stamp { time: T, partition: 3, offset }
}

fn told(name: &str) -> Told {
    Told { id: text(name.as_bytes()), text: name.to_owned(), time: T }
}

const AT: Point = Point { lat: 52.5, lon: -0.25 };

fn cell(resolution: Resolution) -> u64 {
    LatLng::new(AT.lat, AT.lon).unwrap().to_cell(resolution).into()
}

#[test]
fn only_rows_on_time_become_records_and_all_become_deliveries() {
    let members = [json!({"speed": 31.5}), json!({"deviceId": "late"}), json!({}), json!({"speed": 1.0})];
    let records = extracted(Topic::GPS, &members, &[OnTime, Late, OnTime, Duplicate]);
    let (c8, c5) = (cell(Resolution::Eight), cell(Resolution::Five));
    let ping = Ping { stamp: stamp(0), vehicle: text(b"car"), at: AT, speed: Reading::new(31.5), c8, c5 };
    assert_eq!(records.pings, [ping, Ping { stamp: stamp(2), speed: Reading::NONE, ..ping }]);
    assert_eq!(records.names, [told("car")]);
    let outcomes: Vec<u8> = records.deliveries.iter().map(|delivery| delivery.outcome.0).collect();
    assert_eq!(outcomes, [0, 1, 0, 3]);
    let delivery = Delivery { topic: Topic::GPS, window: T, outcome: Outcome(0), delay_s: 3 };
    assert_eq!(records.deliveries[0], delivery);
}

#[test]
fn traffic_has_its_words() {
    let full = json!({"trafficLevel": "MODERATE", "currentSpeed": 20.0, "freeFlowSpeed": 40.0, "roadClosure": true,
        "source": "synthetic"});
    let odd = json!({"trafficLevel": "JAM", "freeFlowSpeed": 0.5, "source": "guess", "roadClosure": false});
    let traffic = extracted(Topic::TRAFFIC, &[full, odd, json!({})], &[OnTime; 3]).traffic;
    let (level, source) = (Some(Level::Moderate), Some(Source::Synthetic));
    let (current, free_flow) = (Reading::new(20.0), Reading::new(40.0));
    let (stamp_0, c8) = (stamp(0), cell(Resolution::Eight));
    let full = Traffic { stamp: stamp_0, at: AT, c8, current, free_flow, level, closure: Some(true), source };
    let none = Reading::NONE;
    let bare = Traffic { current: none, free_flow: none, level: None, closure: None, source: None, ..full };
    let odd = Traffic { stamp: stamp(1), closure: Some(false), ..bare };
    assert_eq!(traffic, [full, odd, Traffic { stamp: stamp(2), ..bare }]);
}

#[test]
fn weather_has_all_measures_in_order() {
    let full = json!({"temperature": 1.5, "precipitation": 2.5, "windSpeed": 3.5, "humidity": 4, "airQualityIndex": 5.5,
        "pressure": 6.5, "visibility": 7.5, "weatherCondition": "Drizzle", "source": "cached"});
    let records = extracted(Topic::WEATHER, &[full, json!({"weatherCondition": "Drizzle"}), json!({})], &[OnTime; 3]);
    let [full, damp, bare] = records.weather.try_into().unwrap();
    assert_eq!(full.measures, [1.5, 2.5, 3.5, 4.0, 5.5, 6.5, 7.5].map(Reading::new));
    assert_eq!((full.condition, full.sky, full.source), (text(b"Drizzle"), Sky::Rain, Some(Source::Cached)));
    assert_eq!((full.c5, full.at, full.stamp), (cell(Resolution::Five), AT, stamp(0)));
    assert_eq!((damp.condition, damp.measures), (full.condition, [Reading::NONE; Measure::COUNT]));
    assert_eq!((bare.condition, bare.sky, bare.source), (TextId::NONE, Sky::Other, None));
    assert_eq!(records.names, [told("Drizzle")]);
}

#[test]
fn vehicles_have_fuel_and_odometer() {
    let members = [json!({"fuelLevel": 50.5, "odometer": 1000.25}), json!({"deviceId": "van"})];
    let records = extracted(Topic::VEHICLE, &members, &[OnTime; 2]);
    let (fuel, odometer) = (Reading::new(50.5), Reading::new(1000.25));
    let car = VehicleRecord { stamp: stamp(0), vehicle: text(b"car"), fuel, odometer };
    let (vehicle, none) = (text(b"van"), Reading::NONE);
    assert_eq!(records.vehicles, [car, VehicleRecord { stamp: stamp(1), vehicle, fuel: none, odometer: none }]);
    assert_eq!(records.names.len(), 2);
}

#[test]
fn statuses_are_those_of_incidents() {
    let full = json!({"hasIncident": true, "incidentId": "fire-7", "type": "Fire", "status": "Responding",
        "severity": "High", "source": "live"});
    let vague = json!({"hasIncident": true, "incidentId": "", "type": "None", "status": "None"});
    let members = [full, json!({"hasIncident": false, "incidentId": "x"}), json!({"incidentId": "y"}), vague];
    let records = extracted(Topic::EMERGENCY, &members, &[OnTime; 4]);
    let (phase, kind, severity) = (Some(Phase::Responding), Some(IncidentKind::Fire), Some(Severity::High));
    let (incident, source) = (text(b"fire-7"), Some(Source::Live));
    let full = Status { stamp: stamp(0), incident, at: AT, phase, kind, severity, source };
    let incident = text(b"id-3");
    let vague = Status { stamp: stamp(3), incident, phase: None, kind: None, severity: None, source: None, ..full };
    assert_eq!(records.statuses, [full, vague]);
    let named: Vec<&str> = records.names.iter().map(|told| told.text.as_str()).collect();
    assert_eq!(named, ["fire-7", "id-3"]);
}

#[test]
fn dead_letters_become_deliveries_by_topic_and_reason() {
    let dead = [json!({"deviceId": ""}), json!({"location": "here"}), json!({"timestamp": "2027-01-01T00:00:00"})];
    let batch = classified(decoded(Topic::WEATHER, &dead).remove(0), &[]);
    assert_eq!(batch.table, Table::DeadLetters);
    let mut records = Records::default();
    Extractor::new(hasher()).extract(&batch, &mut records).unwrap();
    let delivery = |reason: Reason| {
        let outcome = Outcome(4 + reason as u8);
        Delivery { topic: Topic::WEATHER, window: T, outcome, delay_s: 0 }
    };
    assert_eq!(records.deliveries, [Reason::MissingField, Reason::BadPosition, Reason::Ahead].map(delivery));
}

#[test]
fn delays_are_rounded_to_the_nearest_second_and_clamped() {
    let delays = [(0, 0), (499_999, 0), (500_000, 1), (1_499_999, 1), (-500_000, 0), (-500_001, -1), (-1_500_001, -2)];
    for (micros, seconds) in delays {
        assert_eq!(delay_s(T + micros, T), seconds, "{micros}");
    }
    let far = [delay_s(i64::MAX, 0), delay_s(0, i64::MAX), delay_s(T, 0), delay_s(i64::MIN, i64::MAX)];
    assert_eq!(far, [86_400, -86_400, 86_400, -86_400]);
}

#[test]
fn a_text_is_told_once() {
    let mut extractor = Extractor::new(hasher());
    let batch = classified(decoded(Topic::GPS, &[json!({}), json!({"deviceId": "van"})]).remove(0), &[OnTime; 2]);
    let tell = |extractor: &mut Extractor| {
        let mut records = Records::default();
        extractor.extract(&batch, &mut records).unwrap();
        records.names.len()
    };
    assert_eq!([tell(&mut extractor), tell(&mut extractor)], [2, 0]);
    extractor.forget_before(Some(T));
    assert_eq!(tell(&mut extractor), 0);
    extractor.forget_before(Some(T + 1));
    assert_eq!(tell(&mut extractor), 2, "nobody knows them any more");
}

#[test]
fn rows_that_are_not_the_tables_are_an_error() {
    let batch = classified(decoded(Topic::GPS, &[json!({})]).remove(0), &[OnTime]);
    let mut extractor = Extractor::new(hasher());
    let mut records = Records::default();
    let narrow = batch.columns.project(&[0, 1]).unwrap();
    let narrow = Batch { columns: narrow, ..batch.clone() };
    let undecided = Batch { dispositions: Vec::new(), ..batch.clone() };
    for (rows, what) in [(narrow, "lack"), (undecided, "0 dispositions")] {
        let error = extractor.extract(&rows, &mut records).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(crate::error::RunError::from(error).exit_code(), 5);
    }
    assert_eq!(records, Records::default());
}
