//! The Delta logs of a lake against its commits: versions and checkpoints.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use serde_json::Value;

use super::chain::Chain;
use super::report::Report;
use crate::lake::delta::checkpoint::{self, rows_bytes, says};
use crate::lake::delta::{self, Table, commits_table};
use crate::lake::history::commit::Commit;
use crate::lake::history::read::ReadError;
use crate::lake::history::versions::Numbering;
use crate::lake::history::{State, layout, roots};
use crate::lake::store::Lake;

/// A version, and the commits that it stands for.
type Version<'a> = (u64, &'a [Commit]);
/// The actions that add a table's live files, by path.
type Files = BTreeMap<String, Value>;

/// Checks the Delta logs of all tables, where all commits are known.
pub(super) async fn check(
    lake: &Lake,
    lake_id: &str,
    tables: &[Table],
    chain: &Chain,
    report: &mut Report,
) -> Result<(), ReadError> {
    if chain.is_broken {
        return Ok(());
    }
    let (rest, versions) = versions(chain);
    for table in tables {
        let begun = match &chain.base {
            Some(base) => begun(lake, (base, rest), table).await?,
            None => Files::new(),
        };
        Log { lake, lake_id, table, chain, versions: &versions }.check(begun, report).await?;
    }
    Ok(())
}

/// The commits that end the version which the base is in, whose first ones may be gone; and the versions after that.
fn versions(chain: &Chain) -> (&[Commit], Vec<Version<'_>>) {
    let commits = &chain.commits;
    let (mut numbering, mut first) = (Numbering::after(chain.base.as_ref()), 0);
    let ends = commits.iter().enumerate().filter_map(|(n, commit)| Some((n, numbering.take(commit)?)));
    let version = |(last, number)| (number, &commits[std::mem::replace(&mut first, last + 1)..=last]);
    let mut versions: Vec<Version<'_>> = ends.map(version).collect();
    let is_cut = chain.base.as_ref().is_some_and(|base| base.published().seq != base.seq);
    let rest = versions.drain(..usize::from(is_cut).min(versions.len())).next().map_or(&[][..], |(_, rest)| rest);
    (rest, versions)
}

/// What of a table is live at the first version after the base. Of the table of commits its first checkpoint says it.
async fn begun(lake: &Lake, (base, rest): (&State, &[Commit]), table: &Table) -> Result<Files, ReadError> {
    if !table.is_commits() {
        let mut files = Vec::new();
        roots::each(lake, &base.files, &table.name, |file| files.push(delta::live(table, file))).await?;
        let mut live = by_path(files).collect();
        take(&mut live, delta::changes(table, rest, 0));
        return Ok(live);
    }
    let published = base.published().version;
    let (from, last) = rest.last().map_or((published, base.seq), |last| (published + 1, last.seq));
    let names = lake.names(&layout::delta_log(&table.name), None).await?;
    let mut checkpoints = names.iter().filter_map(|name| layout::checkpoint_version(name));
    let Some(first) = checkpoints.find(|version| *version >= from) else { return Ok(Files::new()) };
    let bytes = lake.get(&layout::delta_checkpoint(&table.name, first)).await?.unwrap_or_default();
    let path = |path: &str| format!("{}/{path}", layout::table(&table.name));
    let is_before = |found: &str| layout::commits_file_number(&path(found)).is_some_and(|seq| seq <= last);
    Ok(by_path(checkpoint::files(bytes)).filter(|(path, _)| is_before(path)).collect())
}

/// Actions that add files, by the paths of those.
fn by_path(adds: Vec<Value>) -> impl Iterator<Item = (String, Value)> {
    adds.into_iter().map(|add| (add["path"].as_str().unwrap_or_default().to_owned(), add))
}

/// Takes up what a version does.
fn take(live: &mut Files, (removed, added): (Vec<Value>, Vec<Value>)) {
    for gone in removed {
        live.remove(gone["path"].as_str().unwrap_or_default());
    }
    live.extend(by_path(added));
}

/// The Delta log of a table.
struct Log<'a> {
    lake: &'a Lake,
    lake_id: &'a str,
    table: &'a Table,
    chain: &'a Chain,
    versions: &'a [Version<'a>],
}

