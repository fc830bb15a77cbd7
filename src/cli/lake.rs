//! `citystream lake`: look after a lake.

use clap::Subcommand;
use tokio::runtime::{Builder, Runtime};

use super::lake_compact::CompactArgs;
use super::lake_erase::EraseArgs;
use super::lake_retain::RetainArgs;
use super::lake_tail::TailArgs;
use super::lake_wait::WaitArgs;
use super::out::{put, say, to_json};
use super::{lake_compact, lake_dead_letters, lake_erase, lake_gc, lake_retain, lake_sql, lake_tail, lake_wait, load};
use crate::columns::tables;
use crate::config::groups::{KEEP, LAKE, LIFE, NEW, RECORDS, ROWS, SOURCE, TOPICS};
use crate::config::{Config, Given};
use crate::error::RunError;
use crate::escape::escaped;
use crate::explain;
use crate::lake::history::roots;
use crate::lake::history::settings::{self, Settings};
use crate::lake::inspect::{status, verify};
use crate::lake::store::probe;
use crate::lake::{Lake, delta, repair};
use crate::pipeline::start::row_semantics;
use crate::process::source::store_options;
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
    /// Delete data files that commits removed long ago, or that no commit names, also while a run goes on.
    #[command(after_help = GC)]
    Gc {
        /// Say what would be deleted, and delete nothing.
        #[arg(long)]
        dry_run: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Given<{ LAKE | LIFE }>,
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
    /// Wait until a derived table is complete up to a time, and a version of it that readers see has that.
    #[command(after_help = WAIT)]
    Wait {
        /// What is waited for.
        #[command(flatten)]
        wait: WaitArgs,
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
    /// Have small files packed into long ones, by the run that holds the lake.
    #[command(after_help = COMPACT)]
    Compact {
        /// What is to be packed, and by whom.
        #[command(flatten)]
        compact: CompactArgs,
        /// Settings.
        #[command(flatten)]
        settings: Given<LAKE>,
    },
    /// Have dropped at once what is kept no longer, by the run that holds the lake.
    #[command(after_help = RETAIN)]
    Retain {
        /// What is to go, and how.
        #[command(flatten)]
        retain: RetainArgs,
        /// Settings.
        #[command(flatten)]
        settings: Given<{ LAKE | KEEP }>,
    },
    /// Have a vehicle forgotten, by the run that holds the lake: its rows, at every version.
    #[command(after_help = ERASE)]
    Erase {
        /// Who is to be forgotten, and how.
        #[command(flatten)]
        erase: EraseArgs,
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

const GC: &str = "\
A run deletes what its commits removed by itself, once --grace is over. This
looks at all files: what killed runs uploaded and never committed goes too.

Examples:
  citystream lake gc --lake ./lake --dry-run
  citystream lake gc --lake s3://bucket/city --grace 1d --json";

const EXPLAIN: &str = "\
Examples:
  citystream lake explain --lake ./lake enriched_pings:0/42
  citystream lake explain --lake ./lake gps/0/42 --json
  citystream lake explain --lake ./lake vehicle-7 2026-01-05T08:00:00Z";

const TAIL: &str = "\
Examples:
  citystream lake tail --lake ./lake raw_gps
  citystream lake tail --lake ./lake -f traffic_5m_now --columns h3_8,pings";

const WAIT: &str = "\
Exit code 7 after the time-out: the line says what holds it back.

Examples:
  citystream lake wait --lake ./lake --sealed traffic_5m 2026-01-05T14:00:00Z
  citystream lake wait --lake s3://bucket/city --timeout 30m --json \\
     --sealed incidents 2026-01-05T00:00:00Z | jq .version";

const DEAD_LETTERS: &str = "\
Examples:
  citystream lake dead-letters --lake ./lake
  citystream lake dead-letters --lake ./lake --examples 10 --json";

const COMPACT: &str = "\
A run packs by itself (--compact auto); this asks it to pack what it would
leave for later, of open dates too. Exit code 7 if no run takes it up.

Examples:
  citystream lake compact --lake ./lake
  citystream lake compact --lake ./lake --table raw_gps --wait
  citystream lake compact --lake s3://bucket/city --alone --json";

const RETAIN: &str = "\
A run drops by itself what its --keep says, a date at a time; this asks it to
at once, by these rules. Exit code 7 if no run takes it up: --alone does it for
a lake that none holds. Ages count from the horizon, or the last commit if that
is earlier; --as-of counts them from another time. What a start would read
stays. Files are deleted once --grace is over (`lake gc`).

Examples:
  citystream lake retain --lake ./lake --dry-run
  citystream lake retain --lake ./lake --keep raw=90d --wait
  citystream lake retain --lake s3://bucket/city --alone --keep raw=90d \\
     --as-of 2026-01-05T00:00:00Z --json";

const ERASE: &str = "\
Rows that no start reads go at once, the rest within 26 hours of the horizon;
until then the erasure is pending (`lake status`), and --wait waits. In the end
every object is read: exit code 5 if one still names it. Keep the salt that is
printed: with it and the name one can tell that commits speak of this vehicle.
Topics and backups still have its records. Exit code 7: no run takes it up
(--alone does it without one), or something waits still.

Examples:
  citystream lake erase --lake ./lake --vehicle vehicle-7 --dry-run
  citystream lake erase --lake s3://bucket/city --vehicle vehicle-7 --wait
  citystream lake erase --lake ./lake --vehicle vehicle-7 --alone --json";

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
        LakeCommand::Gc { dry_run, json, settings } => {
            let config = load(&settings, file)?;
            let lake = open_made(&runtime, &config)?;
            lake_gc::show(&runtime, &config, &lake, (dry_run, json))
        }
        LakeCommand::Explain { target, time, json, records, settings } => {
            let config = load(&settings, file)?;
            let target = explain::Target::parse(&target, time.as_deref(), &config.topics)?;
            show_explanation(&runtime, &config, &target, records as usize, json)
        }
        LakeCommand::Tail { tail, settings } => {
            let lake = open_made(&runtime, &load(&settings, file)?)?;
            lake_tail::show(&runtime, &lake, &tail)
        }
        LakeCommand::Wait { wait, settings } => {
            let lake = open_made(&runtime, &load(&settings, file)?)?;
            lake_wait::wait(&runtime, &lake, &wait)
        }
        LakeCommand::DeadLetters { examples, json, settings } => {
            let config = load(&settings, file)?;
            let lake = open_made(&runtime, &config)?;
            lake_dead_letters::show(&runtime, &lake, &explain::command(&config), examples as usize, json)
        }
        LakeCommand::Compact { compact, settings } => {
            let config = load(&settings, file)?;
            let (lake, made_for) = open_with_settings(&runtime, &config)?;
            lake_compact::show(&runtime, &lake, &made_for, &compact)
        }
        LakeCommand::Retain { retain, settings } => {
            let config = load(&settings, file)?;
            let (lake, made_for) = open_with_settings(&runtime, &config)?;
            lake_retain::show(&runtime, &config, (&lake, &made_for), &retain)
        }
        LakeCommand::Erase { erase, settings } => {
            let config = load(&settings, file)?;
            let (lake, made_for) = open_with_settings(&runtime, &config)?;
            lake_erase::show(&runtime, &config, (&lake, &made_for), &erase)
        }
        LakeCommand::Sql { reader, settings } => {
            let config = load(&settings, file)?;
            let (lake, made_for) = open_with_settings(&runtime, &config)?;
            lake_sql::show(&runtime, &config, (&lake, &made_for), &reader)
        }
    }
}

fn open(runtime: &Runtime, config: &Config) -> Result<Lake, RunError> {
    Ok(runtime.block_on(Lake::open(&config.lake, &store_options(config)))?)
}

/// A lake that is one.
fn open_made(runtime: &Runtime, config: &Config) -> Result<Lake, RunError> {
    Ok(open_with_settings(runtime, config)?.0)
}

/// And what it was made for.
fn open_with_settings(runtime: &Runtime, config: &Config) -> Result<(Lake, Settings), RunError> {
    let lake = open(runtime, config)?;
    match runtime.block_on(settings::read(&lake))? {
        Some(settings) => Ok((lake, settings)),
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
    if report.beyond > 0 {
        say!("beyond retention: {} rows, of which only sums are checked", report.beyond);
    }
    if report.erased > 0 {
        say!("erased: {} rows, which make it up to the ledgers in all", report.erased);
    }
    let from = if report.first > 0 { format!(" from commit {} on", report.first) } else { String::new() };
    let verify::Report { commits, bindings, files, rows, bytes, versions, checkpoints, roots, .. } = report;
    say!(
        "{}{from}: {commits} commits, {bindings} bindings, {files} files, {rows} rows, {bytes} bytes, {versions} Delta versions, \
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
