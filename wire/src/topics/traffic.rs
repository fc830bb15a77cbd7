//! `traffic_data`: what cameras see.

use super::{DEVICE, H3_8, ID, LOCATION, SOURCE, TIME};
use crate::declaration::{Becomes, Declaration, Field, Kind};
use crate::record::Head;
use crate::text::{self, Object};
use crate::words::Level;

pub(super) static DECLARATION: Declaration = Declaration {
    name: "traffic",
    records: "traffic records",
    default_topic: "traffic_data",
    id: ID.json,
    device: Some(DEVICE.json),
    time: TIME.json,
    position: Some(LOCATION.json),
    fields: &[
        ID,
        DEVICE,
        Field::text("cameraId", "camera_id"),
        LOCATION,
        TIME,
        Field::text("snapshot", "snapshot"),
        Field::new("trafficLevel", "traffic_level", Kind::Words(Level::WORDS)),
        Field::number("currentSpeed", "current_speed_kmh", "km/h", 0.0, 1000.0),
        // At least 1: it divides, and a free flow of less than walking pace is a fault of the sensor.
        Field::number("freeFlowSpeed", "free_flow_speed_kmh", "km/h", 1.0, 1000.0),
        Field::number("confidence", "confidence", "", 0.0, 1.0),
        Field::new("roadClosure", "road_closure", Kind::Flag),
        SOURCE,
    ],
    cells: &[H3_8],
    becomes: Becomes::Traffic,
};

/// What a camera sees; `trafficLevel` and `snapshot` follow from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic<'a> {
    /// The camera.
    pub camera: &'a str,
    /// km/h.
    pub current_speed_kmh: f64,
    /// km/h.
    pub free_flow_speed_kmh: f64,
    /// 0 to 1.
    pub confidence: f64,
    /// Whether the road is closed.
    pub road_closure: bool,
}

impl Traffic<'_> {
    /// Heavy below half of the free flow, moderate below 80 %, else light.
    pub fn level(&self) -> Level {
        match self.current_speed_kmh / self.free_flow_speed_kmh {
            ratio if ratio < 0.5 => Level::Heavy,
            ratio if ratio < 0.8 => Level::Moderate,
            _ => Level::Light,
        }
    }

    pub(crate) fn write(&self, object: &mut Object<'_>, head: &Head<'_>) {
        object.text("cameraId", self.camera);
        head.write_location(object);
        head.write_time(object);
        object.plain("snapshot", |to| {
            to.extend_from_slice(b"camera_");
            text::escaped(to, self.camera);
            to.push(b'_');
            text::time(to, head.time);
        });
        object.text("trafficLevel", self.level().word());
        object.number("currentSpeed", self.current_speed_kmh, 2);
        object.number("freeFlowSpeed", self.free_flow_speed_kmh, 2);
        object.number("confidence", self.confidence, 2);
        object.flag("roadClosure", self.road_closure);
    }
}