impl Log<'_> {
    /// Each version of a Delta log is what its commits say; those at the end may be missing still, and those before the last
    /// checkpoint but one may be gone. Each checkpoint is what the versions up to it add up to; it may be missing anywhere.
    async fn check(self, begun: Files, report: &mut Report) -> Result<(), ReadError> {
        let listed = self.lake.list(&layout::delta_log(&self.table.name), None).await?;
        let found: BTreeSet<_> = listed.iter().filter_map(|o| layout::numbered(&o.path)).collect();
        let checkpoints: BTreeSet<_> = listed.iter().filter_map(|o| layout::checkpoint_version(&o.path)).collect();
        let (last, all) = (found.last().copied(), self.versions.last().map_or(0, |(number, _)| number + 1));
        let behind = all.saturating_sub(last.map_or(0, |last| last + 1));
        if behind > 0 {
            report.behind.insert(self.table.name.clone(), behind);
        }
        for beyond in found.union(&checkpoints).filter(|version| **version >= all) {
            // The lake may have gone on since its commits were listed.
            if !self.lake.exists(&layout::commit(self.chain.end())).await? {
                report.violations.push(format!("Delta table {}: version {beyond} is no commit's", self.table.name));
            }
        }
        let begin = checkpoints.iter().rev().nth(1).copied().unwrap_or(0);
        let published = self.versions.iter().take_while(|(number, _)| Some(*number) <= last);
        let published = published.filter(|(number, _)| *number >= begin || found.contains(number));
        let checks: Vec<_> = published.map(|version| self.check_version(*version)).collect();
        let mut checks = futures::stream::iter(checks).buffered(8);
        while let Some(checked) = checks.next().await {
            report.versions += 1;
            if let Some((path, text)) = checked? {
                report.note_derived(path, text);
            }
        }
        self.check_checkpoints(&checkpoints, begun, report).await
    }

    /// Compares checkpoints with one fold of what the versions do to what is live before them.
    async fn check_checkpoints(
        &self,
        checkpoints: &BTreeSet<u64>,
        mut live: Files,
        report: &mut Report,
    ) -> Result<(), ReadError> {
        let Some(made) = self.chain.made() else { return Ok(()) };
        let metadata = delta::metadata(self.lake_id, self.table, made);
        let folded = self.versions.iter().take_while(|(number, _)| Some(number) <= checkpoints.last());
        let folded: Vec<_> = folded
            .map(async |(number, commits)| {
                let bytes = rows_bytes(self.lake, self.table, commits).await?;
                Ok::<_, ReadError>((*number, delta::changes(self.table, commits, bytes)))
            })
            .collect();
        let mut folded = futures::stream::iter(folded).buffered(8);
        while let Some((number, changes)) = folded.try_next().await? {
            take(&mut live, changes);
            if !checkpoints.contains(&number) {
                continue;
            }
            let path = layout::delta_checkpoint(&self.table.name, number);
            let Some(found) = self.lake.get(&path).await? else { continue };
            report.checkpoints += 1;
            if !says(found, self.table, &metadata, &live)? {
                let name = &self.table.name;
                let text =
                    format!("Delta table {name}: checkpoint {number} is not what the versions up to it add up to");
                report.note_derived(path, format!("{text}; without it and _last_checkpoint readers take the versions"));
            }
        }
        Ok(())
    }

    /// Where a version is wrong, and how.
    async fn check_version(&self, (number, commits): Version<'_>) -> Result<Option<(String, String)>, ReadError> {
        let mut row_bytes = 0;
        if let Some(last) = commits.last().filter(|_| self.table.name == layout::COMMITS_TABLE) {
            let path = layout::commits_file(last.seq);
            let rows = self.lake.get(&path).await?.unwrap_or_default();
            row_bytes = rows.len() as u64;
            if !commits_table::holds(rows, commits)? {
                let text = format!("table commits: the rows of version {number} are missing or wrong");
                return Ok(Some((path, text)));
            }
        }
        let path = layout::delta_version(&self.table.name, number);
        let wrong = match self.lake.get(&path).await? {
            Some(found) if found == delta::version(self.lake_id, self.table, commits, row_bytes) => return Ok(None),
            Some(_) => "is not its commits'",
            None => "is missing",
        };
        Ok(Some((path, format!("Delta table {}: version {number} {wrong}", self.table.name))))
    }
}
