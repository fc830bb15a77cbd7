//! TomTom: the flow on the road nearest to a place.

use std::time::Duration;

use h3o::Resolution;
use reqwest::{Method, Request};
use serde::Deserialize;

use super::{AnswerError, Api, Endpoint, EndpointError, json, within};
use crate::budget::Limit;
use crate::cache::Ages;
use crate::place::Place;
use crate::policy::Policy;
use crate::secret::Secret;

/// The flow on a road.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Kilometres an hour.
    pub current_kmh: f64,
    /// Kilometres an hour, at least 1.
    pub free_flow_kmh: f64,
    /// 0 to 1.
    pub confidence: f64,
    /// Whether the road is closed.
    pub road_closed: bool,
}

/// TomTom.
#[derive(Clone, Debug)]
pub struct TomTom {
    endpoint: Endpoint,
    key: Option<Secret>,
}

impl TomTom {
    /// Where it is.
    pub const ENDPOINT: &str = "https://api.tomtom.com";

    /// TomTom at an address.
    ///
    /// # Errors
    /// What is no address.
    pub fn new(endpoint: &str, key: Option<Secret>) -> Result<Self, EndpointError> {
        Ok(TomTom { endpoint: Endpoint::parse(endpoint)?, key })
    }
}

impl Api for TomTom {
    type Value = Traffic;

    const NAME: &str = "tomtom";
    const RESOLUTION: Resolution = Resolution::Eight;

    /// The free tier is 2,500 a day and 5 a second.
    fn policy() -> Policy {
        let second = Limit { requests: 4, within: Duration::from_secs(1) };
        let day = Limit { requests: 2400, within: Duration::from_secs(86_400) };
        let ages = Ages { live: Duration::from_secs(120), cached: Duration::from_secs(900) };
        Policy::new(ages, vec![second, day], 4)
    }

    fn is_ready(&self) -> bool {
        self.key.is_some()
    }

    fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    fn request(&self, place: Place) -> Request {
        let mut url = self.endpoint.url("/traffic/services/4/flowSegmentData/absolute/10/json");
        url.query_pairs_mut()
            .append_pair("point", &format!("{},{}", place.lat(), place.lon()))
            .append_pair("unit", "KMPH")
            .append_pair("key", self.key.as_ref().map_or("", Secret::expose));
        Request::new(Method::GET, url)
    }

    fn read(&self, body: &[u8]) -> Result<Traffic, AnswerError> {
        let Answer { flow: Flow { current_speed, free_flow_speed, confidence, road_closure } } = json(body)?;
        Ok(Traffic {
            current_kmh: within("currentSpeed", current_speed, 0.0, 500.0)?,
            free_flow_kmh: within("freeFlowSpeed", free_flow_speed, 1.0, 500.0)?,
            confidence: within("confidence", confidence, 0.0, 1.0)?,
            road_closed: road_closure,
        })
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "flowSegmentData")]
    flow: Flow,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Flow {
    current_speed: f64,
    free_flow_speed: f64,
    confidence: f64,
    road_closure: bool,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"flowSegmentData": {"frc": "FRC0", "currentSpeed": 31, "freeFlowSpeed": 96,
        "currentTravelTime": 410, "freeFlowTravelTime": 132, "confidence": 0.93, "roadClosure": false,
        "coordinates": {"coordinate": [{"latitude": 52.1, "longitude": -0.9}]}, "@version": "traffic-service"}}"#;

    fn api() -> TomTom {
        TomTom::new("http://127.0.0.1:1/", Secret::new("key")).unwrap()
    }

    #[test]
    fn the_request_names_place_unit_and_key() {
        let request = api().request(Place::new(51.5, -0.125).unwrap());
        let wanted = "http://127.0.0.1:1/traffic/services/4/flowSegmentData/absolute/10/json\
                      ?point=51.5%2C-0.125&unit=KMPH&key=key";
        assert_eq!((request.method(), request.url().as_str()), (&Method::GET, wanted));
    }

    #[test]
    fn an_answer_is_read() {
        let wanted = Traffic { current_kmh: 31.0, free_flow_kmh: 96.0, confidence: 0.93, road_closed: false };
        assert_eq!(api().read(ANSWER.as_bytes()), Ok(wanted));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (from, to) in [
            ("currentSpeed", "speed"),
            ("freeFlowSpeed", "freeSpeed"),
            ("\"confidence\"", "\"trust\""),
            ("roadClosure", "closed"),
            ("31", "\"31\""),
            ("31", "-1"),
            ("31", "1e999"),
            ("96", "0"),
            ("0.93", "93"),
            ("false", "\"no\""),
            ("flowSegmentData", "flow"),
        ] {
            let answer = ANSWER.replacen(from, to, 1);
            assert_ne!(answer, ANSWER);
            assert!(api().read(answer.as_bytes()).is_err(), "{to}");
        }
    }
}
