//! What `simulate` adds to the command line: the city, its pace, its effects, its troubles.

use citystream_simulator::{Effects, Options, Trouble};
use clap::Args;

use super::ApiArgs;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  citystream simulate --to dir:log --span 6h --truth truth.json     as fast as it can
  citystream simulate --time-scale 60                               to Kafka, an hour a minute
  citystream simulate --time-scale 1 --vehicles 100                 to Kafka, in real time
  citystream simulate --to dir:log --span 6h --late 0.01 --delayed 0.05 --duplicates 0.01
  citystream simulate --to dir:log --span 6h --rain-effect 0.7 --incidents 20
  citystream simulate --time-scale 1 --vehicles 5 --live            live weather, traffic and services where vehicles are

The same flags send the same bytes, whatever --rate, --time-scale, --threads and --to; not so with --live.
docs/simulation.md: the effects, the troubles, and what stands in --truth.";

/// What `simulate` adds.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Where records go: kafka, dir:PATH or null.
    #[arg(long, default_value = "kafka", value_name = "WHERE")]
    pub to: String,
    /// Partitions of each topic, for dir:PATH.
    #[arg(long, default_value_t = 4)]
    pub partitions: u32,
    /// The same seed, with the same flags, gives the same records.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Vehicles.
    #[arg(long, default_value_t = 750)]
    pub vehicles: u32,
    /// How often a vehicle reports: a time, or the least and the greatest.
    #[arg(long, default_value = "30s..60s", value_name = "TIME[..TIME]")]
    pub step: String,
    /// Incidents an hour, all over the road.
    #[arg(long, default_value_t = Options::default().incidents_an_hour, value_name = "NUMBER")]
    pub incidents: f64,
    /// When simulated time starts [default: 2026-01-05T06:30:00Z; now at --time-scale 1; in any case after what
    /// dir:PATH holds already].
    #[arg(long, value_name = "WHEN")]
    pub start: Option<String>,
    /// Stop after this much simulated time, such as 6h.
    #[arg(long, value_name = "TIME")]
    pub span: Option<String>,
    /// Stop after so many records.
    #[arg(long)]
    pub records: Option<u64>,
    /// Stop after this much real time, such as 30s.
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Records a second, at most.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Simulated seconds a second, at most.
    #[arg(long, value_name = "NUMBER")]
    pub time_scale: Option<f64>,
    /// Threads that drive the vehicles.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Write what was sent, what went wrong with it, and what the tables must hold, as JSON.
    #[arg(long, value_name = "FILE")]
    pub truth: Option<String>,
    /// Put live weather, traffic and emergency services in the place of simulated ones, where they are known.
    #[arg(long)]
    pub live: bool,
    /// What makes vehicles slower.
    #[command(flatten)]
    pub effects: EffectArgs,
    /// What goes wrong on the way.
    #[command(flatten)]
    pub trouble: TroubleArgs,
    /// How live APIs are asked.
    #[command(flatten)]
    pub apis: ApiArgs,
}

/// What makes vehicles slower: factors of the speed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Effects: factors of the speed, 1 is none")]
pub struct EffectArgs {
    /// Of rain.
    #[arg(long, default_value_t = Effects::default().rain, value_name = "FACTOR")]
    rain_effect: f64,
    /// Of snow.
    #[arg(long, default_value_t = Effects::default().snow, value_name = "FACTOR")]
    snow_effect: f64,
    /// Of an incident within 2 km.
    #[arg(long, default_value_t = Effects::default().incident, value_name = "FACTOR")]
    incident_effect: f64,
    /// Of the height of the rush hour, in towns.
    #[arg(long, default_value_t = Effects::default().rush_town, value_name = "FACTOR")]
    rush_town_effect: f64,
    /// Of the height of the rush hour, on main roads.
    #[arg(long, default_value_t = Effects::default().rush_trunk, value_name = "FACTOR")]
    rush_trunk_effect: f64,
    /// Of the height of the rush hour, on motorways.
    #[arg(long, default_value_t = Effects::default().rush_motorway, value_name = "FACTOR")]
    rush_motorway_effect: f64,
}

/// What goes wrong on the way: shares, 0 to 1. L is `--lateness`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Trouble: shares, 0 to 1 (L is --lateness)")]
pub struct TroubleArgs {
    /// Records sent after later ones, by up to L/20.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true)]
    out_of_order: f64,
    /// Records delayed by L/10 to L/2, in time.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true)]
    delayed: f64,
    /// Records delayed by more than L.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true)]
    late: f64,
    /// By how much more, on average (a long tail).
    #[arg(long, default_value = "5m", value_name = "TIME")]
    late_mean: String,
    /// Records sent twice.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true)]
    duplicates: f64,
    /// Records that cannot be read, for every reason there is.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true)]
    malformed: f64,
    /// Vehicles whose clock is wrong by up to --skew.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true)]
    skewed: f64,
    /// How wrong such a clock is, L/4 at most.
    #[arg(long, default_value = "1m", value_name = "TIME")]
    skew: String,
    /// Vehicles hours ahead of time; a fourth of them by more than --max-ahead.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true)]
    ahead: f64,
    /// Time in which the connection is down and records gather, to be sent at once (0.25 at most).
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true)]
    bursts: f64,
    /// Time in which a topic is silent (0.5 at most).
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true)]
    silent: f64,
    /// Vehicles that all move about in one cell.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true)]
    hot_cell: f64,
}

impl EffectArgs {
    /// The effects.
    pub fn effects(&self) -> Effects {
        Effects {
            rain: self.rain_effect,
            snow: self.snow_effect,
            incident: self.incident_effect,
            rush_town: self.rush_town_effect,
            rush_trunk: self.rush_trunk_effect,
            rush_motorway: self.rush_motorway_effect,
        }
    }
}

impl TroubleArgs {
    /// The troubles; `time` reads a time in milliseconds.
    pub fn trouble<E>(&self, time: impl Fn(&str) -> Result<i64, E>) -> Result<Trouble, E> {
        Ok(Trouble {
            out_of_order: self.out_of_order,
            delayed: self.delayed,
            late: self.late,
            late_mean_ms: time(&self.late_mean)?,
            duplicates: self.duplicates,
            malformed: self.malformed,
            skewed: self.skewed,
            skew_ms: time(&self.skew)?,
            ahead: self.ahead,
            bursts: self.bursts,
            silent: self.silent,
            hot_cell: self.hot_cell,
        })
    }
}
