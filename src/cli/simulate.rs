//! `citystream simulate`: a simulated city's records, to a directory, to Kafka or to nowhere, and the truth about them.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use citystream_simulator::{Effects, Options, OptionsError, Simulator, Trouble, Truth};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::feed::feed_line;
use super::out::{self, put, say};
use super::run::Signals;
use super::times::start_after;
use crate::config::{self, ApiArgs, Config};
use crate::error::RunError;
use crate::process::source::kafka_settings;
use crate::produce::feed;
use crate::produce::simulate::{JsonlSink, KafkaSink, NullSink, Pace, Sink, SinkError, run};
use crate::units;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  citystream simulate --to dir:log --span 6h --truth truth.json
  citystream simulate --time-scale 60                 to Kafka, an hour a minute
  citystream simulate --time-scale 1 --vehicles 100   to Kafka, in real time
  citystream simulate --to dir:log --span 6h --late 0.01 --duplicates 0.01
  citystream simulate --to dir:log --span 6h --rain-effect 0.7 --incidents 20
  citystream simulate --time-scale 1 --vehicles 5 --live

Without a pace it sends as fast as it can. The same flags send the same bytes,
whatever --rate, --time-scale, --threads and --to; not so with --live.
docs/simulation.md: the effects, the troubles, and what stands in --truth.";

/// What `simulate` adds.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Where records go: kafka, dir:PATH or null.
    #[arg(long, default_value = "kafka", value_name = "WHERE")]
    pub to: String,
    /// Partitions of each topic, for dir:PATH.
    #[arg(long, value_name = "NUMBER", default_value = "4", value_parser = units::count::<u32>)]
    pub partitions: u32,
    /// The same seed, with the same flags, gives the same records.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Vehicles.
    #[arg(long, value_name = "NUMBER", default_value = "750", value_parser = units::count::<u32>)]
    pub vehicles: u32,
    /// How often a vehicle reports: a time, or the least and the greatest.
    #[arg(long, default_value = "30s..60s", value_name = "TIME[..TIME]", value_parser = step)]
    pub step: (i64, i64),
    /// Incidents an hour, all over the road.
    #[arg(long, default_value_t = Options::default().incidents_an_hour, value_name = "NUMBER")]
    pub incidents: f64,
    /// When simulated time starts [default: 2026-01-05T06:30:00Z; now at --time-scale 1; in any case after what
    /// dir:PATH holds already].
    #[arg(long, value_name = "WHEN")]
    pub start: Option<String>,
    /// Stop after this much simulated time, such as 6h.
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub span: Option<Duration>,
    /// Stop after so many records, such as 10k.
    #[arg(long, value_name = "NUMBER", value_parser = units::count::<u64>)]
    pub records: Option<u64>,
    /// Stop after this much real time, such as 30s.
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub duration: Option<Duration>,
    /// Records a second, at most, such as 20k.
    #[arg(long, value_name = "NUMBER", value_parser = units::positive)]
    pub rate: Option<f64>,
    /// Simulated seconds a second, at most.
    #[arg(long, value_name = "NUMBER", value_parser = units::positive)]
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
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = units::time)]
    late_mean: Duration,
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
    #[arg(long, default_value = "1m", value_name = "TIME", value_parser = units::time)]
    skew: Duration,
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
    /// The troubles.
    pub fn trouble(&self) -> Trouble {
        Trouble {
            out_of_order: self.out_of_order,
            delayed: self.delayed,
            late: self.late,
            late_mean_ms: self.late_mean.as_millis() as i64,
            duplicates: self.duplicates,
            malformed: self.malformed,
            skewed: self.skewed,
            skew_ms: self.skew.as_millis() as i64,
            ahead: self.ahead,
            bursts: self.bursts,
            silent: self.silent,
            hot_cell: self.hot_cell,
        }
    }
}

