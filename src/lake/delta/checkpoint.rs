//! Delta checkpoints: now and then one Parquet file that stands for a table's whole log up to there, so that a reader of a
//! long log reads one file and the few versions after it.
//!
//! What a checkpoint says is a function of the commits. It is written from what the lake knows to be live (the newest root and the
//! commits after it), a part at a time, so that memory does not grow with what is live; of the table of commits, whose
//! files no root lists, from what its log says. It is no truth of its own: without it readers read
//! more versions, and the next one does not depend on it. Removed files are left out at once: nobody but citystream
//! deletes files.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lake::delta::checkpoint_file::{self as file, Writer};
use crate::lake::delta::merging::Files;
use crate::lake::delta::{self, Table};
use crate::lake::history::read::ReadError;
use crate::lake::history::{State, Violation, base, layout, rebuilt, roots};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// A checkpoint is written so many versions after the last one, or a tenth of the files that it had, if that is more: then
/// what is written for checkpoints stays a part of what is written for files.
pub const EVERY: u64 = 100;
const FILES_A_VERSION: u64 = 10;
/// So many files are actions at a time: these are longer than a part's rows.
const AT_A_TIME: usize = 1_000;

/// A checkpoint, as `_last_checkpoint` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The version that it stands for.
    pub version: u64,
    /// Its actions: files, and two more.
    #[serde(default)]
    pub size: u64,
}

/// Whether another checkpoint is due at a version.
pub fn is_due(last: Option<Checkpoint>, version: u64) -> bool {
    let (before, files) = last.map_or((0, 0), |last| (last.version, last.size));
    version.saturating_sub(before) >= EVERY.max(files / FILES_A_VERSION)
}

/// The last checkpoint of a table that can be read. One that cannot is deleted: readers would begin with it.
///
/// # Errors
/// The store's.
pub async fn last(lake: &Lake, table: &str) -> Result<Option<Checkpoint>, StoreError> {
    let named = named(lake, table).await?;
    // What it names may not be there, and later ones may be.
    let near = behind(table, named);
    let mut found = versions(lake, table, near.as_deref()).await?;
    if found.is_empty() && near.is_some() {
        found = versions(lake, table, None).await?;
    }
    while let Some(version) = found.pop() {
        let path = layout::delta_checkpoint(table, version);
        if rebuilt::is_whole(lake, &path).await? {
            let size = named.filter(|named| named.version == version).map_or(0, |named| named.size);
            return Ok(Some(Checkpoint { version, size }));
        }
        tracing::warn!("{}: damaged; another one takes its place", lake.address(&path));
        lake.delete(vec![path]).await?;
    }
    Ok(None)
}

/// The versions of a table that have a checkpoint, behind a path, in order.
async fn versions(lake: &Lake, table: &str, after: Option<&str>) -> Result<Vec<u64>, StoreError> {
    let names = lake.names(&layout::delta_log(table), after).await?;
    Ok(names.iter().filter_map(|name| layout::checkpoint_version(name)).collect())
}

/// Writes the checkpoint of a table at the last version of a lake that stands so, and names it as the last one. `rows` are the
/// live files of the table of commits, if it is that.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn write(
    lake: &Lake,
    lake_id: &str,
    table: &Table,
    state: &State,
    rows: &Files,
) -> Result<Checkpoint, ReadError> {
    let version = state.published().version;
    let path = layout::delta_checkpoint(&table.name, version);
    let metadata = delta::metadata(lake_id, table, base::made(lake, state).await?);
    let mut writer = Writer::begin(lake, &path, table, &metadata)?;
    if table.is_commits() {
        writer.add(&rows.values().cloned().collect::<Vec<_>>()).await?;
    } else {
        for span in roots::spans(&state.files, &table.name) {
            let files = roots::files_of_span(lake, &state.files, &table.name, span).await?;
            for files in files.chunks(AT_A_TIME) {
                writer.add(&files.iter().map(|file| delta::live(table, file)).collect::<Vec<_>>()).await?;
            }
        }
    }
    let checkpoint = Checkpoint { version, size: writer.finish().await? };
    let named = serde_json::to_vec(&checkpoint).map_err(|error| Violation(format!("{path}: {error}")))?;
    lake.put(&layout::delta_last_checkpoint(&table.name), named.into()).await?;
    Ok(checkpoint)
}

/// The last sound checkpoint up to a version, and its bytes.
///
/// # Errors
/// The store's.
pub(super) async fn sound(lake: &Lake, table: &str, version: u64) -> Result<Option<(u64, Bytes)>, StoreError> {
    let near = behind(table, named(lake, table).await?.filter(|named| named.version <= version));
    // What is named may not be there.
    for after in near.map(Some).into_iter().chain([None]) {
        for found in versions(lake, table, after.as_deref()).await?.into_iter().rev().filter(|found| *found <= version)
        {
            if let Some(bytes) = get(lake, table, found).await? {
                return Ok(Some((found, bytes)));
            }
        }
    }
    Ok(None)
}

/// The first sound checkpoint that is left, and its bytes.
///
/// # Errors
/// The store's.
pub(super) async fn first(lake: &Lake, table: &str) -> Result<Option<(u64, Bytes)>, StoreError> {
    for found in versions(lake, table, None).await? {
        if let Some(bytes) = get(lake, table, found).await? {
            return Ok(Some((found, bytes)));
        }
    }
    Ok(None)
}

/// A checkpoint, if it is sound.
async fn get(lake: &Lake, table: &str, version: u64) -> Result<Option<Bytes>, StoreError> {
    let bytes = lake.get(&layout::delta_checkpoint(table, version)).await?;
    Ok(bytes.filter(|bytes| rebuilt::decode(bytes.clone()).is_ok()))
}

/// The checkpoint that is named as the last one.
async fn named(lake: &Lake, table: &str) -> Result<Option<Checkpoint>, StoreError> {
    let named = lake.get(&layout::delta_last_checkpoint(table)).await?;
    Ok(named.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Where a checkpoint and later ones are behind.
fn behind(table: &str, checkpoint: Option<Checkpoint>) -> Option<String> {
    Some(layout::delta_version(table, checkpoint?.version.checked_sub(1)?))
}

/// The files that a checkpoint says are live; none of one that cannot be read.
pub(in crate::lake) fn files(bytes: Bytes) -> Vec<Value> {
    rebuilt::decode(bytes).ok().and_then(|found| file::live(&found).ok()).unwrap_or_default()
}

/// Whether a checkpoint says just this of a table: its metadata, and its live files by path.
///
/// # Errors
/// Metadata that cannot be shown.
pub(in crate::lake) fn says(
    bytes: Bytes,
    table: &Table,
    metadata: &Value,
    live: &BTreeMap<String, Value>,
) -> Result<bool, Violation> {
    let Ok(found) = rebuilt::decode(bytes) else { return Ok(false) };
    let header = file::batch(table, metadata, &[]).map_err(file::wrong)?;
    if found.num_rows() != live.len() + header.num_rows() || found.slice(0, header.num_rows()) != header {
        return Ok(false);
    }
    let Ok(files) = file::live(&found) else { return Ok(false) };
    let expected = |add: &Value| live.get(add["path"].as_str()?);
    Ok(files.iter().all(|add| expected(add).is_some_and(|expected| file::is_same(add, expected))))
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
