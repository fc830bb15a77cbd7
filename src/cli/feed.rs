//! `citystream feed`: what live APIs tell of the places given, to Kafka, to a directory or to standard output.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use citystream_live_apis::{Reason, Status};
use clap::Args;
use serde_json::json;

use super::out::{self, note, say};
use super::run::Signals;
use crate::config::{self, ApiArgs, Config};
use crate::error::RunError;
use crate::process::source::kafka_settings;
use crate::produce::feed::{self, Apis, Kind, Reporter, Station, StdoutSink};
use crate::produce::simulate::{JsonlSink, KafkaSink, Sink, wall_ms};
use crate::units;

/// Examples of `feed`.
pub const EXAMPLES: &str = "\
Stations, one a line (kinds: camera -> traffic, weather -> weather, services ->
emergency services nearby):
  id,kind,lat,lon
  M40-J9,camera,51.8794,-1.1710
  Oxford,weather,51.7520,-1.2577
  Oxford,services,51.7520,-1.2577

Examples:
  export OPENWEATHER_API_KEY=... TOMTOM_API_KEY=...
  citystream feed --places stations.csv --bootstrap-servers HOST:9092
  citystream feed --places stations.csv --to dir:city --interval 10m
  citystream feed --places stations.csv --to - --once | jq .value

Each record says its source: live; else cached, the last answer within its age
limit; else synthetic, made up. Keys come from the environment only. Requests
are counted in --state, so that a restart begins no new quota.";

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
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = interval)]
    pub interval: Duration,
    /// One round, then end.
    #[arg(long)]
    pub once: bool,
    /// How long a round waits for answers before it takes what is there.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = units::time)]
    pub wait: Duration,
    /// Leave out records that would have to be made up.
    #[arg(long)]
    pub no_synthetic: bool,
    /// Partitions of each topic, for dir:PATH.
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = units::count::<u32>)]
    pub partitions: u32,
    /// Print the account at the end as JSON.
    #[arg(long)]
    pub json: bool,
    /// The APIs.
    #[command(flatten)]
    pub apis: ApiArgs,
}

/// How often signals and the sink are looked after while nothing else is to be done.
const LOOK: Duration = Duration::from_millis(50);
/// Rounds come no faster.
const SHORTEST: Duration = Duration::from_secs(1);

fn interval(text: &str) -> Result<Duration, &'static str> {
    units::time(text).and_then(|time| if time < SHORTEST { Err("the shortest is 1s") } else { Ok(time) })
}

/// Reports round by round, to a signal or once, and prints the account of it.
pub(super) fn feed(args: &FeedArgs, config: &Config) -> Result<i32, RunError> {
    let stations = stations(&args.places)?;
    let (interval, wait) = (args.interval, args.wait);
    let (mut sink, mut log_ms) = sink(args, config)?;
    let signals = Signals::listen()?;
    let feeds = feed::start(&args.apis, config::api_keys()?)?;
    let apis = &feeds.apis;
    warn_of_missing_keys(&stations, &apis.status());
    let mut reporter = Reporter::new(apis, &stations, !args.no_synthetic, random()?);
    let mut rounds = Rounds { sink: sink.as_mut(), signals: &signals, number: 0 };
    let mut due = Instant::now();
    while rounds.pass(due, || false)? {
        reporter.want();
        // Where answers come later than this, the round after has them.
        if !rounds.pass(Instant::now() + wait, || apis.pending() == 0)? {
            break;
        }
        log_ms = log_ms.max(wall_ms());
        reporter.report(log_ms * 1000, rounds.sink)?;
        rounds.end(&reporter, apis)?;
        if args.once {
            break;
        }
        due = Instant::now().max(due + interval);
    }
    let number = rounds.number;
    sink.finish()?;
    tell(&account(&reporter, apis, number, args.json), args.to == "-");
    Ok(0)
}

fn stations(path: &str) -> Result<Vec<Station>, RunError> {
    let text =
        std::fs::read_to_string(path).map_err(|e| RunError::Usage(format!("--places: cannot read {path}: {e}")))?;
    feed::stations(&text).map_err(|e| RunError::Usage(format!("--places {path}: {e}")))
}

fn warn_of_missing_keys(stations: &[Station], feeds: &[Status; 3]) {
    let needed = [(Kind::Weather, "OPENWEATHER_API_KEY"), (Kind::Camera, "TOMTOM_API_KEY")];
    for ((kind, variable), feed) in needed.into_iter().zip(feeds) {
        let number = stations.iter().filter(|station| station.kind == kind).count();
        if number > 0 && feed.held == Some(Reason::NoKey) {
            tracing::warn!("{variable} is not set: there is nothing live for {number} x {}", kind.name());
        }
    }
}

