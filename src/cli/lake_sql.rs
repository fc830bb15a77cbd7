//! `citystream lake sql`: what to paste into a reader.

use citystream_dataflows::tables::Derived;
use tokio::runtime::Runtime;

use super::out::put;
use crate::columns::tables;
use crate::config::Config;
use crate::error::RunError;
use crate::lake::history::settings;
use crate::lake::inspect::sql;
use crate::lake::{Lake, delta};
use crate::pipeline::start::store_options;

/// The readers, by name.
pub const READERS: [&str; 4] = ["duckdb", "polars", "spark", "athena"];

/// Prints it.
pub fn show(runtime: &Runtime, config: &Config, lake: &Lake, reader: &str) -> Result<i32, RunError> {
    let derived = match runtime.block_on(settings::read(lake))? {
        Some(settings) => settings.derived()?,
        None => Derived::all().collect(),
    };
    let tables: Vec<_> = tables::with_schemas(&derived).collect();
    let options = store_options(config);
    put!(match reader {
        "polars" => sql::polars(lake, &options, &tables),
        "spark" => sql::spark(lake, pinned(runtime, lake, &tables)?, &tables),
        "athena" => sql::athena(lake, &tables),
        _ => sql::duckdb(lake, &options, &tables),
    });
    Ok(0)
}

/// The commit that views are pinned to: the last one that is in every table.
fn pinned<T>(runtime: &Runtime, lake: &Lake, tables: &[(&str, T)]) -> Result<u64, RunError> {
    let names: Vec<&str> = tables.iter().map(|(name, _)| *name).collect();
    runtime.block_on(delta::published(lake, &names))?.ok_or_else(|| {
        RunError::Usage(format!("lake at {}: no commit to read yet; `citystream run` makes the first", lake.location()))
    })
}
