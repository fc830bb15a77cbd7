//! `enriched_pings`: every ping with the traffic, the weather and the incidents of its time and place. The rows come from
//! [`crate::operators::enrich`], which the windows over pings read too; this is how the table shows them.

use timely::dataflow::StreamVec;

use super::{
    Block, Columns, Counted, Declaration, Fields, Needs, Resume, Rows, Sealing, Select, Subject, Total, record_key,
};
use crate::city::City;
use crate::operators::enrich::{STATUS_REACH, STEP, TRAFFIC_REACH, is_near};
use crate::operators::weather_join::WEATHER_REACH;
use crate::records::changes::EnrichedPing;
use crate::records::{Point, Source, Stamp};
use crate::time::bindings::Topic;
use crate::time::{Epoch, Micros, window};

/// The table.
pub static TABLE: Declaration = Declaration {
    name: NAME,
    about: ABOUT,
    key: &["partition", "offset"],
    time: "event_time",
    columns: || columns().describe(),
    build,
    sealing: Sealing::by_time(STEP),
    lookback,
    recovery: None,
    behind,
    key_of: |topic, row| if topic == Topic::GPS { record_key(row) } else { None },
    record_columns: &[
        (Topic::GPS, ""),
        (Topic::TRAFFIC, "traffic_"),
        (Topic::WEATHER, "weather_"),
        (Topic::EMERGENCY, "incident_"),
    ],
    totals: &[Total { column: None, topic: Some(Topic::GPS), counted: Counted::OnTime, but_missed: false }],
    subject: Subject::Named("vehicle_id"),
};

const NAME: &str = "enriched_pings";

const ABOUT: &str = "\
One row a GPS ping on time, at time t in cells `h3_8`, `h3_5`. Traffic: the latest traffic record of `h3_8` with an event
time in [t - 10 min, t]. Weather: the latest of `h3_5` in [t - 30 min, t]. Incidents: of each incident its latest status at
or before t and no older than 6 h; active if that is Active or Responding; active ones whose status was reported within 1,500
m are counted, the nearest is named. Ties go to the greater (event time, partition, offset). `speed_ratio` is current over
free-flow speed, `travel_time_index` its inverse, `congested` a ratio below 0.9. Ages are those of the match at t, distances
from the ping.";

/// A matched record: where it stands, its distance in millimetres, where it came from.
type Match = (Stamp, i64, Option<Source>);

/// The columns.
pub fn columns() -> Columns<EnrichedPing> {
    let mut all = Columns::new();
    all.time("event_time").from(|row: &EnrichedPing| row.ping.stamp.time);
    all.text("vehicle_id").from(|row| row.ping.vehicle);
    all.int("partition", "").from(|row| row.ping.stamp.partition);
    all.long("offset").from(|row| row.ping.stamp.offset);
    all.place(|row| row.ping.at);
    all.double("speed_kmh", "km/h").null_when("the ping has none").from(|row| row.ping.speed);
    all.long("h3_8").from(|row| row.ping.c8 as i64);
    all.long("h3_5").from(|row| row.ping.c5 as i64);
    traffic(&mut all);
    weather(&mut all);
    incidents(&mut all);
    all
}

fn traffic(all: &mut Columns<EnrichedPing>) {
    const NONE: &str = "no traffic record matches";
    const SILENT: &str = "no traffic record matches, or it has none";
    const NO_RATIO: &str = "no traffic record with both speeds matches";
    const STILL: &str = "no traffic record with both speeds matches, or nothing moves";
    matched(all, "traffic", NONE, SILENT, |row| row.traffic.map(|t| (t.stamp, t.distance_mm, t.source)));
    all.word("traffic_level").null_when(SILENT).from(|row| Some(row.traffic?.level?.word()));
    all.double("speed_ratio", "").null_when(NO_RATIO).from(|row| row.traffic?.speed_ratio());
    all.double("travel_time_index", "").null_when(STILL).from(|row| row.traffic?.travel_time_index());
    all.flag("congested").null_when(NO_RATIO).from(|row| row.traffic?.is_congested());
}

fn weather(all: &mut Columns<EnrichedPing>) {
    const NONE: &str = "no weather record matches";
    const SILENT: &str = "no weather record matches, or it has none";
    matched(all, "weather", NONE, SILENT, |row| row.weather.map(|w| (w.stamp, w.distance_mm, w.source)));
    all.text("weather_condition").null_when(SILENT).from(|row| row.weather.map(|w| w.condition));
    all.double("precipitation_mm", "mm").null_when(SILENT).from(|row| row.weather?.precipitation.get());
}

