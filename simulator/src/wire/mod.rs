//! The records of the five topics as they stand in Kafka: typed here, JSON there. Written as the original producer does:
//! its names, its order, its spacing, naive times in UTC; and one field more, `source`.
//!
//! Numbers are to be finite. Nothing here allocates but for the growth of the buffer that is written to.

mod text;

use citystream_dataflows::bindings::Topic;
use citystream_dataflows::time::Micros;
use text::Object;

/// A position, WGS-84, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// Latitude.
    pub lat: f64,
    /// Longitude.
    pub lon: f64,
}

/// Where a record's values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Asked for just now.
    Live,
    /// An earlier answer.
    Cached,
    /// Made up.
    Synthetic,
}

impl Source {
    /// The word in the field `source`.
    pub fn name(self) -> &'static str {
        ["live", "cached", "synthetic"][self as usize]
    }
}

/// A record of one of the topics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// What all have.
    pub head: Head<'a>,
    /// What those of its topic have.
    pub body: Body<'a>,
}

/// What all records have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head<'a> {
    /// The record's own id.
    pub id: &'a str,
    /// The device.
    pub device: &'a str,
    /// Event time.
    pub time: Micros,
    /// Position.
    pub place: Place,
    /// Where the values come from.
    pub source: Source,
}

/// What the records of a topic have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body<'a> {
    /// A vehicle's state.
    Vehicle(Vehicle<'a>),
    /// A GPS ping.
    Gps(Gps<'a>),
    /// What a camera sees.
    Traffic(Traffic<'a>),
    /// The weather.
    Weather(Weather<'a>),
    /// An incident, or that there is none.
    Emergency(Emergency<'a>),
}

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
    /// `HEAVY` below half of the free flow, `MODERATE` below 80 %, else `LIGHT`.
    pub fn level(&self) -> &'static str {
        match self.current_speed_kmh / self.free_flow_speed_kmh {
            ratio if ratio < 0.5 => "HEAVY",
            ratio if ratio < 0.8 => "MODERATE",
            _ => "LIGHT",
        }
    }
}

/// The weather.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather<'a> {
    /// Such as `Rain`: a group of OpenWeatherMap.
    pub condition: &'a str,
    /// Degrees Celsius.
    pub temperature_c: f64,
    /// mm.
    pub precipitation_mm: f64,
    /// m/s.
    pub wind_speed_ms: f64,
    /// Percent.
    pub humidity_pct: i32,
    /// An index, if that is known.
    pub air_quality_index: Option<f64>,
    /// hPa.
    pub pressure_hpa: f64,
    /// m, if that is known.
    pub visibility_m: Option<f64>,
}

/// An incident or none, and who could help.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Emergency<'a> {
    /// What has happened, if anything.
    pub incident: Option<Incident<'a>>,
    /// Who is near, if that is known.
    pub services: Option<Services<'a>>,
}

/// An incident as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Incident<'a> {
    /// Its id.
    pub id: &'a str,
    /// `Accident`, `Medical`, `Fire` or `Police`.
    pub kind: &'a str,
    /// How far it is.
    pub status: Status,
    /// For people.
    pub description: &'a str,
    /// `Low`, `Medium` or `High`.
    pub severity: &'a str,
    /// Minutes until help is there, if that is known.
    pub response_time_min: Option<f64>,
}

/// How far an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It has happened.
    Active,
    /// Help is there.
    Responding,
    /// It is over.
    Resolved,
}

impl Status {
    /// The word in the field `status`.
    pub fn name(self) -> &'static str {
        ["Active", "Responding", "Resolved"][self as usize]
    }
}

/// Emergency services around a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Services<'a> {
    /// How many.
    pub count: u32,
    /// Of which kinds.
    pub kinds: &'a [&'a str],
}

/// The text of a UUID of version 4 with these random bits: what ids look like.
pub fn uuid(bits: u128) -> [u8; 36] {
    text::uuid(bits)
}