/// Sends what is asked for and prints the account of it.
pub(super) fn simulate(args: &SimulateArgs, config: &Config) -> Result<i32, RunError> {
    let signals = Signals::listen()?;
    let pace = pace(args);
    let (mut sink, last) = sink(args, config)?;
    let mut simulator = Simulator::new(options(args, config, last)?, args.threads)?;
    // Before anything is sent: a log whose truth is lost cannot be told again.
    let told = args.truth.as_deref().map(|path| Ok::<_, RunError>((path, open(path)?))).transpose()?;
    let feeds = args.live.then(|| feed::start(&args.apis, config::api_keys()?)).transpose()?;
    if let Some(feeds) = &feeds {
        simulator.lay(Arc::new(feeds.apis.clone()));
    }
    let (bar, began, start_ms) = (bar(&pace), Instant::now(), simulator.now_ms());
    let stop = || signals.count() > 0;
    run(&mut simulator, sink.as_mut(), pace, &stop, &mut |simulator| {
        let simulated_s = (simulator.now_ms() - start_ms) as u64 / 1000;
        bar.set_message(format!("{} records, {} min simulated", simulator.sent(), simulated_s / 60));
        bar.set_position(if pace.records.is_some() { simulator.sent() } else { simulated_s });
    })?;
    bar.finish_and_clear();
    let (truth, seconds) = (simulator.truth(), began.elapsed().as_secs_f64());
    let truth = if args.to.starts_with("dir:") { truth.through_lines() } else { truth };
    put!(truth);
    say!("  {seconds:.1} s, {:.0} records/s", truth.records as f64 / seconds);
    feeds.iter().flat_map(|feeds| feeds.apis.status()).for_each(|status| say!("{}", feed_line(&status)));
    told.map_or(Ok(0), |(path, file)| write(path, file, &truth).map(|()| 0))
}

fn sink(args: &SimulateArgs, config: &Config) -> Result<(Box<dyn Sink>, Option<i64>), RunError> {
    match args.to.as_str() {
        "null" => Ok((Box::new(NullSink), None)),
        "kafka" => Ok((Box::new(KafkaSink::connect(kafka_settings(config))?), None)),
        to => match to.strip_prefix("dir:").filter(|path| !path.is_empty()) {
            Some(path) => {
                let sink = JsonlSink::open(Path::new(path), &config.topics, args.partitions)?;
                let last = sink.last_log_time_ms();
                Ok((Box::new(sink), last))
            }
            None => Err(RunError::Usage(format!("--to {to}: expected kafka, dir:PATH or null"))),
        },
    }
}

fn pace(args: &SimulateArgs) -> Pace {
    let SimulateArgs { rate, time_scale, records, span, duration, .. } = *args;
    Pace { rate, time_scale, records, span, duration }
}

fn options(args: &SimulateArgs, config: &Config, last: Option<i64>) -> Result<Options, RunError> {
    Ok(Options {
        seed: args.seed,
        vehicles: args.vehicles,
        start_ms: start(args, last)?,
        step_ms: args.step,
        incidents_an_hour: args.incidents,
        effects: args.effects.effects(),
        trouble: args.trouble.trouble(),
        lateness_ms: config.policy.lateness / 1000,
        max_ahead_ms: config.policy.max_ahead / 1000,
        max_record: config.max_record,
    })
}

fn start(args: &SimulateArgs, last: Option<i64>) -> Result<i64, RunError> {
    let Some(text) = args.start.as_deref() else {
        return Ok(start_after(last, args.time_scale.unwrap_or(f64::INFINITY)));
    };
    let usage = |what: String| RunError::Usage(format!("--start {text}: {what}"));
    let start = text.parse::<Timestamp>().map_err(|_| usage("expected a time such as 2026-01-05T06:30:00Z".into()))?;
    match last {
        Some(last) if last >= start.as_millisecond() => {
            let last = Timestamp::from_millisecond(last).map_or_else(|_| last.to_string(), |last| last.to_string());
            Err(usage(format!("{} goes on to {last} already; start after that, or use another directory", args.to)))
        }
        _ => Ok(start.as_millisecond()),
    }
}

