//! `citystream lake compact`: has small files packed, by the run that holds the lake, or without one.

use jiff::civil::Date;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::asking::{Asked, By, ask};
use super::out::{note, put, say, to_json};
use crate::columns::tables::{self, Table};
use crate::error::RunError;
use crate::escape::escaped;
use crate::lake::history::requests::Wanted;
use crate::lake::history::settings::Settings;
use crate::lake::{Lake, delta, random_id};
use crate::sink::compact::{Outcome, alone};

/// Exit code where a file is damaged.
const BROKEN: i32 = 5;

/// What is to be packed, and by whom.
#[derive(Debug, clap::Args)]
pub struct CompactArgs {
    /// The files of this table only.
    #[arg(long, value_parser = table)]
    table: Option<Table>,
    /// The files of this date only, YYYY-MM-DD.
    #[arg(long)]
    date: Option<Date>,
    #[command(flatten)]
    by: By,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was packed.
#[derive(Debug, Default, Serialize)]
struct Packed {
    /// Who was asked, if somebody was.
    request: Option<String>,
    /// Files that became others.
    files: u64,
    /// The others.
    packs: u64,
    /// Their rows.
    rows: u64,
    /// Files that are not what their commits say.
    damaged: Vec<String>,
}

fn table(name: &str) -> Result<Table, String> {
    let known = || Table::all().map(Table::name).collect::<Vec<_>>().join(", ");
    Table::from_name(name).ok_or_else(|| format!("no such table; there are {}", known()))
}

/// Does what is wanted.
pub fn show(runtime: &Runtime, lake: &Lake, settings: &Settings, args: &CompactArgs) -> Result<i32, RunError> {
    let packed = match args.by.alone {
        true => runtime.block_on(here(lake, settings, args))?,
        false => runtime.block_on(by_request(lake, args))?,
    };
    if args.json {
        put!(to_json(&packed));
    } else {
        let Packed { files, packs, rows, .. } = packed;
        packed.damaged.iter().for_each(|damaged| say!("damaged, and left out: {}", escaped(damaged)));
        match (&packed.request, args.by.wait) {
            (Some(_), false) => say!("taken up; `--wait` waits until it is done, and `lake status` shows the files"),
            _ => say!("{files} files of {rows} rows became {packs}"),
        }
    }
    Ok(if packed.damaged.is_empty() { 0 } else { BROKEN })
}

/// Packs without a run.
async fn here(lake: &Lake, settings: &Settings, args: &CompactArgs) -> Result<Packed, RunError> {
    let tables = delta::Table::all(tables::with_schemas(&settings.derived()?))?;
    let date = args.date.map(|date| date.to_string());
    let wanted = |(table, of): &(Table, String)| {
        args.table.is_none_or(|wanted| wanted == *table) && date.as_ref().is_none_or(|date| date == of)
    };
    let mut packed = Packed::default();
    let run = random_id()?;
    let outcome = alone((lake, &run), (&settings.lake, tables), wanted, |pack| {
        let (files, table, date) = (pack.removed.len(), pack.table.name(), &pack.added.date);
        note!("{table} of {date}: {files} files became one of {} rows", pack.added.rows);
        (packed.files, packed.rows) = (packed.files + files as u64, packed.rows + pack.added.rows);
    });
    let Outcome { packs, damaged } = outcome.await?;
    Ok(Packed { packs, damaged, ..packed })
}

/// Asks the run that holds the lake.
async fn by_request(lake: &Lake, args: &CompactArgs) -> Result<Packed, RunError> {
    let (table, date) = (args.table.map(|table| table.name().to_owned()), args.date.map(|date| date.to_string()));
    let Asked { id, done, .. } = ask(lake, Wanted::Compact { table, date }, &args.by).await?;
    let mut packed = Packed { request: Some(id), ..Packed::default() };
    for tidy in done {
        packed.files += tidy.removed.len() as u64;
        packed.packs += tidy.added.len() as u64;
        packed.rows += tidy.rows_added;
    }
    Ok(packed)
}
