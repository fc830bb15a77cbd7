//! What a Delta log says is live, as any reader of it finds it: the last sound checkpoint, and the versions after it.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::merging::{Files, by_path, take};
use super::{Changes, checkpoint};
use crate::lake::history::read::ReadError;
use crate::lake::history::{Violation, layout};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// Versions on their way at a time.
const AHEAD: usize = 16;

/// The commit that a version says it ends with.
pub fn ended_by(version: &[u8]) -> Option<u64> {
    let info = version.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice::<Value>(info).ok()?["commitInfo"]["seq"].as_u64()
}

/// The files of a table that are live at a version.
///
/// # Errors
/// The store's; a version that is missing.
pub async fn live(lake: &Lake, table: &str, version: u64) -> Result<Files, ReadError> {
    let (mut live, mut next) = (Files::new(), 0);
    if let Some((begun, bytes)) = checkpoint::sound(lake, table, version).await? {
        (live, next) = (by_path(checkpoint::files(bytes)).collect(), begun + 1);
    }
    let mut later = stream::iter((next..=version).map(|number| changes(lake, table, number))).buffered(AHEAD);
    while let Some(found) = later.try_next().await? {
        let missing = || format!("{} is missing", lake.address(&layout::delta_version(table, next)));
        take(&mut live, found.ok_or_else(|| Violation(missing()))?);
        next += 1;
    }
    Ok(live)
}

/// The same, and the version after that; where the log begins later, at its first checkpoint.
///
/// # Errors
/// The store's.
pub async fn live_from(lake: &Lake, table: &str, version: u64) -> Result<(Files, u64), ReadError> {
    match live(lake, table, version).await {
        Ok(live) => return Ok((live, version + 1)),
        Err(ReadError::Integrity(_)) => {}
        Err(error) => return Err(error),
    }
    match checkpoint::first(lake, table).await? {
        Some((first, bytes)) => Ok((by_path(checkpoint::files(bytes)).collect(), first + 1)),
        None => Ok((Files::new(), version + 1)),
    }
}

/// What a version does; `None`: it is not there.
///
/// # Errors
/// The store's.
pub async fn changes(lake: &Lake, table: &str, number: u64) -> Result<Option<Changes>, StoreError> {
    let Some(bytes) = lake.get(&layout::delta_version(table, number)).await? else { return Ok(None) };
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for mut action in lines {
        removed.extend(action.get_mut("remove").map(Value::take));
        added.extend(action.get_mut("add").map(Value::take));
    }
    Ok(Some((removed, added)))
}
