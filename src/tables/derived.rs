//! The columns of the derived tables: types, units and null rules. [`crate::render`] fills them, in this order.

use arrow::datatypes::{DataType, Field as ArrowField};

use super::Reason;
use super::{FIRST_TIME, Table, WINDOW_START, nullable, required, time_type};

/// A derived table, as its users see it.
#[derive(Debug)]
pub struct Shape {
    /// What a row is, and how it comes about.
    pub about: &'static str,
    /// What `row_key` is made of.
    pub key: &'static str,
    /// All columns but `row_key`, `diff`, `epoch` and `seq`.
    pub columns: Vec<Column>,
}

/// A column of a derived table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Its unit, empty where it has none.
    pub unit: &'static str,
    /// When it is null; `None`: never.
    pub null: Option<&'static str>,
}

/// The columns of a change log but `epoch` and `seq`.
pub(super) fn columns(table: Table) -> Vec<ArrowField> {
    let own = shape(table).map_or_else(Vec::new, |shape| shape.columns);
    let own = own.into_iter().map(|Column { name, data_type, null, .. }| match null {
        Some(_) => nullable(&name, data_type),
        None => required(&name, data_type),
    });
    [required("row_key", DataType::Utf8), required("diff", DataType::Int32)].into_iter().chain(own).collect()
}

/// What a derived table is; `None` for a table of records.
pub fn shape(table: Table) -> Option<Shape> {
    let (about, key, columns) = match table {
        Table::EnrichedPings => (ENRICHED_PINGS, "`<partition>/<offset>` of the ping", enriched_pings()),
        Table::Traffic5m => (TRAFFIC_5M, "`<h3_8>/<window_start in microseconds>`", traffic_5m()),
        Table::Vehicle15m => (VEHICLE_15M, "`<vehicle_id>/<window_start in microseconds>`", vehicle_15m()),
        Table::Environment15m => (ENVIRONMENT_15M, "`<h3_5>/<window_start in microseconds>`", environment_15m()),
        Table::Incidents => (INCIDENTS, "`<incident_id>/<partition>/<offset>` of its first status", incidents()),
        Table::DataQuality15m => (DATA_QUALITY_15M, "`<topic>/<window_start in microseconds>`", data_quality_15m()),
        _ => return None,
    };
    Some(Shape { about, key, columns })
}

const ENRICHED_PINGS: &str = "\
One row a GPS ping on time, at time t in cells `h3_8`, `h3_5`. Traffic: the latest traffic record of `h3_8` with an event
time in [t - 10 min, t]. Weather: the latest of `h3_5` in [t - 30 min, t]. Incidents: of each incident its latest status at
or before t and no older than 6 h; active if that is Active or Responding; active ones whose status was reported within 1,500
m are counted, the nearest is named. Ties go to the greater (event time, partition, offset). `speed_ratio` is current over
free-flow speed, `travel_time_index` its inverse, `congested` a ratio below 0.9. Ages are those of the match at t, distances
from the ping.";

const TRAFFIC_5M: &str = "\
One row a cell and 5 minutes of event time that has a ping or a traffic record. From the enriched pings: how many, distinct
vehicles, how many met a traffic record, mean speed, harmonic mean speed (of the n >= 1 km/h: n * 10^6 / sum(round(10^6 /
speed))), percentiles of whole km/h (nearest rank), mean and least `speed_ratio`, congested pings. From the traffic records:
how many, with a closed road, by level and by source. `lat`, `lon` are the cell's centre.";

const VEHICLE_15M: &str = "\
One row a vehicle and 15 minutes of event time that has a ping or a vehicle record. A step joins a ping to the one before it
(by event time, partition, offset) if 0 < dt <= 5 min, and belongs to the later one's window; a ping whose immediate
predecessor is at the same time or further back has no step, whatever came before that. Distance: haversine over steps, those
above 250 km/h not counted. Moving: time of steps whose later speed is >= 5 km/h; idle: of the others, also where the later
ping has no speed; both include steps above 250 km/h. Harsh: steps with dt <= 3 s, both speeds known, and >= +3.0 or <= -3.5
m/s2. Fuel used and odometer gain: sums of drops and of gains between consecutive vehicle records at most 5 min apart; where
either of the two lacks the value the pair counts nothing, and no pair reaches across it.";

