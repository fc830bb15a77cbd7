//! The Delta logs of a lake against its commits: versions and checkpoints.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};

use super::report::Report;
use crate::lake::delta::checkpoint::{Fold, row_bytes};
use crate::lake::delta::{self, Table, checkpoint_file as file, commits_table};
use crate::lake::history::commit::Commit;
use crate::lake::history::layout;
use crate::lake::history::read::ReadError;
use crate::lake::store::Lake;

/// The Delta logs of all tables.
pub(super) async fn check_all(
    lake: &Lake,
    lake_id: &str,
    tables: &[Table],
    commits: &[Commit],
    report: &mut Report,
) -> Result<(), ReadError> {
    for table in tables {
        check(lake, lake_id, table, commits, report).await?;
    }
    Ok(())
}

/// Each version of a Delta log is what its commit says; those at the end may be missing still, and those before the last
/// checkpoint but one may be gone. Each checkpoint is what
/// the versions up to it add up to; it may be missing anywhere.
async fn check(
    lake: &Lake,
    lake_id: &str,
    table: &Table,
    commits: &[Commit],
    report: &mut Report,
) -> Result<(), ReadError> {
    let listed = lake.list(&layout::delta_log(&table.name), None).await?;
    let versions: BTreeSet<_> = listed.iter().filter_map(|o| layout::numbered(&o.path)).collect();
    let checkpoints: BTreeSet<_> = listed.iter().filter_map(|o| layout::checkpoint_version(&o.path)).collect();
    let last = versions.last().copied();
    let behind = (commits.len() as u64).saturating_sub(last.map_or(0, |last| last + 1));
    if behind > 0 {
        report.behind.insert(table.name.clone(), behind);
    }
    for beyond in versions.union(&checkpoints).filter(|version| **version >= commits.len() as u64) {
        // The lake may have gone on since its commits were listed.
        if !lake.exists(&layout::commit(*beyond)).await? {
            report.violations.push(format!("Delta table {}: version {beyond} is no commit's", table.name));
        }
    }
    let begin = checkpoints.iter().rev().nth(1).copied().unwrap_or(0);
    let published = commits.iter().take_while(|commit| Some(commit.seq) <= last);
    let published = published.filter(|commit| commit.seq >= begin || versions.contains(&commit.seq));
    let checks = published.map(|commit| check_version(lake, lake_id, table, commit));
    let mut checks = futures::stream::iter(checks.collect::<Vec<_>>()).buffered(8);
    while let Some(checked) = checks.next().await {
        report.versions += 1;
        if let Some((path, text)) = checked? {
            report.note_derived(path, text);
        }
    }
    check_checkpoints(lake, lake_id, table, commits, &checkpoints, report).await
}

/// Compares checkpoints with one fold of the commits.
async fn check_checkpoints(
    lake: &Lake,
    lake_id: &str,
    table: &Table,
    commits: &[Commit],
    checkpoints: &BTreeSet<u64>,
    report: &mut Report,
) -> Result<(), ReadError> {
    let Some(made) = commits.first() else { return Ok(()) };
    let folded = commits.iter().take_while(|commit| Some(&commit.seq) <= checkpoints.last());
    let folded =
        folded.map(|commit| async move { Ok::<_, ReadError>((commit, row_bytes(lake, table, commit.seq).await?)) });
    let mut folded = futures::stream::iter(folded.collect::<Vec<_>>()).buffered(8);
    let mut fold = Fold::new(table);
    while let Some((commit, row_bytes)) = folded.try_next().await? {
        fold.take(commit, row_bytes);
        if !checkpoints.contains(&commit.seq) {
            continue;
        }
        let path = layout::delta_checkpoint(&table.name, commit.seq);
        let Some(found) = lake.get(&path).await? else { continue };
        report.checkpoints += 1;
        if file::decode(found).ok() != Some(fold.checkpoint(lake_id, made)?) {
            let (name, seq) = (&table.name, commit.seq);
            let text = format!("Delta table {name}: checkpoint {seq} is not what the versions up to it add up to");
            report.note_derived(path, format!("{text}; without it and _last_checkpoint readers take the versions"));
        }
    }
    Ok(())
}

/// Where a version is wrong, and how.
async fn check_version(
    lake: &Lake,
    lake_id: &str,
    table: &Table,
    commit: &Commit,
) -> Result<Option<(String, String)>, ReadError> {
    let seq = commit.seq;
    let mut row_bytes = 0;
    if table.name == layout::COMMITS_TABLE {
        let path = layout::commits_file(seq);
        let row = lake.get(&path).await?.unwrap_or_default();
        row_bytes = row.len() as u64;
        if !commits_table::holds(row, commit)? {
            return Ok(Some((path, format!("table commits: the row of commit {seq} is missing or wrong"))));
        }
    }
    let path = layout::delta_version(&table.name, seq);
    let wrong = match lake.get(&path).await? {
        Some(found) if found == delta::version(lake_id, table, commit, row_bytes) => return Ok(None),
        Some(_) => "is not its commit's",
        None => "is missing",
    };
    Ok(Some((path, format!("Delta table {}: version {seq} {wrong}", table.name))))
}
