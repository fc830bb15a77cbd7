//! `citystream lake retain`: drops what is kept no longer, by the run that holds the lake, or without one.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::runtime::Runtime;

use super::asking::{Asked, By, ask};
use super::out::{put, say, to_json};
use crate::columns::tables;
use crate::config::Config;
use crate::error::RunError;
use crate::lake::history::commit::Tidy;
use crate::lake::history::requests::Wanted;
use crate::lake::history::settings::Settings;
use crate::lake::{Lake, delta, random_id};
use crate::sink::retain::{Cutoffs, Outcome, cutoffs, retain, would_go};
use crate::units::show_size;

/// What is to go, and how.
#[derive(Debug, clap::Args)]
pub struct RetainArgs {
    /// Count ages from this time, such as 2026-01-05T00:00:00Z [default: horizon].
    #[arg(long, value_name = "TIME")]
    as_of: Option<jiff::Timestamp>,
    /// Say what would go, and drop nothing.
    #[arg(long, conflicts_with = "alone")]
    dry_run: bool,
    #[command(flatten)]
    by: By,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was dropped, or would be.
#[derive(Debug, Default, Serialize)]
struct Dropped {
    /// Who was asked, if somebody was.
    request: Option<String>,
    /// By table.
    tables: BTreeMap<String, Outcome>,
}

/// Does what is wanted.
pub fn show(
    runtime: &Runtime,
    config: &Config,
    (lake, settings): (&Lake, &Settings),
    args: &RetainArgs,
) -> Result<i32, RunError> {
    refuse_future(args)?;
    let as_of = args.as_of.map(jiff::Timestamp::as_microsecond);
    let dropped = runtime.block_on(async {
        let cutoffs = cutoffs(lake, &config.keep, as_of).await?;
        match args {
            RetainArgs { dry_run: true, .. } => Ok(Dropped { tables: would_go(lake, &cutoffs).await?, request: None }),
            RetainArgs { by: By { alone: true, .. }, .. } => {
                let tables = delta::Table::all(tables::with_schemas(&settings.derived()?))?;
                let tables = retain((lake, &random_id()?), (&settings.lake, tables), &cutoffs).await?;
                Ok(Dropped { tables, request: None })
            }
            _ => by_request(lake, cutoffs, args).await,
        }
    })?;
    if args.json {
        put!(to_json(&dropped));
        return Ok(0);
    }
    for (table, Outcome { before, files, rows, bytes }) in &dropped.tables {
        let verb = if args.dry_run { "would drop" } else { "dropped" };
        say!("{table}: {verb} {rows} rows in {files} files of {} of dates before {before}", show_size(*bytes));
    }
    match (&dropped.request, args.by.wait) {
        (Some(_), false) => say!("taken up; `--wait` waits until it is done, and `lake status` shows what is gone"),
        _ if dropped.tables.is_empty() => say!("nothing is kept too long"),
        _ => {}
    }
    Ok(0)
}

/// What is to come cannot be too old: a slip in a year would drop all.
#[allow(clippy::disallowed_methods)] // What time it is.
fn refuse_future(args: &RetainArgs) -> Result<(), RunError> {
    match args.as_of.filter(|as_of| *as_of > jiff::Timestamp::now()) {
        Some(as_of) => {
            Err(RunError::Usage(format!("--as-of {as_of}: is still to come; ages are counted from a past time")))
        }
        None => Ok(()),
    }
}

async fn by_request(lake: &Lake, cutoffs: Cutoffs, args: &RetainArgs) -> Result<Dropped, RunError> {
    let before = cutoffs.into_iter().map(|(table, before)| (table.name().to_owned(), before)).collect();
    let Asked { id, done, .. } = ask(lake, Wanted::Retain { before }, &args.by).await?;
    let mut tables: BTreeMap<String, Outcome> = BTreeMap::new();
    for Tidy { table, removed, rows_removed, expired, .. } in done {
        let outcome = tables.entry(table).or_default();
        outcome.files += removed.len() as u64;
        outcome.rows += rows_removed;
        outcome.before = expired.map(|expired| expired.before).unwrap_or_default();
    }
    Ok(Dropped { request: Some(id), tables })
}
