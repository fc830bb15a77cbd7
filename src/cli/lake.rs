//! `citystream lake`: look after a lake.

use clap::Subcommand;
use tokio::runtime::{Builder, Runtime};

use super::lake_tail::TailArgs;
use super::out::{put, say};
use super::{lake_dead_letters, lake_sql, lake_tail, load};
use crate::columns::tables;
use crate::config::groups::{LAKE, NEW, RECORDS, ROWS, SOURCE, TOPICS};
use crate::config::{Config, Given};
use crate::error::RunError;
use crate::escape::escaped;
use crate::explain;
use crate::lake::history::{roots, settings};
use crate::lake::inspect::{status, verify};
use crate::lake::store::probe;
use crate::lake::{Lake, delta, repair};
use crate::pipeline::start::{row_semantics, store_options};
use crate::units;

/// Commands on a lake.
#[derive(Debug, Subcommand)]
pub enum LakeCommand {
    /// Create the lake, and its bucket where missing, and check that the store keeps its promises.
    #[command(after_help = INIT)]
    Init {
        /// Settings.
        #[command(flatten)]
        settings: Given<{ LAKE | NEW | SOURCE | ROWS | RECORDS }>,
    },
    /// Show the last commit, the positions, and the size of each table.
    #[command(after_help = STATUS)]
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Given<LAKE>,
    },
    /// Check the promises from the lake alone; exit code 5 if one is broken.
    #[command(after_help = VERIFY)]
    Verify {
        /// Leave out the data files: what commits, roots and Delta logs say
        #[arg(long)]
        quick: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Given<LAKE>,
    },
    /// Write anew what follows from the commits where it is wrong or missing, also while a run goes on.
    #[command(after_help = REPAIR)]
    Repair {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Given<LAKE>,
    },
    /// Say why a row is what it is: its revisions, the records behind it, and the row derived once more.
    #[command(after_help = EXPLAIN)]
    Explain {
        /// A row (table:row_key), a record (topic/partition/offset), or the id of an incident or a vehicle.
        target: String,
        /// With a vehicle's id: the time whose nearest ping is meant.
        time: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// How many records of each table to print.
        #[arg(long, value_name = "N", default_value = "5", value_parser = units::count::<u32>)]
        records: u32,
        /// Settings.
        #[command(flatten)]
        settings: Given<{ LAKE | TOPICS }>,
    },
    /// Show the newest rows of a table.
    #[command(after_help = TAIL)]
    Tail {
        /// What is wanted of it.
        #[command(flatten)]
        tail: TailArgs,
        /// Settings.
        #[command(flatten)]
        settings: Given<LAKE>,
    },
    /// Show what could not be read, by reason, with examples and where they are.
    #[command(after_help = DEAD_LETTERS)]
    DeadLetters {
        /// How many examples of each reason.
        #[arg(long, value_name = "N", default_value = "3", value_parser = units::count::<u32>)]
        examples: u32,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Given<LAKE>,
    },
    /// Print what to paste into DuckDB, Polars, Spark or Athena.
    #[command(after_help = SQL)]
    Sql {
        /// The reader: duckdb, polars, spark or athena.
        #[arg(long = "for", value_name = "READER", default_value = "duckdb", value_parser = lake_sql::READERS)]
        reader: String,
        /// Settings.
        #[command(flatten)]
        settings: Given<LAKE>,
    },
}

/// Shown below the help of `lake`, and of each of its commands.
pub const EXAMPLES: &str = "\
Examples:
  citystream lake init --lake s3://bucket/city
  citystream lake status --lake ./lake
  citystream lake verify --lake ./lake
  citystream lake verify --lake ./lake --quick
  citystream lake sql --lake ./lake > lake.sql
  citystream lake explain --lake ./lake enriched_pings:0/42";

const INIT: &str = "\
Examples:
  citystream lake init --lake ./lake
  citystream lake init --lake s3://bucket/city --timezone Europe/London
  citystream lake init --lake s3://city --s3-endpoint http://127.0.0.1:9000