const ENVIRONMENT_15M: &str = "\
One row a cell and 15 minutes of event time that has a weather record, or a ping with a speed in rain or on a dry road; only
pings with a speed count. Of each measure mean, least and greatest. In rain: the matched weather is Rain, Drizzle or
Thunderstorm, or precipitation is above 0. Dry: it is neither that nor Snow. Pings that met no weather record are in neither.
`lat`, `lon` are the cell's centre.";

const INCIDENTS: &str = "\
One row a life of an incident: its statuses (`has_incident`; those of one `incident_id`, or of one record where that is
absent: its `incident_id` here is that record's id), cut greedily into lives: each holds the statuses less than 24 h after
its first one. Place: the first status's. Type and severity: the latest that say one. Exposed: distinct vehicles with a ping
within 1,500 m in [first Active, the lesser of first Resolved and first Active + 60 min); `pings_during` counts all pings of
that circle then, `speed_during_kmh` is the mean of those with a speed, `..._before...` the same of the 15 minutes before
first Active.";

const DATA_QUALITY_15M: &str = "\
One row a topic and 15 minutes of log time: records by disposition, dead letters by reason, and the delay (log time less
event time, in whole seconds rounded down, clamped to a day either way) of those that became rows, as percentiles (nearest
rank). A record whose log time lies in a sealed window (a partition that was idle brings old ones) counts in the first open
one.";

fn column(name: impl Into<String>, data_type: DataType, unit: &'static str) -> Column {
    Column { name: name.into(), data_type, unit, null: None }
}

fn text(name: &str) -> Column {
    column(name, DataType::Utf8, "")
}

fn int(name: &str, unit: &'static str) -> Column {
    column(name, DataType::Int32, unit)
}

fn long(name: impl Into<String>) -> Column {
    column(name, DataType::Int64, "")
}

fn double(name: impl Into<String>, unit: &'static str) -> Column {
    column(name, DataType::Float64, unit)
}

fn time(name: &str) -> Column {
    column(name, time_type(), "UTC")
}

fn degrees() -> [Column; 2] {
    [double("lat", "degrees"), double("lon", "degrees")]
}

impl Column {
    fn null_when(self, rule: &'static str) -> Column {
        Column { null: Some(rule), ..self }
    }
}

fn all_null_when<const N: usize>(rule: &'static str, columns: [Column; N]) -> [Column; N] {
    columns.map(|column| column.null_when(rule))
}

fn enriched_pings() -> Vec<Column> {
    let mut all = vec![time("event_time"), text("vehicle_id"), int("partition", ""), long("offset")];
    all.extend(degrees());
    all.push(double("speed_kmh", "km/h").null_when("the ping has none"));
    all.extend([long("h3_8"), long("h3_5")]);
    all.extend(matched("traffic", "no traffic record matches", "no traffic record matches, or it has none"));
    all.push(text("traffic_level").null_when("no traffic record matches, or it has none"));
    all.push(double("speed_ratio", "").null_when("no traffic record with both speeds matches"));
    all.push(double("travel_time_index", "").null_when("no traffic record with both speeds matches, or nothing moves"));
    all.push(column("congested", DataType::Boolean, "").null_when("no traffic record with both speeds matches"));
    all.extend(matched("weather", "no weather record matches", "no weather record matches, or it has none"));
    all.push(text("weather_condition").null_when("no weather record matches, or it has none"));
    all.push(double("precipitation_mm", "mm").null_when("no weather record matches, or it has none"));
    all.push(int("active_incidents", ""));
    all.push(text("incident_id").null_when("no active incident is near"));
    all.extend(matched("incident", "no active incident is near", "no active incident is near, or it has none"));
    all
}

/// The record that a ping met.
fn matched(what: &str, none: &'static str, none_or_silent: &'static str) -> [Column; 5] {
    let name = |rest: &str| format!("{what}_{rest}");
    [
        column(name("partition"), DataType::Int32, "").null_when(none),
        long(name("offset")).null_when(none),
        double(name("age_s"), "s").null_when(none),
        double(name("distance_m"), "m").null_when(none),
        text(&name("source")).null_when(none_or_silent),
    ]
}

