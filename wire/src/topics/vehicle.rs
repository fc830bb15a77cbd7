//! `vehicle_data`: the state of vehicles.

use super::{DEVICE, DIRECTION, ID, LOCATION, SOURCE, SPEED, TIME};
use crate::declaration::{Becomes, Declaration, Field};
use crate::record::Head;
use crate::text::Object;

pub(super) static DECLARATION: Declaration = Declaration {
    name: "vehicle",
    records: "vehicle records",
    default_topic: "vehicle_data",
    id: ID.json,
    device: Some(DEVICE.json),
    time: TIME.json,
    position: Some(LOCATION.json),
    fields: &[
        ID,
        DEVICE,
        TIME,
        LOCATION,
        SPEED,
        DIRECTION,
        Field::text("make", "make"),
        Field::text("model", "model"),
        Field::integer("year", "year", "year", 1800, 9999),
        Field::text("fuelType", "fuel_type"),
        Field::number("fuelLevel", "fuel_level_pct", "%", 0.0, 100.0),
        Field::text("engineStatus", "engine_status"),
        Field::number("odometer", "odometer_km", "km", 0.0, 1e8),
        SOURCE,
    ],
    cells: &[],
    becomes: Becomes::Vehicles,
};

/// A vehicle's state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vehicle<'a> {
    /// km/h.
    pub speed_kmh: f64,
    /// A compass word, such as `North-East`.
    pub direction: &'a str,
    /// Who made it.
    pub make: &'a str,
    /// What it is.
    pub model: &'a str,
    /// The year it was made.
    pub year: i32,
    /// `Petrol`, `Diesel`, `Hybrid` or `Electric`.
    pub fuel_type: &'a str,
    /// Percent.
    pub fuel_level_pct: f64,
    /// `Running`, `Idle` or `Off`.
    pub engine_status: &'a str,
    /// km.
    pub odometer_km: f64,
}

impl Vehicle<'_> {
    pub(crate) fn write(&self, object: &mut Object<'_>, head: &Head<'_>) {
        head.write_time(object);
        head.write_location(object);
        object.number("speed", self.speed_kmh, 2);
        object.text("direction", self.direction);
        object.text("make", self.make);
        object.text("model", self.model);
        object.integer("year", self.year.into());
        object.text("fuelType", self.fuel_type);
        object.number("fuelLevel", self.fuel_level_pct, 3);
        object.text("engineStatus", self.engine_status);
        object.number("odometer", self.odometer_km, 3);
    }
}
