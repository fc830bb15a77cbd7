//! The settings as flags: structures only. Values are checked in [`super::Config`].

use citystream_live_apis::apis::{OpenWeather, Overpass, TomTom};
use clap::Args;
use serde::Serialize;

use super::topics::TopicArgs;

/// Settings as given: text, unchecked. Names are those of the flags.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Settings")]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// The lake: a directory or s3://bucket/prefix [default: lake].
    #[arg(long, value_name = "WHERE")]
    pub lake: Option<String>,
    /// Make the lake even where some readers cannot open its path.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub any_path: Option<String>,
    /// The source: kafka, or dir:PATH of JSON lines [default: kafka].
    #[arg(long, value_name = "WHERE")]
    pub source: Option<String>,
    /// Kafka's addresses [default: 127.0.0.1:9092].
    #[arg(long, value_name = "HOST:PORT,..")]
    pub bootstrap_servers: Option<String>,
    /// A librdkafka setting; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kafka: Vec<String>,
    /// Consumer group that lag tools see [default: citystream].
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Where a new lake starts: earliest, latest or group [default: earliest].
    #[arg(long, value_name = "WHERE")]
    pub from: Option<String>,
    /// Go on although records are lost: offsets that the log no longer holds, or a topic that was made anew.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub accept_loss: Option<String>,
    /// Log clock of dir: sources: log, or event for archives of bare records [default: log].
    #[arg(long, value_name = "WHAT")]
    pub log_clock: Option<String>,
    /// What the topics are called.
    #[command(flatten)]
    #[serde(flatten)]
    pub topics: TopicArgs,
    /// The tables of the lake: all, or raw for the records alone [default: all].
    #[arg(long, value_name = "WHICH")]
    pub tables: Option<String>,
    /// Time zone of timestamps without one [default: UTC].
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// A record is late if the log received it more than this after the time it carries [default: 10m].
    #[arg(long, value_name = "TIME")]
    pub lateness: Option<String>,
    /// How far the horizon stays behind that [default: 2m].
    #[arg(long, value_name = "TIME")]
    pub slack: Option<String>,
    /// How far event time may run ahead of the log [default: 24h].
    #[arg(long, value_name = "TIME")]
    pub max_ahead: Option<String>,
    /// How far behind the others a partition that has reached its end may hold the horizon [default: 1h].
    #[arg(long, value_name = "TIME")]
    pub max_hold: Option<String>,
    /// After how long without a record a partition holds the horizon no longer [default: 30s].
    #[arg(long, value_name = "TIME")]
    pub idle: Option<String>,
    /// Longest record [default: 256KiB].
    #[arg(long, value_name = "BYTES")]
    pub max_record: Option<String>,
    /// Length of an epoch [default: 250ms].
    #[arg(long, value_name = "TIME")]
    pub epoch: Option<String>,
    /// Time between commits [default: 2s on a local lake, 60s on S3].
    #[arg(long, value_name = "TIME")]
    pub commit_interval: Option<String>,
    /// Bytes read and not yet committed, a quarter of it for the queues of Kafka's client, a process [default: 512MiB].
    #[arg(long, value_name = "BYTES")]
    pub memory: Option<String>,
    /// Bytes of what is in reach, a process: at it, only the partitions furthest behind are read [default: 60% of the
    /// machine's memory, or of the container's].
    #[arg(long, value_name = "BYTES")]
    pub state_memory: Option<String>,
    /// End once everything that is there is committed.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub until_drained: Option<String>,
    /// With --until-drained: the log has ended, so all windows are sealed; what may come later expires.
    #[arg(long = "final", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub r#final: Option<String>,
    /// How often to look for new partitions [default: 10s].
    #[arg(long, value_name = "TIME")]
    pub discover_interval: Option<String>,
    /// Address of /metrics, /healthz and /readyz, or none [default: 127.0.0.1:9090 + process].
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// S3 endpoint, for stores that are not AWS.
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// S3 region [default: us-east-1, or AWS's own settings].
    #[arg(long, value_name = "REGION")]
    pub s3_region: Option<String>,
    /// Processes of the cluster [default: 1].
    #[arg(short = 'n', long, value_name = "N")]
    pub processes: Option<String>,
    /// Worker threads of each process [default: 1].
    #[arg(short = 'w', long, value_name = "W")]
    pub workers: Option<String>,
    /// Which of the processes this is [default: 0].
    #[arg(short = 'p', long, value_name = "INDEX")]
    pub process: Option<String>,
    /// One host:port a line, in the order of the processes (help is --help).
    #[arg(short = 'h', long, value_name = "FILE")]
    pub hostfile: Option<String>,
    /// How long to wait for the other processes [default: 60s].
    #[arg(long, value_name = "TIME")]
    pub connect_timeout: Option<String>,
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
