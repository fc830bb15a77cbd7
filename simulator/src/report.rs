//! The five records of a vehicle's step: all at its time and place.

use citystream_dataflows::bindings::Topic;

use crate::city::Conditions;
use crate::draw::Draw;
use crate::overlay::Overlay;
use crate::vehicle::Vehicle;
use crate::wire::{self, Body, Emergency, Gps, Head, Record, Source, Traffic};

/// Appends the five records in the order of the topics, and gives where each ends.
pub(crate) fn write(
    to: &mut Vec<u8>,
    vehicle: &Vehicle,
    conditions: &Conditions<'_>,
    event_us: i64,
    draw: Draw,
    overlay: &dyn Overlay,
) -> [usize; 5] {
    Topic::ALL.map(|topic| {
        let id = draw.of(topic as u64).uuid();
        let head = Head {
            id: std::str::from_utf8(&id).unwrap_or_default(),
            device: &vehicle.model.device,
            time: event_us,
            place: conditions.spot.place,
            source: Source::Synthetic,
        };
        let body = match topic {
            Topic::Vehicle => Body::Vehicle(state(vehicle, conditions)),
            Topic::Gps => Body::Gps(ping(vehicle, conditions)),
            Topic::Traffic => Body::Traffic(traffic(conditions, draw.of(5))),
            Topic::Weather => Body::Weather(conditions.weather.body()),
            Topic::Emergency => Body::Emergency(emergency(conditions)),
        };
        overlay.write(Record { head, body }, to);
        to.len()
    })
}

fn direction(vehicle: &Vehicle, conditions: &Conditions<'_>) -> &'static str {
    conditions.spot.directions[usize::from(vehicle.back)]
}

fn state<'a>(vehicle: &'a Vehicle, conditions: &Conditions<'a>) -> wire::Vehicle<'a> {
    let model = &vehicle.model;
    wire::Vehicle {
        speed_kmh: vehicle.speed_kmh,
        direction: direction(vehicle, conditions),
        make: model.make.0,
        model: model.make.1,
        year: model.year,
        fuel_type: model.fuel.0,
        fuel_level_pct: vehicle.fuel_pct,
        engine_status: vehicle.engine_status(),
        odometer_km: vehicle.odometer_m / 1000.0,
    }
}

fn ping<'a>(vehicle: &'a Vehicle, conditions: &Conditions<'a>) -> Gps<'a> {
    let direction = direction(vehicle, conditions);
    Gps { speed_kmh: vehicle.speed_kmh, direction, vehicle_type: vehicle.model.kind }
}

/// What the camera sees is how fast all drive, give or take 3 %.
fn traffic<'a>(conditions: &Conditions<'a>, draw: Draw) -> Traffic<'a> {
    Traffic {
        camera: conditions.spot.camera,
        current_speed_kmh: conditions.flow_kmh * draw.of(0).within(0.97, 1.03),
        free_flow_speed_kmh: conditions.free_flow_kmh,
        confidence: draw.of(1).within(0.7, 1.0),
        road_closure: conditions.seen.is_some_and(|(incident, status)| incident.closes(status)),
    }
}

fn emergency<'a>(conditions: &Conditions<'a>) -> Emergency<'a> {
    match conditions.seen {
        Some((incident, status)) => incident.body(status),
        None => Emergency { incident: None, services: None },
    }
}
