//! OpenWeatherMap: the weather at a place now.

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

/// The longest name of a weather condition.
const LONGEST_NAME: usize = 32;

/// The weather at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Weather {
    /// Degrees Celsius.
    pub temperature_c: f64,
    /// OpenWeatherMap's group: Clear, Clouds, Rain, ...; ASCII letters only.
    pub condition: String,
    /// Rain of the last hour, in millimetres. Snow is a condition, and no rain.
    pub rain_mm: f64,
    /// Metres a second.
    pub wind_ms: f64,
    /// Percent.
    pub humidity_pct: u8,
    /// Hectopascals.
    pub pressure_hpa: f64,
    /// Metres; some stations do not tell.
    pub visibility_m: Option<f64>,
}

/// OpenWeatherMap.
#[derive(Clone, Debug)]
pub struct OpenWeather {
    endpoint: Endpoint,
    key: Option<Secret>,
}

impl OpenWeather {
    /// Where it is.
    pub const ENDPOINT: &str = "https://api.openweathermap.org";

    /// OpenWeatherMap at an address.
    ///
    /// # Errors
    /// What is no address.
    pub fn new(endpoint: &str, key: Option<Secret>) -> Result<Self, EndpointError> {
        Ok(OpenWeather { endpoint: Endpoint::parse(endpoint)?, key })
    }
}

impl Api for OpenWeather {
    type Value = Weather;

    const NAME: &str = "openweather";
    const RESOLUTION: Resolution = Resolution::Five;

    /// The free tier is 60 a minute and 1,000 a day, the model is refreshed every 10 minutes.
    fn policy() -> Policy {
        let minute = Limit { requests: 50, within: Duration::from_secs(60) };
        let day = Limit { requests: 900, within: Duration::from_secs(86_400) };
        let ages = Ages { live: Duration::from_secs(600), cached: Duration::from_secs(3600) };
        Policy::new(ages, vec![minute, day], 4)
    }

    fn is_ready(&self) -> bool {
        self.key.is_some()
    }

    fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    fn request(&self, place: Place) -> Request {
        let mut url = self.endpoint.url("/data/2.5/weather");
        url.query_pairs_mut()
            .append_pair("lat", &place.lat().to_string())
            .append_pair("lon", &place.lon().to_string())
            .append_pair("units", "metric")
            .append_pair("appid", self.key.as_ref().map_or("", Secret::expose));
        Request::new(Method::GET, url)
    }

    fn read(&self, body: &[u8]) -> Result<Weather, AnswerError> {
        let Answer { main, weather, wind, visibility, rain } = json(body)?;
        let group = weather.into_iter().next().ok_or(AnswerError::Range { field: "weather" })?.main;
        if group.is_empty() || group.len() > LONGEST_NAME || !group.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(AnswerError::Range { field: "weather[0].main" });
        }
        Ok(Weather {
            temperature_c: within("main.temp", main.temp, -100.0, 100.0)?,
            condition: group,
            rain_mm: within("rain", rain.map_or(0.0, Rain::of_an_hour), 0.0, 1000.0)?,
            wind_ms: within("wind.speed", wind.speed, 0.0, 150.0)?,
            humidity_pct: within("main.humidity", main.humidity, 0.0, 100.0)?.round() as u8,
            pressure_hpa: within("main.pressure", main.pressure, 300.0, 1200.0)?,
            visibility_m: visibility.map(|metres| within("visibility", metres, 0.0, 1e6)).transpose()?,
        })
    }
}

#[derive(Deserialize)]
struct Answer {
    main: Main,
    weather: Vec<Group>,
    wind: Wind,
    visibility: Option<f64>,
    rain: Option<Rain>,
}

#[derive(Deserialize)]
struct Main {
    temp: f64,
    humidity: f64,
    pressure: f64,
}

#[derive(Deserialize)]
struct Group {
    main: String,
}

#[derive(Deserialize)]
struct Wind {
    speed: f64,
}

#[derive(Deserialize)]
struct Rain {
    #[serde(rename = "1h")]
    one_hour: Option<f64>,
    #[serde(rename = "3h")]
    three_hours: Option<f64>,
}

impl Rain {
    fn of_an_hour(self) -> f64 {
        self.one_hour.or(self.three_hours.map(|mm| mm / 3.0)).unwrap_or(0.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"coord": {"lon": -0.13, "lat": 51.51},
        "weather": [{"id": 501, "main": "Rain", "description": "moderate rain", "icon": "10d"}, {"main": "Mist"}],
        "main": {"temp": 7.42, "feels_like": 4.1, "pressure": 1009, "humidity": 87}, "visibility": 8000,
        "wind": {"speed": 5.66, "deg": 240}, "rain": {"1h": 2.31}, "dt": 1795430400, "name": "London", "cod": 200}"#;

    fn api() -> OpenWeather {
        OpenWeather::new(OpenWeather::ENDPOINT, Secret::new("k&y")).unwrap()
    }

    #[test]
    fn the_request_names_place_units_and_key() {
        let request = api().request(Place::new(51.5, -0.125).unwrap());
        let wanted = "https://api.openweathermap.org/data/2.5/weather?lat=51.5&lon=-0.125&units=metric&appid=k%26y";
        assert_eq!((request.method(), request.url().as_str()), (&Method::GET, wanted));
        assert!(!format!("{:?}", api()).contains("k&y"));
    }

    #[test]
    fn an_answer_is_read() {
        let wanted = Weather {
            temperature_c: 7.42,
            condition: "Rain".into(),
            rain_mm: 2.31,
            wind_ms: 5.66,
            humidity_pct: 87,
            pressure_hpa: 1009.0,
            visibility_m: Some(8000.0),
        };
        assert_eq!(api().read(ANSWER.as_bytes()), Ok(wanted.clone()));
        let without = ANSWER.replace(r#""visibility": 8000,"#, "").replace(r#""1h": 2.31"#, r#""3h": 1.5"#);
        let wanted = Weather { visibility_m: None, rain_mm: 0.5, ..wanted };
        assert_eq!(api().read(without.as_bytes()), Ok(wanted.clone()));
        let snow = without.replace("\"rain\"", "\"snow\"");
        assert_eq!(api().read(snow.as_bytes()), Ok(Weather { rain_mm: 0.0, ..wanted }));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (from, to) in [
            ("\"temp\"", "\"tmp\""),
            ("7.42", "\"7.42\""),
            ("7.42", "null"),
            ("7.42", "1e999"),
            ("7.42", "NaN"),
            ("7.42", "280.57"),
            ("\"humidity\": 87", "\"humidity\": 101"),
            ("\"humidity\"", "\"humid\""),
            ("\"pressure\"", "\"press\""),
            ("\"wind\"", "\"gale\""),
            ("5.66", "-1"),
            ("8000", "-5"),
            ("2.31", "-2.31"),
            (r#""main": "Rain""#, r#""main": """#),
            (r#""main": "Rain""#, r#""main": "Rain\", \"source\": \"live""#),
            ("\"cod\": 200}", "\"cod\": 200"),
        ] {
            let answer = ANSWER.replace(from, to);
            assert_ne!(answer, ANSWER);
            assert!(api().read(answer.as_bytes()).is_err(), "{to}");
        }
        for answer in ["", "[]", "null", "<html>", r#"{"weather": []}"#] {
            assert!(api().read(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