/// A time or two, in milliseconds.
fn step(text: &str) -> Result<(i64, i64), &'static str> {
    let millis = |text| units::time(text).map(|time| time.as_millis() as i64);
    let (least, greatest) = text.split_once("..").unwrap_or((text, text));
    Ok((millis(least)?, millis(greatest)?))
}

/// A bar over the records or the simulated time to come, where that is known.
fn bar(pace: &Pace) -> ProgressBar {
    if !out::may_draw() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match pace.records.or(pace.span.map(|span| span.as_secs())) {
        Some(length) => (ProgressBar::new(length), "{bar:40} {percent} %  {msg}  {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A file that is to be written to; what is in it stays until then.
fn open(path: &str) -> Result<File, RunError> {
    let opened = File::options().write(true).create(true).truncate(false).open(path);
    opened.map_err(|error| RunError::Usage(format!("--truth: cannot write {path}: {error}")))
}

fn write(path: &str, mut file: File, truth: &Truth) -> Result<(), RunError> {
    let text = serde_json::to_vec_pretty(truth).map_err(|error| RunError::Failed(error.to_string()))?;
    let written = file.set_len(0).and_then(|()| file.write_all(&text));
    written.map_err(|error| RunError::Failed(format!("cannot write {path}: {error}")))
}

impl From<SinkError> for RunError {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Source(error) => error.into(),
            other => RunError::Failed(other.to_string()),
        }
    }
}

impl From<OptionsError> for RunError {
    fn from(error: OptionsError) -> Self {
        RunError::Usage(error.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(flags: &[&str]) -> SimulateArgs {
        let cli = Cli::try_parse_from([&["citystream", "simulate"], flags].concat()).unwrap();
        match cli.command {
            Command::Simulate { simulate, .. } => *simulate,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_interval_is_a_time_or_two() {
        assert_eq!((step("45s").unwrap(), step("500ms..1m").unwrap()), ((45_000, 45_000), (500, 60_000)));
        assert!(step("soon").is_err() && step("1s..").is_err());
    }

    #[test]
    fn simulated_time_starts_where_it_is_told_to_but_never_in_what_is_there() {
        let start = |flags: &[&str], last| start(&args(flags), last).map_err(|error| error.to_string());
        let told = ["--start", "2026-01-05T10:00:00Z", "--to", "dir:log"];
        assert_eq!(start(&told, None), Ok(1_767_607_200_000));
        assert_eq!(start(&told, Some(1_767_607_199_999)), Ok(1_767_607_200_000));
        let refused = start(&told, Some(1_767_607_200_000)).unwrap_err();
        assert!(refused.contains("dir:log goes on to 2026-01-05T10:00:00Z already"), "{refused}");
        assert_eq!(start(&[], Some(i64::MAX - 1)), Ok(i64::MAX));
        assert!(start(&["--start", "noon"], None).is_err());
    }

    #[test]
    fn numbers_have_units_and_what_is_none_is_named_with_its_flag() {
        let args = args(&["--rate", "20k", "--span", "1h30m", "--records", "10k", "--vehicles", "2k"]);
        let expected = Pace {
            rate: Some(20_000.0),
            span: Some(Duration::from_secs(5400)),
            records: Some(10_000),
            ..Pace::default()
        };
        assert_eq!((pace(&args), args.vehicles), (expected, 2_000));
        for flags in
            [["--rate", "0"], ["--time-scale", "nan"], ["--span", "long"], ["--records", "many"], ["--step", "1s.."]]
        {
            let error =
                Cli::try_parse_from([&["citystream", "simulate"], &flags[..]].concat()).unwrap_err().to_string();
            assert!(error.contains(flags[0]) && error.contains(flags[1]) && error.contains("expected a"), "{error}");
        }
    }
}
