//! The flags of live APIs.

use citystream_live_apis::apis::{OpenWeather, Overpass, TomTom};
use clap::Args;

use crate::units;

/// How the APIs are asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Live APIs")]
pub struct ApiArgs {
    /// Directory in which requests are counted, across restarts.
    #[arg(long, value_name = "DIR", default_value = "feed-state")]
    pub state: String,
    /// Address of OpenWeatherMap.
    #[arg(long, value_name = "URL", default_value = OpenWeather::ENDPOINT)]
    pub openweather_endpoint: String,
    /// Address of TomTom.
    #[arg(long, value_name = "URL", default_value = TomTom::ENDPOINT)]
    pub tomtom_endpoint: String,
    /// Address of an Overpass instance.
    #[arg(long, value_name = "URL", default_value = Overpass::ENDPOINT)]
    pub overpass_endpoint: String,
    /// Most requests to OpenWeatherMap in any 24 hours [default: 900; the free tier has 1,000].
    #[arg(long, value_name = "N", value_parser = count)]
    pub openweather_per_day: Option<usize>,
    /// Most requests to OpenWeatherMap in any minute [default: 50; the free tier has 60].
    #[arg(long, value_name = "N", value_parser = count)]
    pub openweather_per_minute: Option<usize>,
    /// Most requests to TomTom in any 24 hours [default: 2400; the free tier has 2,500].
    #[arg(long, value_name = "N", value_parser = count)]
    pub tomtom_per_day: Option<usize>,
    /// Most requests to TomTom in any second [default: 4; the free tier has 5].
    #[arg(long, value_name = "N", value_parser = count)]
    pub tomtom_per_second: Option<usize>,
    /// Most requests to Overpass in any 24 hours [default: 1000].
    #[arg(long, value_name = "N", value_parser = count)]
    pub overpass_per_day: Option<usize>,
    /// Most requests to Overpass in any minute [default: 20].
    #[arg(long, value_name = "N", value_parser = count)]
    pub overpass_per_minute: Option<usize>,
}

fn count(text: &str) -> Result<usize, &'static str> {
    units::count(text)
}