A run makes its lake itself, but no bucket. What decides a row is fixed from
then on.";

const STATUS: &str = "\
Examples:
  citystream lake status --lake ./lake
  citystream lake status --lake s3://bucket/city --json | jq .horizon";

const VERIFY: &str = "\
Examples:
  citystream lake verify --lake ./lake
  citystream lake verify --lake s3://bucket/city --json";

const REPAIR: &str = "\
Roots and their parts, Delta logs and their checkpoints, the table of commits.
A data file that is damaged cannot be written anew: `lake verify` names it, and
a copy of it is the cure. Exit code 5 if the commits themselves are broken.

Examples:
  citystream lake repair --lake ./lake
  citystream lake repair --lake s3://bucket/city --json";

const EXPLAIN: &str = "\
Examples:
  citystream lake explain --lake ./lake enriched_pings:0/42
  citystream lake explain --lake ./lake gps/0/42 --json
  citystream lake explain --lake ./lake vehicle-7 2026-01-05T08:00:00Z";

const TAIL: &str = "\
Examples:
  citystream lake tail --lake ./lake raw_gps
  citystream lake tail --lake ./lake -f traffic_5m --columns window_start,pings";

const DEAD_LETTERS: &str = "\
Examples:
  citystream lake dead-letters --lake ./lake
  citystream lake dead-letters --lake ./lake --examples 10 --json";

const SQL: &str = "\
Examples:
  citystream lake sql --lake ./lake > lake.sql     then: duckdb -init lake.sql
  citystream lake sql --lake s3://bucket/city --for polars
  citystream lake sql --lake s3://bucket/city --for spark";

/// Exit code of a verification that found something.
const BROKEN: i32 = 5;

/// Does what the command says.
pub fn lake(command: LakeCommand, file: Option<&str>) -> Result<i32, RunError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| RunError::Failed(format!("cannot start I/O: {e}")))?;
    match command {
        LakeCommand::Init { settings } => init(&runtime, &load(&settings, file)?),
        LakeCommand::Status { json, settings } => show_status(&runtime, &load(&settings, file)?, json),
        LakeCommand::Verify { quick, json, settings } => show_verify(&runtime, &load(&settings, file)?, (quick, json)),
        LakeCommand::Repair { json, settings } => show_repair(&runtime, &load(&settings, file)?, json),
        LakeCommand::Explain { target, time, json, records, settings } => {
            let config = load(&settings, file)?;
            let target = explain::Target::parse(&target, time.as_deref(), &config.topics)?;
            show_explanation(&runtime, &config, &target, records as usize, json)
        }
        LakeCommand::Tail { tail, settings } => {
            let lake = open_made(&runtime, &load(&settings, file)?)?;
            lake_tail::show(&runtime, &lake, &tail)
        }
        LakeCommand::DeadLetters { examples, json, settings } => {
            let config = load(&settings, file)?;
            let lake = open_made(&runtime, &config)?;
            lake_dead_letters::show(&runtime, &lake, &explain::command(&config), examples as usize, json)
        }
        LakeCommand::Sql { reader, settings } => {
            let config = load(&settings, file)?;
            let lake = open(&runtime, &config)?;
            lake_sql::show(&runtime, &config, &lake, &reader)
        }
    }
}

fn open(runtime: &Runtime, config: &Config) -> Result<Lake, RunError> {
    Ok(runtime.block_on(Lake::open(&config.lake, &store_options(config)))?)
}

/// A lake that is one.
fn open_made(runtime: &Runtime, config: &Config) -> Result<Lake, RunError> {
    let lake = open(runtime, config)?;
    match runtime.block_on(settings::read(&lake))? {
        Some(_) => Ok(lake),
        None => Err(no_lake(&lake)),
    }
}

fn init(runtime: &Runtime, config: &Config) -> Result<i32, RunError> {
    runtime.block_on(async {
        let lake = Lake::init(&config.lake, &store_options(config)).await?;
        probe::check(&lake).await?;
        let settings = settings::agree(&lake, row_semantics(config), config.any_path).await?;
        say!("lake {} at {}: ready", settings.lake, lake.location());
        Ok(0)
    })
}

