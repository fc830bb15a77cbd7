//! Each derived table shows what its rows say, in the schema of its table.
#![allow(clippy::unwrap_used)]

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use citystream_dataflows::records::changes::*;
use citystream_dataflows::records::*;
use citystream_dataflows::tables::data_quality_15m::{self, Delays, QualityWindow};
use citystream_dataflows::tables::environment_15m::{self, EnvironmentWindow};
use citystream_dataflows::tables::incidents::{self, IncidentRow};
use citystream_dataflows::tables::traffic_5m::{self, TrafficWindow};
use citystream_dataflows::tables::vehicle_15m::{self, VehicleWindow};
use citystream_dataflows::tables::{Columns, enriched_pings, incident_exposures};
use citystream_wire::Topic;
use h3o::{LatLng, Resolution};

use super::{Block, Derived, RenderError, Table};
use crate::columns::names::{Names, Told};
use crate::columns::tables::{Batch, decoded_schema, schema};
use crate::columns::text_hash::testing::text;
use crate::error::RunError;
use crate::sink::write::{Encoder, EncoderOptions, complete};

const T: i64 = 1_795_428_930_000_000;

fn names(texts: &[&str]) -> Names {
    let names = Names::new(0, &std::sync::Arc::default());
    let told = |t: &&str| Told { id: text(t.as_bytes()), text: (*t).to_owned(), time: 0 };
    names.intern(texts.iter().map(told));
    names
}

fn cell(resolution: Resolution) -> u64 {
    LatLng::new(52.5, -0.25).unwrap().to_cell(resolution).into()
}