fn traffic_5m() -> Vec<Column> {
    let mut all = vec![long("h3_8"), time(WINDOW_START)];
    all.extend(degrees());
    all.extend(["pings", "vehicles", "pings_with_traffic"].map(long));
    all.push(double("speed_mean_kmh", "km/h").null_when("no ping has a speed"));
    all.push(double("speed_harmonic_kmh", "km/h").null_when("no ping has a speed of at least 1 km/h"));
    let percentiles = ["speed_p50_kmh", "speed_p85_kmh", "speed_p95_kmh"].map(|name| int(name, "km/h"));
    all.extend(all_null_when("no ping has a speed", percentiles));
    let ratios = ["speed_ratio_mean", "speed_ratio_min"].map(|name| double(name, ""));
    all.extend(all_null_when("no ping has a speed ratio", ratios));
    all.extend(["congested_pings", "traffic_records", "closures"].map(long));
    all.extend(["light", "moderate", "heavy", "live", "cached", "synthetic"].map(long));
    all
}

fn vehicle_15m() -> Vec<Column> {
    let mut all = vec![text("vehicle_id"), time(WINDOW_START)];
    all.extend(["pings", "vehicle_records", "steps"].map(long));
    all.extend([double("distance_m", "m"), double("moving_s", "s"), double("idle_s", "s")]);
    let harsh = ["harsh_accel", "harsh_brake"].map(|name| int(name, ""));
    all.extend(all_null_when("no step of at most 3 s has both speeds", harsh));
    all.push(double("fuel_used_pct", "%").null_when("no two records at most 5 min apart have a fuel level"));
    all.push(double("odometer_gain_km", "km").null_when("no two records at most 5 min apart have an odometer"));
    all
}

/// The measures of weather, in the order of [`citystream_dataflows::records::Measure`], with their units.
pub const MEASURES: [(&str, &str); 7] = [
    ("temperature_c", "deg C"),
    ("precipitation_mm", "mm"),
    ("wind_speed_ms", "m/s"),
    ("humidity_pct", "%"),
    ("air_quality_index", ""),
    ("pressure_hpa", "hPa"),
    ("visibility_m", "m"),
];

fn environment_15m() -> Vec<Column> {
    let mut all = vec![long("h3_5"), time(WINDOW_START)];
    all.extend(degrees());
    all.push(long("weather_records"));
    for (measure, unit) in MEASURES {
        let columns = ["mean", "min", "max"].map(|what| double(format!("{measure}_{what}"), unit));
        all.extend(all_null_when("no weather record has the measure", columns));
    }
    all.extend([long("pings_rain"), double("speed_rain_kmh", "km/h").null_when("`pings_rain` is 0")]);
    all.extend([long("pings_dry"), double("speed_dry_kmh", "km/h").null_when("`pings_dry` is 0")]);
    all
}

fn incidents() -> Vec<Column> {
    let mut all = vec![text("incident_id"), time(FIRST_TIME), time("last_time"), long("statuses")];
    all.extend(degrees());
    all.extend([int("partition", ""), long("offset")]);
    all.push(text("type").null_when("no status has one"));
    all.push(text("severity").null_when("no status has one"));
    let phases = ["active", "responding", "resolved"];
    let never = "no status of the life is this";
    all.extend(phases.map(|phase| time(&format!("{phase}_time")).null_when(never)));
    for phase in phases {
        all.push(column(format!("{phase}_partition"), DataType::Int32, "").null_when(never));
        all.push(long(format!("{phase}_offset")).null_when(never));
    }
    let inactive = "it was never Active";
    all.push(double("response_s", "s").null_when("it was never Active or never Responding, or that came first"));
    all.push(double("clearance_s", "s").null_when("it was never Active or never Resolved, or that came first"));
    all.extend(all_null_when(inactive, ["exposed_vehicles", "pings_during"].map(long)));
    all.push(double("speed_during_kmh", "km/h").null_when("no ping there and then has a speed"));
    all.push(long("pings_before").null_when(inactive));
    all.push(double("speed_before_kmh", "km/h").null_when("no ping there and then has a speed"));
    all
}

fn data_quality_15m() -> Vec<Column> {
    let mut all = vec![text("topic"), time(WINDOW_START)];
    all.extend(["records", "on_time", "late", "expired", "duplicate", "dead_letters"].map(long));
    all.extend(Reason::ALL.map(|reason| long(format!("dead_{}", reason.name()))));
    all.extend(["delay_p50_s", "delay_p99_s"].map(|name| int(name, "s").null_when("nothing became a row")));
    all
}
