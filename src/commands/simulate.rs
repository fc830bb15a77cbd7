//! `citystream simulate`: records in the wire format, to a directory, to Kafka or to nowhere.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};

use super::run::Signals;
use crate::cli::SimulateArgs;
use crate::config::{Config, parse_duration};
use crate::error::RunError;
use crate::simulate::{
    Counts, Faults, JsonlSink, KafkaSink, NullSink, OptionsError, Pace, SimOptions, Simulator, Sink, SinkError,
    default_start, run,
};

/// Sends what is asked for and prints the account of it.
pub(super) fn simulate(args: &SimulateArgs, config: &Config) -> Result<i32, RunError> {
    let signals = Signals::listen()?;
    let (mut sink, last) = sink(args, config)?;
    let mut simulator = Simulator::new(options(args, config, last)?)?;
    let duration = args.duration.as_deref().map(time).transpose()?;
    let time_scale = args.rate.map(|_| args.time_scale);
    let pace = Pace { rate: args.rate, time_scale, records: args.records, duration };
    let bar = bar(args.records);
    let counts = run(&mut simulator, sink.as_mut(), pace, &|| signals.count() > 0, &mut |counts, _| {
        bar.set_position(counts.records);
    })?;
    bar.finish_and_clear();
    print(&counts);
    Ok(0)
}

fn sink(args: &SimulateArgs, config: &Config) -> Result<(Box<dyn Sink>, Option<i64>), RunError> {
    match args.to.as_str() {
        "null" => Ok((Box::new(NullSink), None)),
        "kafka" => Ok((Box::new(KafkaSink::connect(&config.bootstrap_servers, &config.topics, &config.kafka)?), None)),
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

fn options(args: &SimulateArgs, config: &Config, last: Option<i64>) -> Result<SimOptions, RunError> {
    let (out_of_order, late, duplicates) = (args.out_of_order, args.late, args.duplicates);
    let options = SimOptions {
        seed: args.seed,
        vehicles: args.vehicles,
        start_ms: start_after(last, args.time_scale),
        faults: Faults { out_of_order, late, duplicates, malformed: args.malformed },
        lateness_ms: config.policy.lateness / 1000,
        ..SimOptions::default()
    };
    Ok(options.paced(args.rate, args.time_scale)?)
}

/// Where simulated time starts: after what a log holds already; now, if it runs as fast as the wall clock.
pub(super) fn start_after(last: Option<i64>, time_scale: f64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let new = if time_scale <= 1.0 { now } else { default_start(now) };
    last.map_or(new, |last| new.max(last + 1))
}

/// A time such as `30s`.
pub(super) fn time(text: &str) -> Result<Duration, RunError> {
    parse_duration(text).ok_or_else(|| RunError::Usage(format!("{text}: expected a time such as 30s or 5m")))
}

fn bar(records: Option<u64>) -> ProgressBar {
    let (bar, template) = match records {
        Some(records) => (ProgressBar::new(records), "{bar:40} {human_pos} of {human_len} records  {per_sec}  {eta}"),
        None => (ProgressBar::new_spinner(), "{human_pos} records  {per_sec}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn print(counts: &Counts) {
    let Counts { records, out_of_order, late, duplicates, malformed, .. } = counts;
    println!(
        "{records} records: {out_of_order} out of order, {late} late, {duplicates} duplicates, {malformed} malformed"
    );
}

impl From<SinkError> for RunError {
    fn from(error: SinkError) -> Self {
        RunError::Failed(error.to_string())
    }
}

impl From<OptionsError> for RunError {
    fn from(error: OptionsError) -> Self {
        RunError::Usage(error.to_string())
    }
}
