//! The three APIs: what is asked, and what an answer must hold.

mod openweather;
mod overpass;
mod tomtom;

use std::fmt::Debug;

use h3o::Resolution;
use reqwest::{Request, Url};
use serde::de::DeserializeOwned;

pub use openweather::{OpenWeather, Weather};
pub use overpass::{Overpass, Service, Services};
pub use tomtom::{TomTom, Traffic};

use crate::place::Place;
use crate::policy::Policy;
use crate::secret::Secret;

/// An API that tells something about a place.
pub trait Api: Send + Sync + 'static {
    /// What it tells.
    type Value: Clone + Debug + Send + 'static;

    /// Its name: in logs, in counts, and of its file.
    const NAME: &'static str;
    /// Places in one cell of this size have one answer.
    const RESOLUTION: Resolution;

    /// How it is asked unless told otherwise: within its free tier.
    fn policy() -> Policy;

    /// Whether it can be asked: it has the key that it needs.
    fn is_ready(&self) -> bool;

    /// The key that it has.
    fn key(&self) -> Option<&Secret>;

    /// The request about a place.
    fn request(&self, place: Place) -> Request;

    /// Reads the body of an answer.
    ///
    /// # Errors
    /// A body that is not what it should be.
    fn read(&self, body: &[u8]) -> Result<Self::Value, AnswerError>;
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AnswerError {
    /// Not JSON, a field missing or of another type.
    #[error("not the answer expected: {0}")]
    Json(String),
    /// A value that cannot be.
    #[error("not the answer expected: {field} is out of range")]
    Range {
        /// The field.
        field: &'static str,
    },
    /// The API has given up before it had all.
    #[error("the answer is not complete")]
    Incomplete,
}

/// Why a URL is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: expected an address such as https://host or http://127.0.0.1:8080")]
pub struct EndpointError(String);

/// The address of an API: scheme, host, and what stands before the API's own path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads an address.
    ///
    /// # Errors
    /// What is no address, or one with more than a path in it.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        match Url::parse(text.trim_end_matches('/')) {
            Ok(url)
                if matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() =>
            {
                Ok(Endpoint(url))
            }
            _ => Err(EndpointError(text.to_owned())),
        }
    }

    /// The address of one of the API's paths.
    fn url(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, AnswerError> {
    serde_json::from_slice(body).map_err(|error| AnswerError::Json(error.to_string()))
}

/// A number that must be within a range, both ends included.
fn within(field: &'static str, value: f64, min: f64, max: f64) -> Result<f64, AnswerError> {
    if (min..=max).contains(&value) { Ok(value) } else { Err(AnswerError::Range { field }) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_keeps_what_stands_before_the_path() {
        let url = |text| Endpoint::parse(text).map(|endpoint| endpoint.url("/a/b").to_string());
        assert_eq!(url("https://host").unwrap(), "https://host/a/b");
        assert_eq!(url("http://127.0.0.1:81/proxy/").unwrap(), "http://127.0.0.1:81/proxy/a/b");
        for text in ["", "host", "ftp://host", "https://host?key=1", "https://host#x"] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