fn incidents(all: &mut Columns<EnrichedPing>) {
    const NONE: &str = "no active incident is near";
    const SILENT: &str = "no active incident is near, or it has none";
    all.int("active_incidents", "").from(|row| row.incidents.map_or(0, |i| i.active as i32));
    all.text("incident_id").null_when(NONE).from(|row| row.incidents.map(|i| i.incident));
    matched(all, "incident", NONE, SILENT, |row| row.incidents.map(|i| (i.stamp, i.distance_mm, i.source)));
}

/// The five columns that name a matched record.
fn matched(
    all: &mut Columns<EnrichedPing>,
    what: &str,
    none: &'static str,
    silent: &'static str,
    of: fn(&EnrichedPing) -> Option<Match>,
) {
    let name = |rest: &str| format!("{what}_{rest}");
    let age = move |row: &EnrichedPing| Some((row.ping.stamp.time - of(row)?.0.time) as f64 / 1e6);
    all.int(name("partition"), "").null_when(none).from(move |row| Some(of(row)?.0.partition));
    all.long(name("offset")).null_when(none).from(move |row| Some(of(row)?.0.offset));
    all.double(name("age_s"), "s").null_when(none).from(age);
    all.double(name("distance_m"), "m").null_when(none).from(move |row| Some(of(row)?.1 as f64 / 1000.0));
    all.word(name("source")).null_when(silent).from(move |row| Some(of(row)?.2?.word()));
}

fn build<'scope>(city: &City<'scope>) -> StreamVec<'scope, Epoch, Block> {
    let rows = Rows { changes: city.enriched_changes.clone(), sealed: city.enriched_sealed.clone() };
    super::block::blocks(NAME, columns(), rows)
}

/// A ping that is not before the horizon, in whole steps, is not sealed.
fn lookback(Resume { horizon, .. }: Resume) -> Vec<Needs> {
    let from = window(horizon, STEP);
    vec![
        Needs::Happened(Topic::GPS, from),
        Needs::Happened(Topic::TRAFFIC, from - TRAFFIC_REACH),
        Needs::Happened(Topic::WEATHER, from - WEATHER_REACH),
        Needs::Happened(Topic::EMERGENCY, from - STATUS_REACH),
    ]
}

fn behind(key: &[&str]) -> Option<Vec<Select>> {
    let [partition, offset] = key else { return None };
    let (partition, offset): (i32, i64) = (partition.parse().ok()?, offset.parse().ok()?);
    let is_it = move |row: &dyn Fields| row.int("partition") == Some(partition) && row.long("offset") == Some(offset);
    let ping = Select::on_time(Topic::GPS, Micros::MIN, Micros::MAX, is_it);
    Some(vec![ping.then(|pings| pings.first().map_or_else(Vec::new, |ping| references(*ping)))])
}

/// The records that may have matched a ping.
fn references(ping: &dyn Fields) -> Vec<Select> {
    let time = ping.long("event_time").unwrap_or(0);
    let (c8, c5) = (ping.long("h3_8"), ping.long("h3_5"));
    let mut all = vec![
        Select::on_time(Topic::TRAFFIC, time - TRAFFIC_REACH, time + 1, move |row| row.long("h3_8") == c8),
        Select::on_time(Topic::WEATHER, time - WEATHER_REACH, time + 1, move |row| row.long("h3_5") == c5),
    ];
    all.extend(ping.place().map(|place| statuses(time - STATUS_REACH, time + 1, place)));
    all
}

/// The statuses of the incidents that were once near a place: one that has moved away is near no more.
fn statuses(from: Micros, until: Micros, place: Point) -> Select {
    let near = move |row: &dyn Fields| row.incident().is_some() && row.place().is_some_and(|at| is_near(at, place));
    Select::on_time(Topic::EMERGENCY, from, until, near).leads_to(move |near| {
        let names: Vec<String> = near.iter().filter_map(|row| row.incident().map(str::to_owned)).collect();
        let its = move |row: &dyn Fields| row.incident().is_some_and(|name| names.iter().any(|known| known == name));
        vec![Select::on_time(Topic::EMERGENCY, from, until, its)]
    })
}
