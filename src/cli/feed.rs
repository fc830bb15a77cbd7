//! What `feed` is told, and what all commands are told that ask live APIs.

use citystream_feeds::apis::{OpenWeather, Overpass, TomTom};
use clap::Args;

/// Examples of `feed`.
pub const EXAMPLES: &str = "\
Stations, one a line (kinds: camera -> traffic, weather -> weather, services -> emergency services nearby):
  id,kind,lat,lon
  M40-J9,camera,51.8794,-1.1710
  Oxford,weather,51.7520,-1.2577
  Oxford,services,51.7520,-1.2577

Examples:
  export OPENWEATHER_API_KEY=... TOMTOM_API_KEY=...
  citystream feed --places stations.csv --to kafka --bootstrap-servers HOST:9092
  citystream feed --places stations.csv --to dir:city --interval 10m
  citystream feed --places stations.csv --to - --once | jq .value

Each record says its source: live; else cached, the last answer within its age limit; else synthetic, made up.
Keys come from the environment only. Requests are counted in --state, so that a restart begins no new quota.";

/// What `feed` adds.
#[derive(Debug, Args)]
pub struct FeedArgs {
    /// The stations: CSV with the columns id, kind (camera, weather, services), lat, lon.
    #[arg(long, value_name = "FILE")]
    pub places: String,
    /// Where records go: kafka, dir:PATH, or - for standard output.
    #[arg(long, default_value = "kafka")]
    pub to: String,
    /// Time between two rounds of records.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub interval: String,
    /// One round, then end.
    #[arg(long)]
    pub once: bool,
    /// How long a round waits for answers before it takes what is there.
    #[arg(long, value_name = "TIME", default_value = "20s")]
    pub wait: String,
    /// Leave out records that would have to be made up.
    #[arg(long)]
    pub no_synthetic: bool,
    /// Partitions of each topic, for dir:PATH.
    #[arg(long, default_value_t = 1)]
    pub partitions: u32,
    /// Print the account at the end as JSON.
    #[arg(long)]
    pub json: bool,
    /// The APIs.
    #[command(flatten)]
    pub apis: ApiArgs,
}

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
    #[arg(long, value_name = "N")]
    pub openweather_per_day: Option<usize>,
    /// Most requests to OpenWeatherMap in any minute [default: 50; the free tier has 60].
    #[arg(long, value_name = "N")]
    pub openweather_per_minute: Option<usize>,
    /// Most requests to TomTom in any 24 hours [default: 2400; the free tier has 2,500].
    #[arg(long, value_name = "N")]
    pub tomtom_per_day: Option<usize>,
    /// Most requests to TomTom in any second [default: 4; the free tier has 5].
    #[arg(long, value_name = "N")]
    pub tomtom_per_second: Option<usize>,
    /// Most requests to Overpass in any 24 hours [default: 1000].
    #[arg(long, value_name = "N")]
    pub overpass_per_day: Option<usize>,
    /// Most requests to Overpass in any minute [default: 20].
    #[arg(long, value_name = "N")]
    pub overpass_per_minute: Option<usize>,
}
