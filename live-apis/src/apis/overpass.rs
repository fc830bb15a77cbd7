//! OpenStreetMap by Overpass: the emergency services around a place.

use std::time::Duration;

use form_urlencoded::Serializer;
use h3o::Resolution;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use serde::Deserialize;

use super::{AnswerError, Api, Endpoint, EndpointError, json};
use crate::budget::Limit;
use crate::cache::Ages;
use crate::place::Place;
use crate::policy::Policy;
use crate::secret::Secret;

/// How far around, in metres.
const RADIUS: u32 = 5000;

/// A kind of emergency service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// A hospital.
    Hospital,
    /// A police station.
    Police,
    /// A fire station.
    FireStation,
}

impl Service {
    /// All kinds.
    pub const ALL: [Service; 3] = [Service::Hospital, Service::Police, Service::FireStation];

    /// OpenStreetMap's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Service::Hospital => "hospital",
            Service::Police => "police",
            Service::FireStation => "fire_station",
        }
    }
}

/// The emergency services around a place: how many of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// In the order of [`Service::ALL`].
    counts: [u32; 3],
}

impl Services {
    /// How many there are.
    pub fn number(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// The kinds that there are.
    pub fn kinds(&self) -> impl Iterator<Item = Service> {
        Service::ALL.into_iter().filter(|service| self.counts[*service as usize] > 0)
    }
}

/// Overpass.
#[derive(Clone, Debug)]
pub struct Overpass {
    endpoint: Endpoint,
}

impl Overpass {
    /// Where its main instance is.
    pub const ENDPOINT: &str = "https://overpass-api.de";

    /// An Overpass instance at an address.
    ///
    /// # Errors
    /// What is no address.
    pub fn new(endpoint: &str) -> Result<Self, EndpointError> {
        Ok(Overpass { endpoint: Endpoint::parse(endpoint)? })
    }
}

impl Api for Overpass {
    type Value = Services;

    const NAME: &str = "overpass";
    const RESOLUTION: Resolution = Resolution::Seven;

    /// Two requests at once are allowed. What stands in a map changes slowly, and the servers are run by volunteers.
    fn policy() -> Policy {
        let minute = Limit { requests: 20, within: Duration::from_secs(60) };
        let day = Limit { requests: 1000, within: Duration::from_secs(86_400) };
        let ages = Ages { live: Duration::from_secs(86_400), cached: Duration::from_secs(7 * 86_400) };
        Policy { timeout: Duration::from_secs(15), ..Policy::new(ages, vec![minute, day], 2) }
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn key(&self) -> Option<&Secret> {
        None
    }

    fn request(&self, place: Place) -> Request {
        let mut request = Request::new(Method::POST, self.endpoint.url("/api/interpreter"));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        let data = Serializer::new(String::new()).append_pair("data", &query(place)).finish();
        *request.body_mut() = Some(data.into());
        request
    }

    fn read(&self, body: &[u8]) -> Result<Services, AnswerError> {
        let Answer { elements, remark } = json(body)?;
        // Overpass answers with 200 and what it had when it ran out of time or memory.
        if remark.is_some_and(|remark| remark.contains("error")) {
            return Err(AnswerError::Incomplete);
        }
        let mut services = Services::default();
        for element in elements {
            let kind = Service::ALL.into_iter().find(|service| service.name() == element.tags.amenity);
            services.counts[kind.ok_or(AnswerError::Range { field: "amenity" })? as usize] += 1;
        }
        Ok(services)
    }
}

fn query(place: Place) -> String {
    let kinds = Service::ALL.map(Service::name).join("|");
    let (lat, lon) = (place.lat(), place.lon());
    format!("[out:json][timeout:10];nwr[\"amenity\"~\"^({kinds})$\"](around:{RADIUS},{lat},{lon});out tags;")
}

#[derive(Deserialize)]
struct Answer {
    elements: Vec<Element>,
    remark: Option<String>,
}

#[derive(Deserialize)]
struct Element {
    tags: Tags,
}

#[derive(Deserialize)]
struct Tags {
    amenity: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"version": 0.6, "generator": "Overpass API", "elements": [
        {"type": "node", "id": 1, "tags": {"amenity": "hospital", "name": "St Anne's"}},
        {"type": "way", "id": 2, "tags": {"amenity": "fire_station"}},
        {"type": "relation", "id": 3, "tags": {"amenity": "hospital"}}]}"#;

    fn api() -> Overpass {
        Overpass::new(Overpass::ENDPOINT).unwrap()
    }

    #[test]
    fn the_request_is_a_form_with_the_query() {
        let request = api().request(Place::new(51.5, -0.125).unwrap());
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.url().as_str(), "https://overpass-api.de/api/interpreter");
        let body = request.body().unwrap().as_bytes().unwrap();
        let pairs: Vec<_> = form_urlencoded::parse(body).collect();
        let wanted = "[out:json][timeout:10];nwr[\"amenity\"~\"^(hospital|police|fire_station)$\"]\
                      (around:5000,51.5,-0.125);out tags;";
        assert_eq!(pairs, [("data".into(), wanted.into())]);
    }

    #[test]
    fn an_answer_is_counted_by_kind() {
        let services = api().read(ANSWER.as_bytes()).unwrap();
        assert_eq!(services.number(), 3);
        assert_eq!(services.kinds().collect::<Vec<_>>(), [Service::Hospital, Service::FireStation]);
        assert_eq!(api().read(br#"{"elements": []}"#).unwrap().number(), 0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let cut = ANSWER.replace("\"version\"", "\"remark\": \"runtime error: Query timed out\", \"version\"");
        assert_eq!(api().read(cut.as_bytes()), Err(AnswerError::Incomplete));
        for (from, to) in [("\"elements\"", "\"things\""), ("\"tags\"", "\"labels\""), ("hospital", "pub")] {
            assert!(api().read(ANSWER.replace(from, to).as_bytes()).is_err(), "{to}");
        }
        assert!(api().read(b"<html>rate_limited</html>").is_err());
    }
}
