//! The five records of a step, as the original writes them (Python's spacing), with `"source": "synthetic"`.

use citystream_dataflows::bindings::Topic;

use super::format::{decimal, integer, padded, text, time};
use super::vehicle::{Incident, Vehicle};

/// What the five records of a step share.
pub(super) struct Moment {
    /// The time as text.
    time: Vec<u8>,
    /// `lat, lon` in millionths of a degree.
    place: (i64, i64),
}

impl Moment {
    /// A vehicle's step at a time in microseconds since 1970.
    pub(super) fn new(vehicle: &Vehicle, micros: i64) -> Self {
        let mut moment = Moment { time: Vec::with_capacity(26), place: (0, 0) };
        moment.set(vehicle, micros);
        moment
    }

    /// As `new`, in place.
    pub(super) fn set(&mut self, vehicle: &Vehicle, micros: i64) {
        self.time.clear();
        time(&mut self.time, micros);
        self.place = vehicle.place();
    }
}

/// Appends a record.
pub(super) fn write(to: &mut Vec<u8>, topic: Topic, id: &[u8; 36], vehicle: &mut Vehicle, moment: &Moment) {
    text(to, "{\"id\": \"");
    to.extend_from_slice(id);
    word(to, "deviceId", &vehicle.device);
    text(to, "\", \"timestamp\": \"");
    to.extend_from_slice(&moment.time);
    match topic {
        Topic::Vehicle => drive(to, vehicle, moment),
        Topic::Gps => ping(to, vehicle, moment),
        Topic::Traffic => traffic(to, vehicle, moment),
        Topic::Weather => weather(to, vehicle, moment),
        Topic::Emergency => emergency(to, vehicle, moment),
    }
    text(to, ", \"source\": \"synthetic\"}");
}

/// After an open string: closes it and opens the member's. The last string of a record is closed by `close`.
fn word(to: &mut Vec<u8>, name: &str, value: &str) {
    text(to, "\", \"");
    text(to, name);
    text(to, "\": \"");
    text(to, value);
}

/// A member that is no string, after a closed value.
fn member(to: &mut Vec<u8>, name: &str) {
    text(to, ", \"");
    text(to, name);
    text(to, "\": ");
}

fn number(to: &mut Vec<u8>, name: &str, value: i64, places: usize) {
    member(to, name);
    decimal(to, value, places);
}

fn whole(to: &mut Vec<u8>, name: &str, value: i64) {
    member(to, name);
    integer(to, value);
}

fn close(to: &mut Vec<u8>) {
    to.push(b'"');
}

fn location(to: &mut Vec<u8>, moment: &Moment) {
    word(to, "location", "(");
    decimal(to, moment.place.0, 6);
    text(to, ", ");
    decimal(to, moment.place.1, 6);
    to.push(b')');
}

fn drive(to: &mut Vec<u8>, vehicle: &Vehicle, moment: &Moment) {
    location(to, moment);
    close(to);
    number(to, "speed", vehicle.speed, 2);
    member(to, "direction");
    close(to);
    text(to, vehicle.direction());
    word(to, "make", vehicle.make.0);
    word(to, "model", vehicle.make.1);
    close(to);
    whole(to, "year", vehicle.year);
    member(to, "fuelType");
    close(to);
    text(to, vehicle.fuel);
    close(to);
    number(to, "fuelLevel", vehicle.fuel_level, 2);
    member(to, "engineStatus");
    text(to, "\"Running\"");
    number(to, "odometer", vehicle.odometer_m / 100, 1);
}

fn ping(to: &mut Vec<u8>, vehicle: &Vehicle, moment: &Moment) {
    close(to);
    number(to, "speed", vehicle.speed, 2);
    member(to, "direction");
    close(to);
    text(to, vehicle.direction());
    word(to, "vehicleType", vehicle.kind);
    word(to, "coordinates", "");
    decimal(to, moment.place.0, 6);
    to.push(b',');
    decimal(to, moment.place.1, 6);
    close(to);
}

fn traffic(to: &mut Vec<u8>, vehicle: &mut Vehicle, moment: &Moment) {
    // A camera every hundredth of a degree of latitude: vehicles at one place see the same one.
    let camera = (moment.place.0 - 51_000_000) / 10_000;
    word(to, "cameraId", "UK-CAM-");
    padded(to, camera as u64, 3);
    location(to, moment);
    word(to, "snapshot", "camera_UK-CAM-");
    padded(to, camera as u64, 3);
    to.push(b'_');
    to.extend_from_slice(&moment.time);
    let free = if moment.place.0 < 51_800_000 { 4_800 } else { 11_200 };
    let percent = vehicle.random.between(25, 100);
    let level = if percent < 50 {
        "HEAVY"
    } else if percent < 80 {
        "MODERATE"
    } else {
        "LIGHT"
    };
    word(to, "trafficLevel", level);
    close(to);
    number(to, "currentSpeed", free * percent / 100, 2);
    number(to, "freeFlowSpeed", free, 2);
    number(to, "confidence", vehicle.random.between(50, 100), 2);
    member(to, "roadClosure");
    text(to, if vehicle.random.happens(5) { "true" } else { "false" });
}

fn weather(to: &mut Vec<u8>, vehicle: &mut Vehicle, moment: &Moment) {
    let random = &mut vehicle.random;
    let condition = random.pick(&["Clear", "Clouds", "Clouds", "Rain", "Mist", "Snow", "Drizzle"]);
    let wet = matches!(condition, "Rain" | "Snow" | "Drizzle");
    location(to, moment);
    close(to);
    number(to, "temperature", random.between(-20, 180), 1);
    member(to, "weatherCondition");
    close(to);
    text(to, condition);
    close(to);
    number(to, "precipitation", if wet { random.between(1, 50) } else { 0 }, 1);
    number(to, "windSpeed", random.between(0, 150), 1);
    whole(to, "humidity", random.between(40, 99));
    number(to, "airQualityIndex", random.between(100, 900), 1);
    number(to, "pressure", random.between(9_900, 10_300), 1);
    whole(to, "visibility", if condition == "Mist" { random.between(200, 2_000) } else { 10_000 });
}

fn emergency(to: &mut Vec<u8>, vehicle: &mut Vehicle, moment: &Moment) {
    location(to, moment);
    close(to);
    member(to, "hasIncident");
    let Some(Incident { id, kind, severity, stage }) = vehicle.incident else {
        text(to, "false, \"type\": \"None\", \"status\": \"None\", \"description\": \"No incidents reported\"");
        return;
    };
    text(to, "true, \"incidentId\": \"");
    to.extend_from_slice(&id);
    word(to, "type", kind);
    word(to, "status", ["Active", "Responding", "Resolved"][stage]);
    word(to, "description", kind);
    text(to, " reported on the road");
    close(to);
    whole(to, "nearbyServices", vehicle.random.between(0, 9));
    member(to, "serviceTypes");
    text(to, "[\"hospital\", \"police\", \"fire_station\"]");
    member(to, "severity");
    close(to);
    text(to, severity);
    close(to);
    whole(to, "responseTime", vehicle.random.between(4, 25));
}
