//! `citystream lake gc`: deletes what is nobody's.

use std::time::SystemTime;

use tokio::runtime::Runtime;

use super::out::{put, say, to_json};
use crate::config::Config;
use crate::error::RunError;
use crate::lake::Lake;
use crate::lake::garbage::{Amount, Collection, Garbage, collect};
use crate::units::show_size;

/// Deletes garbage, or says what it would delete.
#[allow(clippy::disallowed_methods)] // How old files are.
pub fn show(runtime: &Runtime, config: &Config, lake: &Lake, (is_dry, json): (bool, bool)) -> Result<i32, RunError> {
    let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
    let collection = Collection { now_ms, grace_ms: config.grace.as_millis() as i64, is_dry };
    let found = runtime.block_on(collect(lake, collection))?.unwrap_or_default();
    if json {
        put!(to_json(&found));
        return Ok(0);
    }
    let Garbage { graves, orphans, in_grace } = found;
    let verb = if is_dry { "would delete" } else { "deleted" };
    say!("{verb} {} that commits removed, {} that no commit names", shown(graves), shown(orphans));
    if in_grace.files > 0 {
        say!("{} that commits removed stay for readers of older versions (--grace)", shown(in_grace));
    }
    Ok(0)
}

fn shown(Amount { files, bytes }: Amount) -> String {
    format!("{files} files of {}", show_size(bytes))
}
