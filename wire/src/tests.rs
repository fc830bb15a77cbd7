//! The records as a JSON parser reads them back, and what can be declared.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

const HEAD: Head<'_> = Head {
    id: "0b6f1a52-8c1e-4f0a-9f2b-5a1f0c9d7e11",
    device: "vehicle-00042",
    time: 1_795_428_930_123_456,
    place: Place { lat: 52.012_345, lon: -0.987_654 },
    source: Source::Cached,
};

fn written(body: Body<'_>) -> (String, Value) {
    let mut to = Vec::new();
    Record { head: HEAD, body }.write(&mut to);
    let text = String::from_utf8(to).unwrap();
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

#[test]
fn a_ping_is_the_originals_to_the_byte() {
    let gps = Gps { speed_kmh: 57.31, direction: "North-West", vehicle_type: "private" };
    let (text, _) = written(Body::Gps(gps));
    assert_eq!(
        text,
        r#"{"id": "0b6f1a52-8c1e-4f0a-9f2b-5a1f0c9d7e11", "deviceId": "vehicle-00042", "timestamp": "2026-11-23T10:15:30.123456", "speed": 57.31, "direction": "North-West", "vehicleType": "private", "coordinates": "52.012345,-0.987654", "source": "cached"}"#
    );
}

#[test]
fn a_vehicle_record_says_all_of_its_state() {
    let vehicle = Vehicle {
        speed_kmh: 57.31,
        direction: "North",
        make: "O\"Neil",
        model: "330e",
        year: 2020,
        fuel_type: "Hybrid",
        fuel_level_pct: 61.5,
        engine_status: "Running",
        odometer_km: 12_345.678,
    };
    let (_, value) = written(Body::Vehicle(vehicle));
    assert_eq!(
        value,
        json!({"id": HEAD.id, "deviceId": HEAD.device, "timestamp": "2026-11-23T10:15:30.123456",
               "location": "(52.012345, -0.987654)", "speed": 57.31, "direction": "North", "make": "O\"Neil",
               "model": "330e", "year": 2020, "fuelType": "Hybrid", "fuelLevel": 61.5, "engineStatus": "Running",
               "odometer": 12_345.678, "source": "cached"})
    );
}

#[test]
fn the_level_of_traffic_follows_from_its_speeds() {
    let traffic = |current_speed_kmh| Traffic {
        camera: "UK-CAM-001",
        current_speed_kmh,
        free_flow_speed_kmh: 96.0,
        confidence: 0.93,
        road_closure: false,
    };
    let (_, value) = written(Body::Traffic(traffic(31.2)));
    assert_eq!(
        value,
        json!({"id": HEAD.id, "deviceId": HEAD.device, "cameraId": "UK-CAM-001", "location": "(52.012345, -0.987654)",
               "timestamp": "2026-11-23T10:15:30.123456", "snapshot": "camera_UK-CAM-001_2026-11-23T10:15:30.123456",
               "trafficLevel": "HEAVY", "currentSpeed": 31.2, "freeFlowSpeed": 96.0, "confidence": 0.93,
               "roadClosure": false, "source": "cached"})
    );
    assert_eq!(
        [48.0, 76.0, 77.0].map(|speed| traffic(speed).level()),
        [Level::Moderate, Level::Moderate, Level::Light]
    );
}

#[test]
fn weather_has_whole_percents() {
    let weather = Weather {
        condition: "Rain",
        temperature_c: -1.25,
        precipitation_mm: 0.5,
        wind_speed_ms: 7.3,
        humidity_pct: 81,
        air_quality_index: Some(42.0),
        pressure_hpa: 1012.4,
        visibility_m: Some(10_000.0),
    };
    let (text, value) = written(Body::Weather(weather));
    assert_eq!(
        value,
        json!({"id": HEAD.id, "deviceId": HEAD.device, "timestamp": "2026-11-23T10:15:30.123456",
               "location": "(52.012345, -0.987654)", "temperature": -1.3, "weatherCondition": "Rain",
               "precipitation": 0.5, "windSpeed": 7.3, "humidity": 81, "airQualityIndex": 42.0, "pressure": 1012.4,
               "visibility": 10_000, "source": "cached"})
    );
    assert!(text.contains("\"humidity\": 81,"), "{text}");
    let (_, value) = written(Body::Weather(Weather { air_quality_index: None, visibility_m: None, ..weather }));
    assert_eq!((&value["airQualityIndex"], &value["visibility"]), (&Value::Null, &Value::Null));
    assert!(value.as_object().unwrap().contains_key("visibility"), "a field that is required is there");
}

#[test]
fn an_emergency_record_says_what_it_knows() {
    let none = Emergency { incident: None, services: None };
    let (_, value) = written(Body::Emergency(none));
    assert_eq!(
        value,
        json!({"id": HEAD.id, "deviceId": HEAD.device, "timestamp": "2026-11-23T10:15:30.123456",
               "location": "(52.012345, -0.987654)", "hasIncident": false, "type": "None", "status": "None",
               "description": "No incidents reported", "source": "cached"})
    );
    let incident = Incident {
        id: "incident-1",
        kind: IncidentKind::Fire,
        phase: Phase::Responding,
        description: "A fire",
        severity: Severity::High,
        response_time_min: Some(12.0),
    };
    let services = Services { count: 2, kinds: &["hospital", "police"] };
    let (_, value) = written(Body::Emergency(Emergency { incident: Some(incident), services: Some(services) }));
    assert_eq!(
        value,
        json!({"id": HEAD.id, "deviceId": HEAD.device, "timestamp": "2026-11-23T10:15:30.123456",
               "location": "(52.012345, -0.987654)", "hasIncident": true, "incidentId": "incident-1", "type": "Fire",
               "status": "Responding", "description": "A fire", "nearbyServices": 2,
               "serviceTypes": ["hospital", "police"], "severity": "High", "responseTime": 12.0, "source": "cached"})
    );
}

/// What a parser sees of the record, in its order.
fn names(body: Body<'_>) -> Vec<String> {
    let (text, _) = written(body);
    let mut names = Vec::new();
    let mut rest = text.as_str();
    while let Some(end) = rest.find("\": ") {
        let start = rest[..end].rfind('"').unwrap() + 1;
        names.push(rest[start..end].to_owned());
        rest = &rest[end + 3..];
    }
    names
}

#[test]
fn what_is_written_is_what_is_declared_in_that_order() {
    let incident = Incident {
        id: "i",
        kind: IncidentKind::Fire,
        phase: Phase::Active,
        description: "d",
        severity: Severity::Low,
        response_time_min: Some(1.0),
    };
    let bodies = [
        Body::Vehicle(Vehicle {
            speed_kmh: 1.0,
            direction: "North",
            make: "m",
            model: "m",
            year: 2020,
            fuel_type: "f",
            fuel_level_pct: 1.0,
            engine_status: "Off",
            odometer_km: 1.0,
        }),
        Body::Gps(Gps { speed_kmh: 1.0, direction: "North", vehicle_type: "private" }),
        Body::Traffic(Traffic {
            camera: "c",
            current_speed_kmh: 1.0,
            free_flow_speed_kmh: 1.0,
            confidence: 1.0,
            road_closure: false,
        }),
        Body::Weather(Weather {
            condition: "Rain",
            temperature_c: 1.0,
            precipitation_mm: 1.0,
            wind_speed_ms: 1.0,
            humidity_pct: 1,
            air_quality_index: None,
            pressure_hpa: 1.0,
            visibility_m: None,
        }),
        Body::Emergency(Emergency {
            incident: Some(incident),
            services: Some(Services { count: 1, kinds: &["police"] }),
        }),
    ];
    assert_eq!(bodies.map(|body| body.topic()).to_vec(), Topic::all().take(5).collect::<Vec<_>>());
    for body in bodies {
        let declared: Vec<&str> = body.topic().declaration().fields.iter().map(|field| field.json).collect();
        assert_eq!(names(body), declared, "{:?}", body.topic());
    }
}

#[test]
fn what_this_crate_declares_is_sound() {
    for topic in Topic::all() {
        assert_eq!(topic.declaration().check(), Ok(()), "{topic:?}");
        assert_eq!(Topic::named(topic.name()), Some(topic));
        assert_eq!(topic.raw_table(), format!("raw_{}", topic.name()));
    }
    assert_eq!((Topic::GPS.name(), Topic::GPS.index(), Topic::GPS.setting()), ("gps", 1, "gps-topic"));
}

#[test]
fn a_topic_is_its_name_to_people() {
    let counts = std::collections::BTreeMap::from([(Topic::GPS, 3), (Topic::EMERGENCY, 0)]);
    let text = serde_json::to_string(&counts).unwrap();
    assert_eq!(text, r#"{"gps":3,"emergency":0}"#);
    assert_eq!(serde_json::from_str::<std::collections::BTreeMap<Topic, u64>>(&text).unwrap(), counts);
    let unknown = serde_json::from_str::<Topic>(r#""trams""#).unwrap_err().to_string();
    assert!(unknown.contains("topic \"trams\" is not declared here"), "{unknown}");
}

#[test]
fn what_contradicts_itself_is_not_declared() {
    const FIELDS: &[Field] = &[Field::id("id", "id").required(), Field::time("at"), Field::place("where", &[])];
    let sound = Declaration {
        name: "trams",
        records: "trams",
        default_topic: "tram_data",
        id: "id",
        device: None,
        time: "at",
        position: Some("where"),
        fields: FIELDS,
        cells: &[],
        becomes: Becomes::Nothing,
    };
    assert_eq!(sound.check(), Ok(()));
    let speed = || Field::number("v", "v", "", 0.0, 1.0);
    let with = |field: Field| &*[FIELDS, &[field]].concat().leak();
    let faults = [
        (Declaration { name: "Trams", ..sound }, "its name"),
        (Declaration { fields: &[], ..sound }, "0 fields"),
        (Declaration { id: "at", ..sound }, "its id, at, is no required id"),
        (Declaration { device: Some("d"), ..sound }, "its device, d"),
        (Declaration { time: "t", ..sound }, "its time is"),
        (Declaration { position: None, ..sound }, "its position is"),
        (Declaration { cells: &[Cell { column: "h3_16", resolution: 16 }], ..sound }, "is no cell"),
        (Declaration { fields: with(Field { json: "id", ..speed() }), ..sound }, "field id is there twice"),
        (Declaration { fields: with(Field { column: "offset", ..speed() }), ..sound }, "column offset is there twice"),
        (Declaration { fields: with(Field { column: "id", ..speed() }), ..sound }, "column id is there twice"),
        (Declaration { fields: with(Field::number("v", "v", "", 1.0, 0.0)), ..sound }, "field v: column v cannot be"),
        (Declaration { fields: with(Field { column: "", ..speed() }), ..sound }, "has no name"),
    ];
    for (declaration, expected) in faults {
        let fault = Topic::declare(declaration).unwrap_err();
        assert!(fault.to_string().contains(expected), "{fault} / {expected}");
    }
    assert_eq!(Topic::declare(Declaration { name: "gps", ..sound }), Err(DeclareError::Twice("gps")));
    let pings = Topic::declare(Declaration { becomes: Becomes::Pings, ..sound });
    assert_eq!(pings, Err(DeclareError::Taken("trams", Becomes::Pings, "gps")));
}
