//! The table `commits` has a file a version; so that they do not add up for ever, those of 64 versions become one, and 64 of
//! those again.
//!
//! Contract: which files become one, and where, follows from the number of the version and from the files that are live before
//! it, and what is in them from the commits. So whoever publishes a version, checks it or writes it anew comes to the same.
//! It is done by the version after the last one whose rows are merged: what a version adds of its own are new rows, what it
//! merges are none.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::commits_table::{self, schema};
use super::{Changes, foreign};
use crate::lake::history::commit::Commit;
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{layout, rebuilt};
use crate::lake::store::error::StoreError;
use crate::lake::store::{Lake, Stored};

/// So many files become one.
pub const FAN: u64 = 64;
/// The versions whose rows a file has, at most.
const MOST: u64 = FAN * FAN;
/// Reads on their way at a time.
const AHEAD: usize = 16;

/// The live files of a table as the actions that add them, by path.
pub type Files = BTreeMap<String, Value>;

/// Takes up what a version does.
pub fn take(live: &mut Files, (removed, added): Changes) {
    for gone in removed {
        live.remove(path(&gone));
    }
    live.extend(by_path(added));
}

/// Actions that add files, by the paths of those.
pub fn by_path(adds: Vec<Value>) -> impl Iterator<Item = (String, Value)> {
    adds.into_iter().map(|add| (path(&add).to_owned(), add))
}

fn path(action: &Value) -> &str {
    action["path"].as_str().unwrap_or_default()
}

/// A file of the table: the commits whose rows it has, and how many versions it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The first commit.
    pub first: u64,
    /// The last commit.
    pub last: u64,
    versions: u64,
}

impl Rows {
    /// Those of one version.
    pub fn of(commits: &[Commit]) -> Rows {
        let end = |commit: Option<&Commit>| commit.map_or(0, |commit| commit.seq);
        Rows { first: end(commits.first()), last: end(commits.last()), versions: 1 }
    }

    /// Where they are.
    pub fn path(self) -> String {
        if self.versions == 1 {
            layout::commits_file(self.last)
        } else {
            layout::merged_commits_file(self.last, self.versions)
        }
    }
}

/// What of the live files a version makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// They, in order.
    pub parts: Vec<Rows>,
    /// What they become.
    pub whole: Rows,
}

/// The live files of the table of commits, without what else is said of them.
#[derive(Clone, Debug, Default)]
pub struct Live(Vec<Rows>);

impl Live {
    /// Of their paths below the table.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a String>) -> Live {
        let mut ends: Vec<(u64, u64)> = paths.into_iter().filter_map(|path| layout::commits_file_of(path)).collect();
        ends.sort_unstable();
        let mut first = 0;
        let rows = ends.into_iter().map(|(last, versions)| {
            let rows = Rows { first, last, versions };
            first = last + 1;
            rows
        });
        Live(rows.collect())
    }

    /// Takes up version `number` of these commits; what it makes one.
    pub fn take(&mut self, number: u64, commits: &[Commit]) -> Option<Merge> {
        let merge = merge(&self.0, number, commits);
        if let Some(merge) = &merge {
            self.0.truncate(self.0.len() - merge.parts.len());
            self.0.push(merge.whole);
        }
        self.0.push(Rows::of(commits));
        merge
    }

    /// They, in order.
    pub fn rows(&self) -> &[Rows] {
        &self.0
    }
}

/// Whether a version makes files one.
pub fn is_due(number: u64) -> bool {
    number > 0 && number.is_multiple_of(FAN)
}

/// Lakes of old, whose versions are commits, have each file for ever.
fn merge(live: &[Rows], number: u64, commits: &[Commit]) -> Option<Merge> {
    let is_numbered = commits.last().is_some_and(|last| last.version.is_some());
    if !is_numbered || !is_due(number) {
        return None;
    }
    let versions = if number.is_multiple_of(MOST) { MOST } else { FAN };
    let whole = live.iter().rposition(|rows| rows.versions >= versions).map_or(0, |before| before + 1);
    match &live[whole..] {
        parts @ [first, .., last] => {
            Some(Merge { parts: parts.to_vec(), whole: Rows { first: first.first, last: last.last, versions } })
        }
        _ => None,
    }
}

/// What a version has in the table of commits: how long its rows are, and of what it makes one.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The length of the file of its own rows.
    pub own: u64,
    /// What it makes one, and how long that is.
    pub merged: Option<(Merge, u64)>,
}

impl Written {
    /// Whether all of it is there.
    pub fn is_there(&self) -> bool {
        self.own > 0 && self.merged.as_ref().is_none_or(|(_, bytes)| *bytes > 0)
    }
}

/// The same of a version that is there.
///
/// # Errors
/// The store's.
pub async fn written(lake: &Lake, commits: &[Commit], merge: Option<Merge>) -> Result<Written, StoreError> {
    let merged = match merge {
        Some(merge) => {
            let bytes = size(lake, merge.whole).await?;
            Some((merge, bytes))
        }
        None => None,
    };
    Ok(Written { own: size(lake, Rows::of(commits)).await?, merged })
}

async fn size(lake: &Lake, rows: Rows) -> Result<u64, StoreError> {
    Ok(lake.size(&rows.path()).await?.unwrap_or(0))
}

/// Writes the files of a version; rows that another version of the writer has left are as good.
///
/// # Errors
/// The store's; other rows are there.
pub async fn write(lake: &Lake, commits: &[Commit], merge: Option<Merge>) -> Result<Written, ReadError> {
    let merged = match merge {
        Some(merge) => {
            let bytes = put(lake, merge.whole, &parts(lake, &merge.parts).await?).await?;
            Some((merge, bytes))
        }
        None => None,
    };
    Ok(Written { own: put(lake, Rows::of(commits), &commits_table::rows(commits)?).await?, merged })
}

/// Writes rows; how long they are.
async fn put(lake: &Lake, rows: Rows, batch: &RecordBatch) -> Result<u64, ReadError> {
    let bytes = rebuilt::encode(batch).map_err(commits_table::wrong)?;
    match lake.put_same(&rows.path(), bytes.clone()).await? {
        Stored::Same => Ok(bytes.len() as u64),
        Stored::Other(found) if commits_table::are_same(found.clone(), batch) => Ok(found.len() as u64),
        Stored::Other(_) => Err(foreign(lake, &rows.path()).into()),
    }
}

/// The rows of files that become one.
async fn parts(lake: &Lake, parts: &[Rows]) -> Result<RecordBatch, ReadError> {
    let read = stream::iter(parts.to_vec()).map(|rows| part(lake, rows)).buffered(AHEAD);
    let batches: Vec<RecordBatch> = read.try_collect().await?;
    Ok(concat_batches(&schema(), &batches).map_err(commits_table::wrong)?)
}

/// The rows of a file; where it is damaged or of fewer columns, as its commits have them.
async fn part(lake: &Lake, rows: Rows) -> Result<RecordBatch, ReadError> {
    let found = lake.get(&rows.path()).await?.and_then(|bytes| rebuilt::decode(bytes).ok());
    let is_whole = |batch: &RecordBatch| {
        batch.schema().fields() == schema().fields()
            && batch
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
                .iter()
                .map(|seq| *seq as u64)
                .eq(rows.first..=rows.last)
    };
    match found.filter(is_whole) {
        Some(batch) => Ok(batch),
        None => {
            let commits = read::read(lake, rows.first..=rows.last).await?;
            let commits: Vec<Commit> = commits.map_ok(|(_, commit)| commit).try_collect().await?;
            Ok(commits_table::rows(&commits)?)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "merging_tests.rs"]
mod tests;