/// The sink, and the log time that it has reached.
fn sink(args: &FeedArgs, config: &Config) -> Result<(Box<dyn Sink>, i64), RunError> {
    match args.to.as_str() {
        "-" => Ok((Box::new(StdoutSink::open(&config.topics)), 0)),
        "kafka" => Ok((Box::new(KafkaSink::connect(kafka_settings(config))?), 0)),
        to => match to.strip_prefix("dir:").filter(|path| !path.is_empty()) {
            Some(path) => {
                let sink = JsonlSink::open(Path::new(path), &config.topics, args.partitions)?;
                let last = sink.last_log_time_ms().unwrap_or(0);
                Ok((Box::new(sink), last))
            }
            None => Err(RunError::Usage(format!("--to {to}: expected kafka, dir:PATH or -"))),
        },
    }
}

fn random() -> Result<u128, RunError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| RunError::Failed(format!("the system gives no random numbers: {e}")))?;
    Ok(u128::from_le_bytes(bytes))
}

/// The rounds so far, and what is looked after between them.
struct Rounds<'a> {
    sink: &'a mut dyn Sink,
    signals: &'a Signals,
    number: u64,
}

impl Rounds<'_> {
    /// Lets time pass until `end`, or until `done`; gives whether to go on after it.
    fn pass(&mut self, end: Instant, done: impl Fn() -> bool) -> Result<bool, RunError> {
        while self.signals.count() == 0 && Instant::now() < end && !done() {
            thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
            self.sink.pause()?;
        }
        Ok(self.signals.count() == 0)
    }

    fn end(&mut self, reporter: &Reporter<'_>, apis: &Apis) -> Result<(), RunError> {
        self.number += 1;
        self.sink.pause()?;
        let line = progress(reporter, &apis.status(), self.number);
        if out::may_draw() {
            out::beside(format_args!("\r\x1b[K{line}"))
        } else {
            note!("{line}")
        }
        Ok(())
    }
}

fn progress(reporter: &Reporter<'_>, feeds: &[Status], number: u64) -> String {
    let tallies = reporter.tallies().map(|(_, tally)| tally);
    let sum = |of: fn(&feed::Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let left: Vec<String> = feeds.iter().filter_map(|f| Some(format!("{} {}", f.feed, f.left?))).collect();
    format!(
        "round {number:>5}  {:>7} records: {} live  {} cached  {} synthetic   requests left: {}",
        sum(feed::Tally::records),
        sum(|t| t.live),
        sum(|t| t.cached),
        sum(|t| t.synthetic),
        left.join("  ")
    )
}

fn account(reporter: &Reporter<'_>, apis: &Apis, rounds: u64, as_json: bool) -> String {
    let (tallies, feeds) = (reporter.tallies(), apis.status());
    let records: u64 = tallies.iter().map(|(_, tally)| tally.records()).sum();
    if as_json {
        let stations: serde_json::Map<_, _> =
            tallies.into_iter().map(|(kind, tally)| (kind.name().to_owned(), json!(tally))).collect();
        return json!({"rounds": rounds, "records": records, "stations": stations, "feeds": feeds}).to_string();
    }
    let mut lines = vec![format!("{records} records in {rounds} rounds")];
    for (kind, feed::Tally { live, cached, synthetic, left_out }) in tallies {
        let name = kind.name();
        lines.push(format!("  {name:<12} {live} live, {cached} cached, {synthetic} synthetic, {left_out} left out"));
    }
    lines.extend(feeds.iter().map(feed_line));
    lines.join("\n")
}

/// What a feed has done, in a line.
pub(super) fn feed_line(status: &Status) -> String {
    let Status { feed, held, left, counts } = status;
    let left = left.map_or_else(String::new, |left| format!(", {left} left"));
    let held = held.map_or_else(String::new, |why| format!("; not asked now: {}", why.words()));
    let failures: String = counts.failures.iter().map(|(why, n)| format!("; {n} x {}", why.words())).collect();
    format!("  {feed:<12} {} requests, {} answers{left}{failures}{held}", counts.requests, counts.answers)
}

/// Where records go to standard output, nothing else does.
fn tell(account: &str, aside: bool) {
    if out::may_draw() {
        note!("");
    }
    if aside { note!("{account}") } else { say!("{account}") }
}