fn show_status(runtime: &Runtime, config: &Config, json: bool) -> Result<i32, RunError> {
    let lake = open(runtime, config)?;
    match runtime.block_on(status::read(&lake))? {
        Some(status) => put!(if json { to_json(&status) } else { status.to_string() }),
        None if runtime.block_on(settings::read(&lake))?.is_none() => return Err(no_lake(&lake)),
        None if json => say!("null"),
        None => say!("lake at {}: no commit yet; `citystream run` makes the first", lake.location()),
    }
    Ok(0)
}

fn show_verify(runtime: &Runtime, config: &Config, (quick, json): (bool, bool)) -> Result<i32, RunError> {
    let lake = open(runtime, config)?;
    let report = runtime.block_on(async {
        let settings = settings::read(&lake).await?.ok_or_else(|| no_lake(&lake))?;
        let tables = delta::Table::all(tables::with_schemas(&settings.derived()?))?;
        let report = match quick {
            true => verify::quick(&lake, &settings.lake, &tables).await?,
            false => verify::verify(&lake, &settings.lake, &tables).await?,
        };
        Ok::<_, RunError>(report)
    })?;
    if json {
        put!(to_json(&report))
    } else {
        print_report(&report)
    }
    Ok(if report.sound() { 0 } else { BROKEN })
}

fn show_repair(runtime: &Runtime, config: &Config, json: bool) -> Result<i32, RunError> {
    let lake = open(runtime, config)?;
    let mended = runtime.block_on(async {
        let settings = settings::read(&lake).await?.ok_or_else(|| no_lake(&lake))?;
        let tables = delta::Table::all(tables::with_schemas(&settings.derived()?))?;
        Ok::<_, RunError>(repair::repair(&lake, &settings.lake, &tables).await?)
    })?;
    if json {
        put!(to_json(&serde_json::json!({"mended": mended})));
        return Ok(0);
    }
    mended.iter().for_each(|path| say!("mended {}", escaped(path)));
    match mended.len() {
        0 => say!("nothing to mend; data files are for `citystream lake verify`"),
        count => say!("{count} mended"),
    }
    Ok(0)
}

fn show_explanation(
    runtime: &Runtime,
    config: &Config,
    target: &explain::Target,
    records: usize,
    json: bool,
) -> Result<i32, RunError> {
    let lake = open(runtime, config)?;
    let explanation = runtime.block_on(async {
        let state = roots::state(&lake).await?.ok_or_else(|| no_lake(&lake))?;
        let question =
            explain::Question { lake: &lake, state: &state, limit: records, command: explain::command(config) };
        question.explain(target).await
    })?;
    put!(if json { to_json(&explanation) } else { explanation.to_string() });
    Ok(if explanation.rederived == Some(false) { BROKEN } else { 0 })
}

fn print_report(report: &verify::Report) {
    report.violations.iter().for_each(|violation| say!("broken: {}", escaped(violation)));
    for (table, versions) in report.behind.iter().filter(|(_, versions)| **versions > 0) {
        say!("{table}: {versions} Delta versions behind; the next start publishes them");
    }
    let verify::Report { commits, bindings, files, rows, bytes, versions, checkpoints, roots, .. } = report;
    say!(
        "{}: {commits} commits, {bindings} bindings, {files} files, {rows} rows, {bytes} bytes, {versions} Delta versions, \
         {checkpoints} checkpoints, {roots} roots",
        if report.sound() { "sound" } else { "NOT SOUND" }
    );
}

fn no_lake(lake: &Lake) -> RunError {
    RunError::Usage(format!(
        "no lake at {}: it has no lake.json; `citystream run` or `citystream lake init` makes one",
        lake.location()
    ))
}

/// JSON, and the end of a line.
pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).map_or_else(|e| e.to_string(), |text| text + "\n")
}