impl Record<'_> {
    /// The topic it belongs to.
    pub fn topic(&self) -> Topic {
        match self.body {
            Body::Vehicle(_) => Topic::Vehicle,
            Body::Gps(_) => Topic::Gps,
            Body::Traffic(_) => Topic::Traffic,
            Body::Weather(_) => Topic::Weather,
            Body::Emergency(_) => Topic::Emergency,
        }
    }

    /// Appends it as JSON.
    pub fn write(&self, to: &mut Vec<u8>) {
        let head = &self.head;
        let mut object = Object::open(to);
        object.text("id", head.id);
        object.text("deviceId", head.device);
        match &self.body {
            Body::Vehicle(body) => vehicle(&mut object, head, body),
            Body::Gps(body) => gps(&mut object, head, body),
            Body::Traffic(body) => traffic(&mut object, head, body),
            Body::Weather(body) => weather(&mut object, head, body),
            Body::Emergency(body) => emergency(&mut object, head, body),
        }
        object.plain("source", |to| to.extend_from_slice(head.source.name().as_bytes()));
        object.close();
    }
}

fn timestamp(object: &mut Object<'_>, head: &Head<'_>) {
    object.plain("timestamp", |to| text::time(to, head.time));
}

fn position(object: &mut Object<'_>, name: &str, [before, between, after]: [&str; 3], place: Place) {
    object.plain(name, |to| {
        to.extend_from_slice(before.as_bytes());
        text::decimal(to, place.lat, 6);
        to.extend_from_slice(between.as_bytes());
        text::decimal(to, place.lon, 6);
        to.extend_from_slice(after.as_bytes());
    });
}

fn location(object: &mut Object<'_>, head: &Head<'_>) {
    position(object, "location", ["(", ", ", ")"], head.place);
}

fn vehicle(object: &mut Object<'_>, head: &Head<'_>, body: &Vehicle<'_>) {
    timestamp(object, head);
    location(object, head);
    object.number("speed", body.speed_kmh, 2);
    object.text("direction", body.direction);
    object.text("make", body.make);
    object.text("model", body.model);
    object.integer("year", body.year.into());
    object.text("fuelType", body.fuel_type);
    object.number("fuelLevel", body.fuel_level_pct, 3);
    object.text("engineStatus", body.engine_status);
    object.number("odometer", body.odometer_km, 3);
}

fn gps(object: &mut Object<'_>, head: &Head<'_>, body: &Gps<'_>) {
    timestamp(object, head);
    object.number("speed", body.speed_kmh, 2);
    object.text("direction", body.direction);
    object.text("vehicleType", body.vehicle_type);
    position(object, "coordinates", ["", ",", ""], head.place);
}

fn traffic(object: &mut Object<'_>, head: &Head<'_>, body: &Traffic<'_>) {
    object.text("cameraId", body.camera);
    location(object, head);
    timestamp(object, head);
    object.plain("snapshot", |to| {
        to.extend_from_slice(b"camera_");
        text::escaped(to, body.camera);
        to.push(b'_');
        text::time(to, head.time);
    });
    object.text("trafficLevel", body.level());
    object.number("currentSpeed", body.current_speed_kmh, 2);
    object.number("freeFlowSpeed", body.free_flow_speed_kmh, 2);
    object.number("confidence", body.confidence, 2);
    object.flag("roadClosure", body.road_closure);
}

fn weather(object: &mut Object<'_>, head: &Head<'_>, body: &Weather<'_>) {
    timestamp(object, head);
    location(object, head);
    object.number("temperature", body.temperature_c, 1);
    object.text("weatherCondition", body.condition);
    object.number("precipitation", body.precipitation_mm, 1);
    object.number("windSpeed", body.wind_speed_ms, 1);
    object.integer("humidity", body.humidity_pct.into());
    object.number_or_null("airQualityIndex", body.air_quality_index, 1);
    object.number("pressure", body.pressure_hpa, 1);
    object.number_or_null("visibility", body.visibility_m, 0);
}

fn emergency(object: &mut Object<'_>, head: &Head<'_>, body: &Emergency<'_>) {
    timestamp(object, head);
    location(object, head);
    object.flag("hasIncident", body.incident.is_some());
    match &body.incident {
        None => {
            object.text("type", "None");
            object.text("status", "None");
            object.text("description", "No incidents reported");
        }
        Some(incident) => {
            object.text("incidentId", incident.id);
            object.text("type", incident.kind);
            object.text("status", incident.status.name());
            object.text("description", incident.description);
        }
    }
    if let Some(services) = &body.services {
        object.integer("nearbyServices", services.count.into());
        object.texts("serviceTypes", services.kinds);
    }
    if let Some(incident) = &body.incident {
        object.text("severity", incident.severity);
        if let Some(minutes) = incident.response_time_min {
            object.number("responseTime", minutes, 1);
        }
    }
}

#[cfg(test)]
mod tests;
