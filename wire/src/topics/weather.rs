//! `weather_data`: the weather around stations.

use super::{DEVICE, H3_5, ID, LOCATION, SOURCE, TIME};
use crate::declaration::{Becomes, Declaration, Field};
use crate::record::Head;
use crate::text::Object;

pub(super) static DECLARATION: Declaration = Declaration {
    name: "weather",
    records: "weather records",
    default_topic: "weather_data",
    id: ID.json,
    device: Some(DEVICE.json),
    time: TIME.json,
    position: Some(LOCATION.json),
    fields: &[
        ID,
        DEVICE,
        TIME,
        LOCATION,
        Field::number("temperature", "temperature_c", "deg C", -100.0, 100.0),
        Field::text("weatherCondition", "weather_condition"),
        Field::number("precipitation", "precipitation_mm", "mm", 0.0, 10_000.0),
        Field::number("windSpeed", "wind_speed_ms", "m/s", 0.0, 500.0),
        Field::integer("humidity", "humidity_pct", "%", 0, 100),
        Field::number("airQualityIndex", "air_quality_index", "", 0.0, 10_000.0),
        Field::number("pressure", "pressure_hpa", "hPa", 0.0, 2000.0),
        Field::number("visibility", "visibility_m", "m", 0.0, 1e6),
        SOURCE,
    ],
    cells: &[H3_5],
    becomes: Becomes::Weather,
};

/// The weather.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather<'a> {
    /// Such as `Rain`: a group of OpenWeatherMap.
    pub condition: &'a str,
    /// Degrees Celsius.
    pub temperature_c: f64,
    /// mm.
    pub precipitation_mm: f64,
    /// m/s.
    pub wind_speed_ms: f64,
    /// Percent.
    pub humidity_pct: i32,
    /// An index, if that is known.
    pub air_quality_index: Option<f64>,
    /// hPa.
    pub pressure_hpa: f64,
    /// m, if that is known.
    pub visibility_m: Option<f64>,
}

impl Weather<'_> {
    pub(crate) fn write(&self, object: &mut Object<'_>, head: &Head<'_>) {
        head.write_time(object);
        head.write_location(object);
        object.number("temperature", self.temperature_c, 1);
        object.text("weatherCondition", self.condition);
        object.number("precipitation", self.precipitation_mm, 1);
        object.number("windSpeed", self.wind_speed_ms, 1);
        object.integer("humidity", self.humidity_pct.into());
        object.number_or_null("airQualityIndex", self.air_quality_index, 1);
        object.number("pressure", self.pressure_hpa, 1);
        object.number_or_null("visibility", self.visibility_m, 0);
    }
}
