//! What the live APIs know, in the place of what records say.

use citystream_live_apis::apis::{self, OpenWeather, Overpass, Service, TomTom};
use citystream_live_apis::{Feed, Found, Freshness, Place, Status};
use citystream_wire::{self as wire, Body, Emergency, Head, Record, Source};

use super::stations::Kind;

/// The feeds.
#[derive(Clone, Debug)]
pub struct Apis {
    /// OpenWeatherMap.
    pub weather: Feed<OpenWeather>,
    /// TomTom.
    pub traffic: Feed<TomTom>,
    /// Overpass.
    pub services: Feed<Overpass>,
}

impl Apis {
    /// Requests that are under way or will be.
    pub fn pending(&self) -> usize {
        self.weather.pending() + self.traffic.pending() + self.services.pending()
    }

    /// The feeds as they are.
    pub fn status(&self) -> [Status; 3] {
        [self.weather.status(), self.traffic.status(), self.services.status()]
    }

    /// Asks for what a station's records tell of its place, unless it is live.
    pub fn want(&self, kind: Kind, place: Place) {
        match kind {
            Kind::Camera => self.traffic.want(place),
            Kind::Weather => self.weather.want(place),
            Kind::Services => self.services.want(place),
        }
    }

    /// Appends a record, with what is live or cached in the place of what it says; gives its source then.
    pub fn lay(&self, record: Record<'_>, to: &mut Vec<u8>) -> Source {
        let Record { head, body } = record;
        let place = Place::new(head.place.lat, head.place.lon);
        match (body, place) {
            (Body::Weather(_), Ok(place)) => {
                let found = self.weather.find(place).ok();
                let told = found.as_ref().map_or(body, |found| Body::Weather(weather(&found.value)));
                write(head, told, found.as_ref(), to)
            }
            (Body::Traffic(made_up), Ok(place)) => {
                let found = self.traffic.find(place).ok();
                let told = found.as_ref().map_or(body, |found| Body::Traffic(traffic(found.value, made_up.camera)));
                write(head, told, found.as_ref(), to)
            }
            // Where there is an incident, it and who helps there are made up.
            (Body::Emergency(Emergency { incident: None, .. }), Ok(place)) => {
                let (found, mut kinds) = (self.services.find(place).ok(), Vec::new());
                let told = found.as_ref().map(|found| services(found.value, &mut kinds));
                let told =
                    told.map_or(body, |told| Body::Emergency(Emergency { incident: None, services: Some(told) }));
                write(head, told, found.as_ref(), to)
            }
            _ => write::<()>(head, body, None, to),
        }
    }
}

fn write<V>(head: Head<'_>, body: Body<'_>, found: Option<&Found<V>>, to: &mut Vec<u8>) -> Source {
    let source = found.map_or(head.source, |found| match found.freshness {
        Freshness::Live => Source::Live,
        Freshness::Cached => Source::Cached,
    });
    Record { head: Head { source, ..head }, body }.write(to);
    source
}

/// The weather as a record has it. What OpenWeatherMap does not tell stays unknown.
fn weather(weather: &apis::Weather) -> wire::Weather<'_> {
    wire::Weather {
        condition: &weather.condition,
        temperature_c: weather.temperature_c,
        precipitation_mm: weather.rain_mm,
        wind_speed_ms: weather.wind_ms,
        humidity_pct: weather.humidity_pct.into(),
        air_quality_index: None,
        pressure_hpa: weather.pressure_hpa,
        visibility_m: weather.visibility_m,
    }
}

/// Traffic as a camera's record has it.
fn traffic(traffic: apis::Traffic, camera: &str) -> wire::Traffic<'_> {
    wire::Traffic {
        camera,
        current_speed_kmh: traffic.current_kmh,
        free_flow_speed_kmh: traffic.free_flow_kmh,
        confidence: traffic.confidence,
        road_closure: traffic.road_closed,
    }
}

/// Emergency services as a record has them; `kinds` is room for their names.
fn services<'a>(services: apis::Services, kinds: &'a mut Vec<&'static str>) -> wire::Services<'a> {
    kinds.clear();
    kinds.extend(services.kinds().map(Service::name));
    wire::Services { count: services.number(), kinds }
}
