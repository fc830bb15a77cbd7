//! `incident_exposures`: one row a life of an incident and vehicle that was near. The rows come from
//! [`crate::operators::incidents`], which counts them for `incidents`; this is how the table shows them.

use timely::dataflow::StreamVec;

use super::{Block, Columns, Declaration, Fields, Rows, Sealing, Select, Subject, incidents};
use crate::city::City;
use crate::operators::incidents::{EXPOSURE, STEP};
use crate::records::changes::VehicleExposure;
use crate::time::bindings::Topic;
use crate::time::{Epoch, Micros};

/// The table.
pub static TABLE: Declaration = Declaration {
    name: NAME,
    about: ABOUT,
    // The first status names the life, and two ids side by side would not be told apart.
    key: &["partition", "offset", "vehicle_id"],
    time: "first_time",
    columns: || columns().describe(),
    build,
    sealing: Sealing { step: STEP, lasts: EXPOSURE },
    lookback: incidents::lookback,
    // `incidents` recovers the lives.
    recovery: None,
    behind,
    key_of: |_, _| None,
    record_columns: &[(Topic::EMERGENCY, "")],
    totals: &[],
    subject: Subject::Named("vehicle_id"),
};

const NAME: &str = "incident_exposures";

const ABOUT: &str = "\
One row a life of an incident and vehicle with a ping within 1,500 m of it in [first Active, the lesser of first Resolved and
first Active + 60 min): the first and the last of these pings, how many, and the least distance of one from the life's place.
The life is that of `incidents` with the same `incident_id`, `partition` and `offset`, and has as many rows here as it says
`exposed_vehicles`. A vehicle that was there between two pings only has none.";

/// The columns.
pub fn columns() -> Columns<VehicleExposure> {
    let mut all = Columns::new();
    all.text("incident_id").from(|row: &VehicleExposure| row.life.incident);
    all.int("partition", "").from(|row| row.life.first.partition);
    all.long("offset").from(|row| row.life.first.offset);
    all.text("vehicle_id").from(|row| row.vehicle);
    all.time("first_time").from(|row| row.first);
    all.time("last_time").from(|row| row.last);
    all.double("least_distance_m", "m").from(|row| row.distance_mm as f64 / 1000.0);
    all.count("pings").from(|row| row.pings);
    all
}

fn build<'scope>(city: &City<'scope>) -> StreamVec<'scope, Epoch, Block> {
    let rows = Rows { changes: city.exposures.clone(), sealed: city.exposures_sealed.clone() };
    super::block::blocks(NAME, columns(), rows)
}

fn behind(key: &[&str]) -> Option<Vec<Select>> {
    // A vehicle's id may have slashes.
    let [partition, offset, vehicle @ ..] = key else { return None };
    let (partition, offset): (i32, i64) = (partition.parse().ok()?, offset.parse().ok()?);
    let vehicle = vehicle.join("/");
    let is_it = move |row: &dyn Fields| row.int("partition").zip(row.long("offset")) == Some((partition, offset));
    let first = Select::on_time(Topic::EMERGENCY, Micros::MIN, Micros::MAX, is_it);
    Some(vec![first.leads_to(move |first| {
        let incident = first.first().and_then(|first| first.incident()).map(str::to_owned);
        incident.map(|incident| incidents::life(incident, (partition, offset), Some(vehicle))).into_iter().collect()
    })])
}