/// Rows of a type that one table shows.
trait Shown: Clone {
    fn table() -> (&'static str, Columns<Self>);
}

macro_rules! shown {
    ($($row:ty: $table:ident),*) => {$(
        impl Shown for $row {
            fn table() -> (&'static str, Columns<Self>) {
                ($table::TABLE.name, $table::columns())
            }
        }
    )*};
}

shown!(
    EnrichedPing: enriched_pings,
    TrafficWindow: traffic_5m,
    VehicleWindow: vehicle_15m,
    EnvironmentWindow: environment_15m,
    IncidentRow: incidents,
    QualityWindow: data_quality_15m,
    VehicleExposure: incident_exposures
);

fn render<R: Shown>(changes: &[Change<R>], names: &Names) -> Result<RecordBatch, RenderError> {
    let (table, columns) = R::table();
    let block = Block::changes(Derived::from_name(table).unwrap(), &columns, changes);
    Ok(super::render(block, names)?.columns)
}

fn added<R>(row: R) -> Change<R> {
    Change { row, diff: 1 }
}

/// A row's value in words; `null` for none.
fn value(batch: &RecordBatch, row: usize, column: &str) -> String {
    let array = batch.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
    if array.is_null(row) {
        return "null".to_owned();
    }
    match array.data_type() {
        DataType::Timestamp(..) => format!("{}", array.as_primitive::<TimestampMicrosecondType>().value(row) - T),
        _ => array_value_to_string(array, row).unwrap(),
    }
}

fn check(batch: &RecordBatch, row: usize, expected: &[(&str, &str)]) {
    for (column, expected) in expected {
        assert_eq!(value(batch, row, column), *expected, "{column}");
    }
}

fn stamp(time: i64, partition: i32, offset: i64) -> Stamp {
    Stamp { time: T + time, partition, offset }
}

fn ping() -> Ping {
    Ping {
        stamp: stamp(0, 3, 70),
        vehicle: text(b"car"),
        at: Point { lat: 52.5, lon: -0.25 },
        speed: Reading::new(31.5),
        c8: cell(Resolution::Eight),
        c5: cell(Resolution::Five),
    }
}

fn rich_ping() -> EnrichedPing {
    let traffic = TrafficMatch {
        stamp: stamp(-1_500_000, 1, 5),
        distance_mm: 12_345,
        source: Some(Source::Cached),
        level: Some(Level::Heavy),
        current: Reading::new(24.0),
        free_flow: Reading::new(96.0),
    };
    let weather = WeatherMatch {
        stamp: stamp(-60_000_000, 0, 9),
        distance_mm: 1,
        source: None,
        condition: text(b"Rain"),
        sky: Sky::Rain,
        precipitation: Reading::new(0.5),
        rain: Some(true),
    };
    let incidents = IncidentMatch {
        active: 2,
        incident: text(b"fire-7"),
        stamp: stamp(-1, 2, 4),
        distance_mm: 1_500_000,
        source: Some(Source::Live),
    };
    EnrichedPing { ping: ping(), traffic: Some(traffic), weather: Some(weather), incidents: Some(incidents) }
}

#[test]
fn an_enriched_ping_names_its_sources() {
    let bare =
        EnrichedPing { ping: Ping { speed: Reading::NONE, ..ping() }, traffic: None, weather: None, incidents: None };
    let changes = [Change { row: bare, diff: -1 }, added(rich_ping())];
    let batch = render(&changes, &names(&["car", "Rain", "fire-7"])).unwrap();
    let key = [("row_key", "3/70"), ("event_time", "0"), ("vehicle_id", "car"), ("lat", "52.5"), ("lon", "-0.25")];
    (0..2).for_each(|row| check(&batch, row, &key));
    check(&batch, 0, &[("diff", "-1"), ("speed_kmh", "null"), ("active_incidents", "0"), ("incident_id", "null")]);
    for column in ["traffic_offset", "traffic_age_s", "congested", "weather_condition", "incident_distance_m"] {
        check(&batch, 0, &[(column, "null")]);
    }
    check(&batch, 1, &[("diff", "1"), ("speed_kmh", "31.5"), ("partition", "3"), ("offset", "70")]);
    check(&batch, 1, &[("traffic_partition", "1"), ("traffic_offset", "5"), ("traffic_age_s", "1.5")]);
    check(&batch, 1, &[("traffic_distance_m", "12.345"), ("traffic_source", "cached"), ("traffic_level", "HEAVY")]);
    check(&batch, 1, &[("speed_ratio", "0.25"), ("travel_time_index", "4.0"), ("congested", "true")]);
    check(&batch, 1, &[("weather_offset", "9"), ("weather_age_s", "60.0"), ("weather_source", "null")]);
    check(&batch, 1, &[("weather_condition", "Rain"), ("precipitation_mm", "0.5"), ("active_incidents", "2")]);
    check(&batch, 1, &[("incident_id", "fire-7"), ("incident_age_s", "1e-6"), ("incident_distance_m", "1500.0")]);
    check(&batch, 1, &[("incident_partition", "2"), ("incident_offset", "4"), ("incident_source", "live")]);
    let cells: Vec<i64> =
        ["h3_8", "h3_5"].map(|c| batch.column_by_name(c).unwrap().as_primitive::<Int64Type>().value(1)).into();
    assert_eq!(cells, [cell(Resolution::Eight) as i64, cell(Resolution::Five) as i64]);
}

fn traffic_window() -> TrafficWindow {
    TrafficWindow {
        c8: cell(Resolution::Eight),
        start: T,
        pings: 4,
        vehicles: 2,
        with_traffic: 3,
        speed_mean: Reading::new(30.25),
        speed_harmonic: Reading::NONE,
        speed_percentiles: Some([20, 30, 40]),
        ratio_mean: Reading::new(0.5),
        ratio_min: Reading::new(0.25),
        congested: 1,
        records: 6,
        closures: 1,
        levels: [1, 2, 3],
        sources: [4, 5, 6],
    }
}

#[test]
fn a_traffic_window_stands_at_its_cells_centre() {
    let quiet = TrafficWindow { speed_percentiles: None, speed_mean: Reading::NONE, ..traffic_window() };
    let batch = render(&[added(traffic_window()), added(quiet)], &names(&[])).unwrap();
    let key = format!("{}/{T}", cell(Resolution::Eight));
    check(&batch, 0, &[("row_key", &key), ("window_start", "0"), ("pings", "4"), ("pings_with_traffic", "3")]);
    check(&batch, 0, &[("vehicles", "2"), ("speed_mean_kmh", "30.25"), ("speed_harmonic_kmh", "null")]);
    check(&batch, 0, &[("speed_p50_kmh", "20"), ("speed_p85_kmh", "30"), ("speed_p95_kmh", "40")]);
    check(&batch, 0, &[("speed_ratio_mean", "0.5"), ("speed_ratio_min", "0.25"), ("congested_pings", "1")]);
    check(&batch, 0, &[("traffic_records", "6"), ("closures", "1"), ("light", "1"), ("moderate", "2"), ("heavy", "3")]);
    check(&batch, 0, &[("live", "4"), ("cached", "5"), ("synthetic", "6")]);
    check(&batch, 1, &[("speed_p50_kmh", "null"), ("speed_p95_kmh", "null"), ("speed_mean_kmh", "null")]);
    let [lat, lon] = ["lat", "lon"].map(|c| batch.column_by_name(c).unwrap().as_primitive::<Float64Type>().value(0));
    let centre = LatLng::new(lat, lon).unwrap();
    assert_eq!(u64::from(centre.to_cell(Resolution::Eight)), cell(Resolution::Eight));
    assert!(centre.distance_m(LatLng::new(52.5, -0.25).unwrap()) < 600.0);
}

fn vehicle_window() -> VehicleWindow {
    VehicleWindow {
        vehicle: text(b"car"),
        start: T,
        pings: 3,
        records: 2,
        steps: 1,
        distance_mm: 1_234_567,
        moving_us: 1_500_000,
        idle_us: 0,
        harsh: Some([1, 0]),
        fuel_used: Some(250_000),
        odometer_gain: None,
    }
}

#[test]
fn a_vehicle_window_shows_metres_seconds_and_shares() {
    let calm = VehicleWindow { harsh: None, fuel_used: None, odometer_gain: Some(7), ..vehicle_window() };
    let batch = render(&[added(vehicle_window()), added(calm)], &names(&["car"])).unwrap();
    let key = format!("car/{T}");
    check(&batch, 0, &[("row_key", &key), ("vehicle_id", "car"), ("distance_m", "1234.567"), ("moving_s", "1.5")]);
    check(&batch, 0, &[("idle_s", "0.0"), ("harsh_accel", "1"), ("harsh_brake", "0"), ("fuel_used_pct", "0.25")]);
    check(&batch, 0, &[("pings", "3"), ("vehicle_records", "2"), ("steps", "1"), ("odometer_gain_km", "null")]);
    check(&batch, 1, &[("harsh_accel", "null"), ("harsh_brake", "null"), ("odometer_gain_km", "7e-6")]);
}

fn environment_window() -> EnvironmentWindow {
    let mut measures = [[Reading::NONE; 3]; Measure::COUNT];
    measures[Measure::Temperature as usize] = [1.0, -2.0, 3.0].map(Reading::new);
    measures[Measure::Visibility as usize] = [10.0, 9.0, 11.0].map(Reading::new);
    measures[Measure::Humidity as usize] = [50.0, 40.0, 60.0].map(Reading::new);
    EnvironmentWindow {
        c5: cell(Resolution::Five),
        start: T,
        records: 3,
        measures,
        rain: (2, Reading::new(20.0)),
        dry: (0, Reading::NONE),
    }
}

#[test]
fn an_environment_window_has_each_measure_three_times() {
    let batch = render(&[added(environment_window())], &names(&[])).unwrap();
    let key = format!("{}/{T}", cell(Resolution::Five));
    check(&batch, 0, &[("row_key", &key), ("weather_records", "3"), ("temperature_c_mean", "1.0")]);
    check(&batch, 0, &[("temperature_c_min", "-2.0"), ("temperature_c_max", "3.0"), ("humidity_pct_max", "60.0")]);
    check(&batch, 0, &[("precipitation_mm_mean", "null"), ("visibility_m_min", "9.0"), ("pressure_hpa_max", "null")]);
    check(&batch, 0, &[("pings_rain", "2"), ("speed_rain_kmh", "20.0"), ("pings_dry", "0"), ("speed_dry_kmh", "null")]);
}

fn incident() -> IncidentRow {
    let life = Life {
        incident: text(b"fire-7"),
        first: stamp(0, 1, 10),
        last: T + 90_000_000,
        statuses: 3,
        at: Point { lat: 52.5, lon: -0.25 },
        kind: Some(IncidentKind::Fire),
        severity: None,
        phases: [Some(stamp(0, 1, 10)), None, Some(stamp(90_000_000, 2, 20))],
    };
    let exposure = Exposure { vehicles: Some(5), during: (7, Reading::new(12.5)), before: (0, Reading::NONE) };
    IncidentRow { life, exposure }
}

#[test]
fn an_incident_that_was_never_active_has_no_circle() {
    let mut passive = incident();
    passive.life.phases[0] = None;
    passive.exposure = Exposure::default();
    let batch = render(&[added(incident()), added(passive)], &names(&["fire-7"])).unwrap();
    check(&batch, 0, &[("row_key", "fire-7/1/10"), ("incident_id", "fire-7"), ("first_time", "0")]);
    check(&batch, 0, &[("last_time", "90000000"), ("statuses", "3"), ("type", "Fire"), ("severity", "null")]);
    check(&batch, 0, &[("active_time", "0"), ("responding_time", "null"), ("resolved_time", "90000000")]);
    check(&batch, 0, &[("active_partition", "1"), ("active_offset", "10"), ("responding_offset", "null")]);
    check(&batch, 0, &[("resolved_partition", "2"), ("resolved_offset", "20"), ("response_s", "null")]);
    check(&batch, 0, &[("clearance_s", "90.0"), ("exposed_vehicles", "5"), ("pings_during", "7")]);
    check(&batch, 0, &[("speed_during_kmh", "12.5"), ("pings_before", "0"), ("speed_before_kmh", "null")]);
    check(&batch, 1, &[("active_time", "null"), ("clearance_s", "null"), ("exposed_vehicles", "null")]);
    check(&batch, 1, &[("pings_during", "null"), ("pings_before", "null"), ("resolved_offset", "20")]);
}

fn exposure() -> VehicleExposure {
    let life = LifeId { incident: text(b"fire-7"), first: stamp(-60_000_000, 1, 10) };
    VehicleExposure { life, vehicle: text(b"car"), first: T, last: T + 5_000_000, distance_mm: 1234, pings: 2 }
}

#[test]
fn an_exposure_has_the_key_of_its_life_before_any_id() {
    let batch = render(&[added(exposure())], &names(&["fire-7", "car"])).unwrap();
    check(&batch, 0, &[("row_key", "1/10/car"), ("incident_id", "fire-7"), ("partition", "1"), ("offset", "10")]);
    check(&batch, 0, &[("vehicle_id", "car"), ("first_time", "0"), ("last_time", "5000000"), ("pings", "2")]);
    check(&batch, 0, &[("least_distance_m", "1.234")]);
}

fn quality() -> QualityWindow {
    // Outcomes in order: four dispositions, then the first reasons; the rest has not happened.
    let delays = Delays { percentiles: [1, -86_400], max: 7 };
    QualityWindow { topic: Topic::GPS, start: T, outcomes: vec![10, 2, 1, 3, 4, 0, 1], delays: Some(delays) }
}

#[test]
fn data_quality_counts_every_outcome() {
    let dead = QualityWindow { delays: None, ..quality() };
    let batch = render(&[added(quality()), added(dead)], &names(&[])).unwrap();
    check(&batch, 0, &[("row_key", &format!("gps/{T}")), ("topic", "gps"), ("records", "21"), ("on_time", "10")]);
    check(&batch, 0, &[("late", "2"), ("expired", "1"), ("duplicate", "3"), ("dead_letters", "5")]);
    check(&batch, 0, &[("dead_null_payload", "4"), ("dead_too_long", "0"), ("dead_confluent_format", "1")]);
    check(
        &batch,
        0,
        &[("dead_bad_position", "0"), ("delay_p50_s", "1"), ("delay_p99_s", "-86400"), ("delay_max_s", "7")],
    );
    check(&batch, 1, &[("delay_p50_s", "null"), ("delay_p99_s", "null"), ("delay_max_s", "null")]);
}

fn fits<R: Shown>(row: R) {
    let (derived, columns) = (Derived::from_name(R::table().0).unwrap(), R::table().1);
    let (table, sealed) = (Table::Changes(derived), Table::Sealed(derived));
    let names = names(&["car", "Rain", "fire-7"]);
    assert_eq!(render::<R>(&[], &names).unwrap().num_rows(), 0);
    let last = super::render(Block::sealed(derived, &columns, std::slice::from_ref(&row)), &names).unwrap();
    assert_eq!((last.table, last.columns.schema()), (sealed, decoded_schema(sealed)));
    assert_eq!(complete(&last, 40, 7).unwrap().schema(), schema(sealed));
    let batch = render(&[Change { row: row.clone(), diff: -1 }, added(row)], &names).unwrap();
    assert_eq!(batch.schema(), decoded_schema(table));
    let same = |name: &str| {
        let changed = batch.column_by_name(name).map(|column| column.slice(1, 1));
        changed == last.columns.column_by_name(name).cloned()
    };
    assert!(last.columns.schema().fields().iter().all(|field| same(field.name())));
    let whole = complete(&Batch::derived(table, batch.clone()), 40, 7).unwrap();
    assert_eq!(whole.schema(), schema(table));
    check(&whole, 1, &[("epoch", "40"), ("seq", "7"), ("diff", "1")]);
    let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
    encoder.append(table, whole).unwrap();
    let files = encoder.seal_all().unwrap();
    let file = (files.len(), files[0].table, files[0].date.as_str(), files[0].rows, files[0].event_time);
    assert_eq!(file, (1, table, "2026-11-23", 2, Some((T, T))));
}

#[test]
fn every_table_takes_its_rows_and_stands_under_their_own_date() {
    fits(rich_ping());
    fits(traffic_window());
    fits(vehicle_window());
    fits(environment_window());
    fits(incident());
    fits(quality());
    fits(exposure());
}

#[test]
fn p5_what_is_not_known_ends_the_run() {
    let unknown = render(&[added(vehicle_window())], &names(&["another"])).unwrap_err();
    assert!(matches!(unknown, RenderError::Unknown("vehicle_15m")), "{unknown}");
    assert_eq!(RunError::from(unknown).exit_code(), 5);
    let odd = TrafficWindow { c8: 7, ..traffic_window() };
    let nowhere = render(&[added(odd)], &names(&[])).unwrap_err().to_string();
    assert_eq!(nowhere, "P5: a row of traffic_5m has no number for its lat");
}

#[test]
fn diffs_are_signed() {
    let changes = [Change { row: quality(), diff: -1 }, added(quality())];
    let batch = render(&changes, &names(&[])).unwrap();
    let diffs = batch.column_by_name("diff").unwrap().as_primitive::<Int32Type>().values().to_vec();
    assert_eq!(diffs, [-1, 1]);
}
