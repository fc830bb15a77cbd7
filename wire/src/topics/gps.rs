//! `gps_data`: where vehicles are.

use super::{DEVICE, DIRECTION, H3_5, H3_8, ID, SOURCE, SPEED, TIME};
use crate::declaration::{Becomes, Declaration, Field};
use crate::record::Head;
use crate::text::Object;

const COORDINATES: Field = Field::place("coordinates", &["location"]);

pub(super) static DECLARATION: Declaration = Declaration {
    name: "gps",
    records: "GPS pings",
    default_topic: "gps_data",
    id: ID.json,
    device: Some(DEVICE.json),
    time: TIME.json,
    position: Some(COORDINATES.json),
    fields: &[ID, DEVICE, TIME, SPEED, DIRECTION, Field::text("vehicleType", "vehicle_type"), COORDINATES, SOURCE],
    cells: &[H3_8, H3_5],
    becomes: Becomes::Pings,
};

/// A GPS ping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gps<'a> {
    /// km/h.
    pub speed_kmh: f64,
    /// A compass word.
    pub direction: &'a str,
    /// Such as `private`.
    pub vehicle_type: &'a str,
}

impl Gps<'_> {
    pub(crate) fn write(&self, object: &mut Object<'_>, head: &Head<'_>) {
        head.write_time(object);
        object.number("speed", self.speed_kmh, 2);
        object.text("direction", self.direction);
        object.text("vehicleType", self.vehicle_type);
        head.write_position(object, COORDINATES.json, ["", ",", ""]);
    }
}
