//! The records as a JSON parser reads them back.
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
    assert_eq!([48.0, 76.0, 77.0].map(|speed| traffic(speed).level()), ["MODERATE", "MODERATE", "LIGHT"]);
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
        kind: "Fire",
        status: Status::Responding,
        description: "A fire",
        severity: "High",
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
