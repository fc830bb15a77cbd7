//! `citystream demo`: simulator -> JSON-lines log -> pipeline -> local lake and page, in one process, without any server.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use citystream_simulator::{Options, Simulator, Trouble};
use clap::Args;
use toml::{Table, Value};

use super::out::{say, warn};
use super::progress::Progress;
use super::run::Signals;
use super::times::start_after;
use crate::config::{self, Config, Effective, TABLES};
use crate::error::RunError;
use crate::pipeline::Run;
use crate::process::metrics::Metrics;
use crate::produce::simulate::{JsonlSink, Pace, run};
use crate::units;

/// What `demo` adds.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where the demo keeps its log (DIR/log) and its lake (DIR/lake).
    #[arg(long, default_value = "demo")]
    pub dir: String,
    /// Refused: the demo has its own.
    #[arg(long, hide = true, value_parser = has_its_own)]
    lake: Option<String>,
    /// The same.
    #[arg(long, hide = true, value_parser = has_its_own)]
    source: Option<String>,
    /// Vehicles; each reports five records every 30 to 60 s of simulated time.
    #[arg(long, value_name = "NUMBER", default_value = "750", value_parser = units::count::<u32>)]
    pub vehicles: u32,
    /// Stop by itself after this long, such as 30s.
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub duration: Option<Duration>,
    /// Open the page in the browser.
    #[arg(long)]
    pub open: bool,
}

/// Shown below the help.
pub const EXAMPLES: &str = "\
Examples:
  citystream demo                  until Ctrl-C; then it goes on where it was
  citystream demo --open --duration 10m --dir /tmp/city
  citystream demo --vehicles 2000 -w 2

Then: citystream lake sql --lake demo/lake > lake.sql && duckdb -init lake.sql";

fn has_its_own(_: &str) -> Result<String, &'static str> {
    Err("the demo keeps its log and its lake under --dir; `citystream run` reads any log into any lake")
}

/// What is asked of the city where the settings file asks for nothing.
const WATCHED: &str = include_str!("demo.toml");
/// Simulated seconds a second.
const TIME_SCALE: f64 = 60.0;
/// So that something happens while one looks.
const INCIDENTS_AN_HOUR: f64 = 20.0;

/// Runs the demo to a signal, or for `--duration`.
pub(super) fn demo(args: &DemoArgs, settings: &Table, file: Option<&str>) -> Result<i32, RunError> {
    let signals = Signals::listen()?;
    let (log, lake) = (format!("{}/log", args.dir), format!("{}/lake", args.dir));
    let mut settings = settings.clone();
    settings.extend([("source", format!("dir:{log}")), ("lake", lake.clone())].map(|(k, v)| (k.to_owned(), v.into())));
    let mut effective = config::effective(&settings, file)?;
    let is =
        |effective: &Effective, name: &str, value: &str| effective.get(name).and_then(Value::as_str) == Some(value);
    if !is(&effective, "listen", "none") && !is(&effective, "tables", "raw") {
        effective.default_to("live", "on");
    }
    if is(&effective, "live", "on") {
        watch(&mut effective)?;
    }
    let config = Config::check(&effective)?;
    say!("simulated city at {TIME_SCALE} x real time: log in {log}, tables in {lake}; Ctrl-C ends it in order");
    let page = config.listen.as_ref().map(|address| format!("http://{address}/"));
    let sink = JsonlSink::open(Path::new(&log), &config.topics, 2)?;
    let start_ms = start_after(sink.last_log_time_ms(), TIME_SCALE);
    // A seed of its own for each start: the ids of an earlier one do not come again.
    let options = Options {
        seed: start_ms as u64,
        vehicles: args.vehicles,
        start_ms,
        incidents_an_hour: INCIDENTS_AN_HOUR,
        trouble: trouble(),
        lateness_ms: config.policy.lateness / 1000,
        max_ahead_ms: config.policy.max_ahead / 1000,
        max_record: config.max_record,
        ..Options::default()
    };
    let simulator = Simulator::new(options, 1)?;
    let pace = Pace { time_scale: Some(TIME_SCALE), duration: args.duration, ..Pace::default() };
    let pipeline = Pipeline::start(&config)?;
    if let Some(page) = page {
        say!("the city, live: {page}");
        if args.open {
            open(&page);
        }
    }
    supervise(pipeline, simulator, sink, pace, &signals)?;
    say!("\n{}", query(&lake));
    Ok(0)
}

/// Standing views and alerts, unless the user has some, or has changed how many there may be.
fn watch(effective: &mut Effective) -> Result<(), RunError> {
    let are_settled = TABLES.iter().chain(&["most-views", "most-view-points"]);
    if are_settled.into_iter().any(|key| effective.is_given(key)) {
        return Ok(());
    }
    let watched: Table = toml::from_str(WATCHED).map_err(|error| RunError::Usage(error.to_string()))?;
    watched.into_iter().for_each(|(table, declared)| effective.default_to(&table, declared));
    Ok(())
}

/// A little of what goes wrong in a city.
fn trouble() -> Trouble {
    Trouble {
        out_of_order: 0.05,
        delayed: 0.02,
        late: 0.002,
        duplicates: 0.005,
        malformed: 0.001,
        skewed: 0.02,
        ..Trouble::default()
    }
}

/// A pipeline that has been started, and what it shows.
struct Pipeline {
    run: Run,
    progress: Progress,
}

impl Pipeline {
    fn start(config: &Config) -> Result<Pipeline, RunError> {
        let metrics = Arc::new(Metrics::new(config.policy, config.epoch)?);
        let run = Run::start(config, Arc::clone(&metrics))?;
        Ok(Pipeline { run, progress: Progress::new(metrics, config) })
    }
}

/// Opens the page where there is a browser; where there is none, its address has been said.
fn open(page: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    let started = Command::new(opener).arg(page).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    if let Err(error) = started {
        warn(&format!("no browser could be started: {opener}: {error}"));
    }
}

/// Runs the simulator beside the pipeline; when the one ends, the other commits what is left and ends.
fn supervise(
    Pipeline { run: pipeline, mut progress }: Pipeline,
    mut simulator: Simulator,
    mut sink: JsonlSink,
    pace: Pace,
    signals: &Signals,
) -> Result<(), RunError> {
    let outcome = thread::scope(|scope| {
        let city = scope.spawn(|| run(&mut simulator, &mut sink, pace, &|| signals.count() > 0, &mut |_| {}));
        let mut ended: Option<Instant> = None;
        loop {
            if let Some(outcome) = pipeline.wait(Duration::from_millis(100)) {
                break outcome;
            }
            if city.is_finished() && ended.is_none() {
                ended = Some(Instant::now());
            }
            // Half a second for the last lines of the log to be read.
            if ended.is_some_and(|at| at.elapsed() > Duration::from_millis(500)) {
                pipeline.stop();
            }
            progress.show();
        }
    });
    progress.end();
    pipeline.finish(outcome)
}

fn query(lake: &str) -> String {
    format!(
        "Read it with DuckDB (no extension needed):\n\n  \
         citystream lake sql --lake {lake} > lake.sql\n  \
         duckdb -init lake.sql -c \"SELECT disposition, count(*) AS rows, round(avg(speed_kmh), 1) AS kmh FROM raw_gps \
         GROUP BY ALL ORDER BY rows DESC\"\n\nand check it:  citystream lake verify --lake {lake}"
    )
}
