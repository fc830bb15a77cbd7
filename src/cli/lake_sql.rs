//! `citystream lake sql`: what to paste into a reader.

use tokio::runtime::Runtime;

use super::out::put;
use crate::config::Config;
use crate::error::RunError;
use crate::lake::history::roots;
use crate::lake::history::settings::Settings;
use crate::lake::history::versions::Published;
use crate::lake::inspect::sql::{self, Contents};
use crate::lake::{Lake, delta};
use crate::process::source::store_options;

/// The readers, by name.
pub const READERS: [&str; 4] = ["duckdb", "polars", "spark", "athena"];

/// Prints it.
pub fn show(
    runtime: &Runtime,
    config: &Config,
    (lake, made_for): (&Lake, &Settings),
    reader: &str,
) -> Result<i32, RunError> {
    let derived = made_for.derived()?;
    let horizon = runtime.block_on(roots::state(lake))?.and_then(|state| state.horizon);
    let contents = Contents { derived, horizon };
    let options = store_options(config);
    put!(match reader {
        "polars" => sql::polars(lake, &options, &contents),
        "spark" => sql::spark(lake, pinned(runtime, lake)?, &contents),
        "athena" => sql::athena(lake, &contents),
        _ => sql::duckdb(lake, &options, &contents),
    });
    Ok(0)
}

/// What views are pinned to: the last version that every table has.
fn pinned(runtime: &Runtime, lake: &Lake) -> Result<Published, RunError> {
    runtime.block_on(delta::published(lake))?.ok_or_else(|| {
        RunError::Usage(format!("lake at {}: no commit to read yet; `citystream run` makes the first", lake.location()))
    })
}
