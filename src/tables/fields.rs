//! What each JSON field of the five topics becomes.
//!
//! One rule for bad values: a value of the **wrong JSON type** makes the record a dead letter; a value of the right
//! type that its column **cannot hold** (outside its range, not one of its words, not a compass word, a fraction
//! where an integer belongs) is null there and stands as it came in `extra`. So no definition ever meets a negative
//! speed, and nothing is lost. Id, device, time and position have no such way out: without them it is a dead letter.

use citystream_dataflows::bindings::Topic;

/// One JSON field of a topic.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in JSON.
    pub json: &'static str,
    /// The column it becomes; [`Kind::Place`] becomes `lat`, `lon` and [cells], [`Kind::Time`] `event_time`.
    pub column: &'static str,
    /// How it is read.
    pub kind: Kind,
    /// Its unit, empty where it has none.
    pub unit: &'static str,
}

/// How a field is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Text that must be there and not be empty.
    Id,
    /// ISO 8601; must be there.
    Time,
    /// `(lat, lon)` or `lat,lon` as text, WGS-84; must be there.
    Place,
    /// Any text.
    Text,
    /// One of a few words.
    Words(&'static [&'static str]),
    /// A number within a range, both ends included.
    Number {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// An integer within a range, both ends included.
    Integer {
        /// The least.
        min: i32,
        /// The greatest.
        max: i32,
    },
    /// True or false.
    Flag,
    /// A list of texts.
    Texts,
    /// A compass word, as degrees clockwise from north.
    Bearing,
}

/// The most fields a topic has.
pub const MAX_FIELDS: usize = 16;

/// The fields of a topic, in the order in which the original producer writes them.
pub fn of(topic: Topic) -> &'static [Field] {
    [VEHICLE, GPS, TRAFFIC, WEATHER, EMERGENCY][topic as usize]
}

/// A column with the H3 cell of a record's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Its name.
    pub column: &'static str,
    /// The cell's resolution.
    pub resolution: u8,
}

const H3_8: Cell = Cell { column: "h3_8", resolution: 8 };
const H3_5: Cell = Cell { column: "h3_5", resolution: 5 };

/// The cells of a topic's records: those that a join or a window goes by.
pub fn cells(topic: Topic) -> &'static [Cell] {
    match topic {
        Topic::Gps => &[H3_8, H3_5],
        Topic::Traffic => &[H3_8],
        Topic::Weather => &[H3_5],
        Topic::Vehicle | Topic::Emergency => &[],
    }
}

const fn field(json: &'static str, column: &'static str, kind: Kind, unit: &'static str) -> Field {
    Field { json, column, kind, unit }
}

const fn text(json: &'static str, column: &'static str) -> Field {
    field(json, column, Kind::Text, "")
}

const fn number(json: &'static str, column: &'static str, unit: &'static str, min: f64, max: f64) -> Field {
    field(json, column, Kind::Number { min, max }, unit)
}

const ID: Field = field("id", "id", Kind::Id, "");
const DEVICE: Field = field("deviceId", "device_id", Kind::Id, "");
const TIME: Field = field("timestamp", "event_time", Kind::Time, "UTC");
const LOCATION: Field = field("location", "lat", Kind::Place, "degrees");
const DIRECTION: Field = field("direction", "bearing_deg", Kind::Bearing, "degrees");
const SPEED: Field = number("speed", "speed_kmh", "km/h", 0.0, 1000.0);
const SOURCE: Field = field("source", "source", Kind::Words(&["live", "cached", "synthetic"]), "");

const VEHICLE: &[Field] = &[
    ID,
    DEVICE,
    TIME,
    LOCATION,
    SPEED,
    DIRECTION,
    text("make", "make"),
    text("model", "model"),
    field("year", "year", Kind::Integer { min: 1800, max: 9999 }, "year"),
    text("fuelType", "fuel_type"),
    number("fuelLevel", "fuel_level_pct", "%", 0.0, 100.0),
    text("engineStatus", "engine_status"),
    number("odometer", "odometer_km", "km", 0.0, 1e8),
    SOURCE,
];

const GPS: &[Field] = &[
    ID,
    DEVICE,
    TIME,
    SPEED,
    DIRECTION,
    text("vehicleType", "vehicle_type"),
    field("coordinates", "lat", Kind::Place, "degrees"),
    SOURCE,
];

const TRAFFIC: &[Field] = &[
    ID,
    DEVICE,
    text("cameraId", "camera_id"),
    LOCATION,
    TIME,
    text("snapshot", "snapshot"),
    field("trafficLevel", "traffic_level", Kind::Words(&["LIGHT", "MODERATE", "HEAVY"]), ""),
    number("currentSpeed", "current_speed_kmh", "km/h", 0.0, 1000.0),
    // At least 1: it divides, and a free flow of less than walking pace is a fault of the sensor.
    number("freeFlowSpeed", "free_flow_speed_kmh", "km/h", 1.0, 1000.0),
    number("confidence", "confidence", "", 0.0, 1.0),
    field("roadClosure", "road_closure", Kind::Flag, ""),
    SOURCE,
];

const WEATHER: &[Field] = &[
    ID,
    DEVICE,
    TIME,
    LOCATION,
    number("temperature", "temperature_c", "deg C", -100.0, 100.0),
    text("weatherCondition", "weather_condition"),
    number("precipitation", "precipitation_mm", "mm", 0.0, 10_000.0),
    number("windSpeed", "wind_speed_ms", "m/s", 0.0, 500.0),
    field("humidity", "humidity_pct", Kind::Integer { min: 0, max: 100 }, "%"),
    number("airQualityIndex", "air_quality_index", "", 0.0, 10_000.0),
    number("pressure", "pressure_hpa", "hPa", 0.0, 2000.0),
    number("visibility", "visibility_m", "m", 0.0, 1e6),
    SOURCE,
];

const EMERGENCY: &[Field] = &[
    ID,
    DEVICE,
    TIME,
    LOCATION,
    field("hasIncident", "has_incident", Kind::Flag, ""),
    text("incidentId", "incident_id"),
    field("type", "type", Kind::Words(&["Accident", "Medical", "Fire", "Police", "None"]), ""),
    field("status", "status", Kind::Words(&["Active", "Responding", "Resolved", "None"]), ""),
    text("description", "description"),
    field("nearbyServices", "nearby_services", Kind::Integer { min: 0, max: i32::MAX }, ""),
    field("serviceTypes", "service_types", Kind::Texts, ""),
    field("severity", "severity", Kind::Words(&["Low", "Medium", "High"]), ""),
    number("responseTime", "response_time_min", "min", 0.0, 1e6),
    SOURCE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_what_a_record_needs() {
        for topic in Topic::ALL {
            let fields = of(topic);
            assert!(fields.len() <= MAX_FIELDS);
            for kind in [Kind::Time, Kind::Place] {
                assert_eq!(fields.iter().filter(|f| f.kind == kind).count(), 1, "{topic:?} {kind:?}");
            }
            assert_eq!(fields[0].json, "id");
            assert_eq!(fields[1].json, "deviceId");
        }
    }
}
