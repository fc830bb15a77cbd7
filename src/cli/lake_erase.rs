//! `citystream lake erase`: has a vehicle forgotten, by the run that holds the lake, or without one; and proves that it is.

use serde::Serialize;
use tokio::runtime::Runtime;

use super::asking::{By, ask};
use super::out::{put, say, to_json};
use crate::columns::tables;
use crate::columns::whose::{Bound, Name, Whose};
use crate::config::Config;
use crate::error::RunError;
use crate::escape::escaped;
use crate::lake::history::commit::TidyKind;
use crate::lake::history::requests::{Erase, Wanted};
use crate::lake::history::settings::Settings;
use crate::lake::traces::{Proof, proof};
use crate::lake::{Lake, delta, random_id};
use crate::process::source::store_options;
use crate::sink::erase::{Outcome, Outcomes, add, alone, would_go};
use crate::units::show_size;

/// Exit code where an object still names it.
const BROKEN: i32 = 5;
/// Exit code where something waits.
const PENDING: i32 = 7;

/// Who is to be forgotten, and how.
#[derive(Debug, clap::Args)]
pub struct EraseArgs {
    /// The vehicle: the device id of its records.
    #[arg(long, value_name = "ID", value_parser = name)]
    vehicle: Name,
    /// Say what would go, and erase nothing.
    #[arg(long, conflicts_with = "alone")]
    dry_run: bool,
    #[command(flatten)]
    by: By,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was erased, or would be.
#[derive(Debug, Serialize)]
struct Report {
    /// The request.
    request: String,
    /// With the name it gives `whose`: nothing else does, and it stands nowhere else.
    salt: String,
    /// What commits say instead of the name.
    whose: String,
    /// By table.
    tables: Outcomes,
    /// So many files wait until no start reads them; `None`: that is for the run to know.
    pending: Option<usize>,
    /// Files that are not what their commits say: what they have of it is there still.
    damaged: Vec<String>,
    /// What a scan of all objects found, once it is done.
    proof: Option<Proof>,
    /// Whether the store keeps old versions of objects; `None`: it does not say.
    keeps_versions: Option<bool>,
}

fn name(text: &str) -> Result<Name, String> {
    match text.len() {
        1..=citystream_wire::MAX_ID => Ok(Name::new(text)),
        0 => Err("expected the device id of its records".to_owned()),
        _ => Err(format!("no device id has more than {} bytes", citystream_wire::MAX_ID)),
    }
}

/// Does what is wanted.
pub fn show(
    runtime: &Runtime,
    config: &Config,
    (lake, settings): (&Lake, &Settings),
    args: &EraseArgs,
) -> Result<i32, RunError> {
    let report = runtime.block_on(erase(config, (lake, settings), args))?;
    if args.json {
        put!(to_json(&report));
    } else {
        print(&report, args);
    }
    let is_left = !report.damaged.is_empty() || report.proof.as_ref().is_some_and(|proof| !proof.holds());
    let waits = args.by.alone && report.pending.is_some_and(|files| files > 0);
    Ok(if is_left {
        BROKEN
    } else if waits {
        PENDING
    } else {
        0
    })
}

async fn erase(config: &Config, (lake, settings): (&Lake, &Settings), args: &EraseArgs) -> Result<Report, RunError> {
    let wanted = Erase { vehicle: args.vehicle.clone(), salt: random_id()?, bound: None };
    let mut report = Report {
        request: String::new(),
        salt: wanted.salt.clone(),
        whose: wanted.whose(),
        tables: Outcomes::new(),
        pending: None,
        damaged: Vec::new(),
        proof: None,
        keeps_versions: lake.keeps_versions(&store_options(config)).await,
    };
    let mut bound = None;
    match args {
        EraseArgs { dry_run: true, .. } => {
            let (tables, pending) = would_go(lake, &wanted).await?;
            (report.tables, report.pending) = (tables, Some(pending));
        }
        EraseArgs { by: By { alone: true, .. }, .. } => {
            report.request = random_id()?;
            let tables = delta::Table::all(tables::with_schemas(&settings.derived()?))?;
            let run = random_id()?;
            let done = alone((lake, &run), (&settings.lake, tables), (&report.request, &wanted)).await?;
            (report.tables, report.pending, bound) = (done.outcomes, Some(done.pending), Some(done.bound));
            report.damaged = done.damaged.into_iter().map(|(path, why)| format!("{path}: {why}")).collect();
        }
        EraseArgs { by, .. } => {
            let asked = ask(lake, Wanted::Erase(wanted), by).await?;
            let erased = asked.done.iter().filter(|tidy| tidy.what == TidyKind::Erase);
            erased.for_each(|tidy| add(&mut report.tables, tidy));
            report.request = asked.id;
            if let (true, Some(Wanted::Erase(erase))) = (by.wait, asked.wanted) {
                // Done before anybody could look: then there was nothing.
                let bind = || Bound { seq: asked.before, time: None };
                (bound, report.pending) = (Some(erase.bound.unwrap_or_else(bind)), Some(0));
            }
        }
    }
    if let Some(bound) = bound.filter(|_| report.pending == Some(0) && report.damaged.is_empty()) {
        report.proof = Some(prove(lake, &report.request, &args.vehicle, bound).await?);
    }
    Ok(report)
}

async fn prove(lake: &Lake, id: &str, vehicle: &Name, bound: Bound) -> Result<Proof, RunError> {
    Ok(proof(lake, id, &Whose::new(vehicle, bound)).await?)
}

fn print(report: &Report, args: &EraseArgs) {
    let Report { request, salt, whose, tables, pending, damaged, proof, keeps_versions } = report;
    damaged.iter().for_each(|damaged| say!("damaged, and left out: {}", escaped(damaged)));
    let verb = if args.dry_run { "would erase" } else { "erased" };
    for (table, Outcome { files, rows }) in tables {
        say!("{table}: {verb} {rows} rows in {files} files");
    }
    match pending {
        Some(0) if tables.is_empty() => say!("the lake has no row of it"),
        Some(0) => {}
        Some(files) => say!("{files} files wait: a start would read them, or they are not decided yet"),
        None => say!("taken up; `--wait` waits until it is done, and `lake status` shows whether it is"),
    }
    if !args.dry_run {
        say!("request {request}; salt {salt}, with which commits say {whose}");
    }
    if let Some(Proof { objects, bytes, rows, later, left, mentions }) = proof {
        left.iter().for_each(|path| say!("still names it: {}", escaped(path)));
        mentions.iter().for_each(|(column, rows)| say!("{rows} rows of others have the word in {column}"));
        let found = if left.is_empty() { "none names it" } else { "SOME NAME IT" };
        let size = show_size(*bytes);
        say!("{found}: {objects} objects of {size} read, {rows} rows decoded, {later} rows of later records");
    }
    match keeps_versions {
        Some(true) => say!("the bucket keeps old versions of objects: they are for you to delete"),
        None => say!("whether the bucket keeps old versions of objects is not known: it may not be asked"),
        Some(false) => {}
    }
    if !args.dry_run {
        say!("the topics have its records as long as they keep them, and backups as long as you do");
    }
}
