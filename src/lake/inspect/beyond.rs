//! Which commit dropped rows that are kept no longer, or erased some.

use serde::Serialize;

use crate::columns::tables::Table;
use crate::lake::history::commit::{Count, File};
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{State, base, erasure, retention};
use crate::lake::store::Lake;

/// Rows that are kept no longer, or erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Beyond {
    /// Their table.
    pub table: &'static str,
    /// The date of their partition, `YYYY-MM-DD`; where the commit is gone, the last date of which rows were dropped, or none.
    pub date: String,
    /// The commit that dropped or erased them, unless it is kept no longer either.
    pub commit: Option<u64>,
    /// Whether they are erased.
    pub is_erased: bool,
}

/// The last dropped file of a table that may hold what is looked for. `may` is asked of all of them together first: where that
/// cannot be, nothing is read.
///
/// # Errors
/// The store's; a commit that cannot be read.
pub async fn dropped(
    lake: &Lake,
    state: &State,
    table: Table,
    may: impl Fn(&File) -> bool,
) -> Result<Option<Beyond>, ReadError> {
    let table = table.name();
    let mut next = state.gone.get(table).filter(|gone| may(&gone.sum)).map(|gone| gone.last);
    while let Some(seq) = next.take() {
        if seq < base::first(state) {
            let date = state.gone.get(table).map_or_else(String::new, |gone| gone.sum.date.clone());
            return Ok(Some(Beyond { table, date, commit: None, is_erased: false }));
        }
        let (_, commit) = read::commit(lake, seq).await?;
        for tidy in retention::dropped(&commit).filter(|tidy| tidy.table == table) {
            if let Some(file) = commit.removed_by(tidy).into_iter().find(|file| may(file)) {
                return Ok(Some(Beyond { table, date: file.date.clone(), commit: Some(seq), is_erased: false }));
            }
            next = tidy.expired.as_ref().and_then(|expired| expired.last);
        }
    }
    Ok(None)
}

/// The last commit that erased rows of a table that may be what is looked for: of these files, and so counted.
///
/// # Errors
/// The store's; a commit that cannot be read.
pub async fn erased(
    lake: &Lake,
    state: &State,
    table: Table,
    (may, counts): (impl Fn(&File) -> bool, impl Fn(&Count) -> bool),
) -> Result<Option<Beyond>, ReadError> {
    let table = table.name();
    let mut next = state.erased.get(table).map(|sum| sum.last);
    while let Some(seq) = next.take() {
        if seq < base::first(state) {
            return Ok(Some(Beyond { table, date: String::new(), commit: None, is_erased: true }));
        }
        let (_, commit) = read::commit(lake, seq).await?;
        for (tidy, erased) in erasure::of(&commit).filter(|(tidy, _)| tidy.table == table) {
            let is_counted = |file: &&File| erased.counts.iter().any(|count| count.date == file.date && counts(count));
            if let Some(file) = commit.removed_by(tidy).into_iter().find(|file| may(file) && is_counted(file)) {
                return Ok(Some(Beyond { table, date: file.date.clone(), commit: Some(seq), is_erased: true }));
            }
            next = erased.last;
        }
    }
    Ok(None)
}

impl std::fmt::Display for Beyond {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Beyond { table, date, commit, is_erased } = self;
        let how = if *is_erased { "erased by" } else { "kept no longer since" };
        match commit {
            Some(commit) => write!(f, "rows of {table} of {date}, {how} commit {commit}"),
            None => write!(f, "rows of {table}, {how} a commit that is not kept either"),
        }
    }
}
