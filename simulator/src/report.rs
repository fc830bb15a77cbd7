//! The records of a vehicle's step, one a topic: all at its time and place.

use citystream_wire::{self as wire, Body, Emergency, Gps, Head, Record, Source, Traffic};

use crate::city::Conditions;
use crate::draw::Draw;
use crate::overlay::Overlay;
use crate::topics::TOPICS;
use crate::vehicle::Vehicle;

/// Appends the records in the order of [`TOPICS`], and to `ends` where each ends.
pub(crate) fn write(
    (to, ends): (&mut Vec<u8>, &mut Vec<usize>),
    vehicle: &Vehicle,
    conditions: &Conditions<'_>,
    event_us: i64,
    draw: Draw,
    overlay: &dyn Overlay,
) {
    let bodies = [
        Body::Vehicle(state(vehicle, conditions)),
        Body::Gps(ping(vehicle, conditions)),
        Body::Traffic(traffic(conditions, draw.of(5))),
        Body::Weather(conditions.weather.body()),
        Body::Emergency(emergency(conditions)),
    ];
    debug_assert!(bodies.iter().map(Body::topic).eq(TOPICS.iter().copied()));
    for (number, body) in (0..).zip(bodies) {
        let id = draw.of(number).uuid();
        let head = Head {
            id: std::str::from_utf8(&id).unwrap_or_default(),
            device: &vehicle.model.device,
            time: event_us,
            place: conditions.spot.place,
            source: Source::Synthetic,
        };
        overlay.write(Record { head, body }, to);
        ends.push(to.len());
    }
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
        road_closure: conditions.seen.is_some_and(|(incident, phase)| incident.closes(phase)),
    }
}

fn emergency<'a>(conditions: &Conditions<'a>) -> Emergency<'a> {
    match conditions.seen {
        Some((incident, phase)) => incident.body(phase),
        None => Emergency { incident: None, services: None },
    }
}
