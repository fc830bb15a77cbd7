//! Records as they stand in Kafka: typed here, JSON there. Written as the original producer does: its names, its order,
//! its spacing, naive times in UTC; and one field more, `source`.
//!
//! Numbers are to be finite. Nothing here allocates but for the growth of the buffer that is written to.

use crate::text::{self, Object};
use crate::topic::Topic;
use crate::topics::{Emergency, Gps, Traffic, Vehicle, Weather};
use crate::{Micros, Source};

/// A position, WGS-84, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// Latitude.
    pub lat: f64,
    /// Longitude.
    pub lon: f64,
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

/// The text of a UUID of version 4 with these random bits: what ids look like.
pub fn uuid(bits: u128) -> [u8; 36] {
    text::uuid(bits)
}

impl Body<'_> {
    /// The topic it belongs to.
    pub fn topic(&self) -> Topic {
        match self {
            Body::Vehicle(_) => Topic::VEHICLE,
            Body::Gps(_) => Topic::GPS,
            Body::Traffic(_) => Topic::TRAFFIC,
            Body::Weather(_) => Topic::WEATHER,
            Body::Emergency(_) => Topic::EMERGENCY,
        }
    }
}

impl Record<'_> {
    /// Appends it as JSON.
    pub fn write(&self, to: &mut Vec<u8>) {
        let head = &self.head;
        let mut object = Object::open(to);
        object.text("id", head.id);
        object.text("deviceId", head.device);
        match &self.body {
            Body::Vehicle(body) => body.write(&mut object, head),
            Body::Gps(body) => body.write(&mut object, head),
            Body::Traffic(body) => body.write(&mut object, head),
            Body::Weather(body) => body.write(&mut object, head),
            Body::Emergency(body) => body.write(&mut object, head),
        }
        object.text("source", head.source.word());
        object.close();
    }
}

impl Head<'_> {
    pub(crate) fn write_time(&self, object: &mut Object<'_>) {
        object.plain("timestamp", |to| text::time(to, self.time));
    }

    pub(crate) fn write_location(&self, object: &mut Object<'_>) {
        self.write_position(object, "location", ["(", ", ", ")"]);
    }

    pub(crate) fn write_position(&self, object: &mut Object<'_>, name: &str, [before, between, after]: [&str; 3]) {
        object.plain(name, |to| {
            to.extend_from_slice(before.as_bytes());
            text::decimal(to, self.place.lat, 6);
            to.extend_from_slice(between.as_bytes());
            text::decimal(to, self.place.lon, 6);
            to.extend_from_slice(after.as_bytes());
        });
    }
}
