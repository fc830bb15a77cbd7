//! The Delta logs of a lake against its commits: versions and checkpoints.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};

use super::chain::Chain;
use super::report::Report;
use crate::lake::delta::checkpoint::says;
use crate::lake::delta::merging::{self, Files, Live, Merge, Rows, Written, by_path, take};
use crate::lake::delta::{self, Table, commits_table, log};
use crate::lake::history::commit::Commit;
use crate::lake::history::read::ReadError;
use crate::lake::history::versions::Numbering;
use crate::lake::history::{State, layout, roots};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// A version, and the commits that it stands for.
type Version<'a> = (u64, &'a [Commit]);
/// Where something is wrong, and how.
type Wrong = (String, String);

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
        let (begun, first) = match &chain.base {
            Some(base) if table.is_commits() => {
                log::live_from(lake, &table.name, base.published().version + u64::from(!rest.is_empty())).await?
            }
            Some(base) => (begun(lake, (base, rest), table).await?, 0),
            None => (Files::new(), 0),
        };
        let all = versions.last().map_or(0, |(number, _)| number + 1);
        let versions = &versions[versions.partition_point(|(number, _)| *number < first)..];
        let merges = if table.is_commits() { merges(&begun, versions) } else { BTreeMap::new() };
        Log { lake, lake_id, table, chain, all, versions, merges }.check(begun, report).await?;
    }
    Ok(())
}

/// What each version that does so makes one in the table of commits.
fn merges(begun: &Files, versions: &[Version<'_>]) -> BTreeMap<u64, Merge> {
    let mut live = Live::of(begun.keys());
    versions.iter().filter_map(|(number, commits)| Some((*number, live.take(*number, commits)?))).collect()
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

/// What of a table of rows is live at the first version after the base.
async fn begun(lake: &Lake, (base, rest): (&State, &[Commit]), table: &Table) -> Result<Files, ReadError> {
    let mut files = Vec::new();
    roots::each(lake, &base.files, &table.name, |file| files.push(delta::live(table, file))).await?;
    let mut live = by_path(files).collect();
    take(&mut live, delta::changes(table, rest, &Written::default()));
    Ok(live)
}

/// The Delta log of a table.
struct Log<'a> {
    lake: &'a Lake,
    lake_id: &'a str,
    table: &'a Table,
    chain: &'a Chain,
    /// How many versions there are to be.
    all: u64,
    /// Those that are checked.
    versions: &'a [Version<'a>],
    /// What versions make one in the table of commits, if it is that.
    merges: BTreeMap<u64, Merge>,
}

impl Log<'_> {
    /// Each version of a Delta log is what its commits say; those at the end may be missing still, and those before the last
    /// checkpoint but one may be gone. Each checkpoint is what the versions up to it add up to; it may be missing anywhere.
    async fn check(self, begun: Files, report: &mut Report) -> Result<(), ReadError> {
        let listed = self.lake.list(&layout::delta_log(&self.table.name), None).await?;
        let found: BTreeSet<_> = listed.iter().filter_map(|o| layout::numbered(&o.path)).collect();
        let checkpoints: BTreeSet<_> = listed.iter().filter_map(|o| layout::checkpoint_version(&o.path)).collect();
        let last = found.last().copied();
        let behind = self.all.saturating_sub(last.map_or(0, |last| last + 1));
        if behind > 0 {
            report.behind.insert(self.table.name.clone(), behind);
        }
        for beyond in found.union(&checkpoints).filter(|version| **version >= self.all) {
            // The lake may have gone on since its commits were listed.
            if !self.lake.exists(&layout::commit(self.chain.end())).await? {
                report.violations.push(format!("Delta table {}: version {beyond} is no commit's", self.table.name));
            }
        }
        let begin = checkpoints.iter().rev().nth(1).copied().unwrap_or(0);
        let published = &self.versions[..self.versions.partition_point(|(number, _)| Some(*number) <= last)];
        let (before, needed) = published.split_at(published.partition_point(|(number, _)| *number < begin));
        let leftover = before.iter().filter(|(number, _)| found.contains(number));
        let checks = leftover.map(|version| self.check_version(*version, false));
        let checks: Vec<_> = checks.chain(needed.iter().map(|version| self.check_version(*version, true))).collect();
        report.versions += checks.len() as u64;
        note(checks, report).await?;
        self.check_old_rows(&begun, before, report).await?;
        self.check_checkpoints(&checkpoints, begin, begun, report).await
    }

    /// Files of the table of commits that are live at the first version that is needed, and of those before.
    async fn check_old_rows(
        &self,
        begun: &Files,
        before: &[Version<'_>],
        report: &mut Report,
    ) -> Result<(), ReadError> {
        if !self.table.is_commits() {
            return Ok(());
        }
        let mut live = Live::of(begun.keys());
        before.iter().for_each(|(number, commits)| drop(live.take(*number, commits)));
        note(live.rows().iter().map(|rows| self.check_rows(*rows)).collect(), report).await
    }

    /// Compares checkpoints with one fold of what the versions do to what is live before them. Before `begin`, which is needed,
    /// rows of the table of commits may be gone.
    async fn check_checkpoints(
        &self,
        checkpoints: &BTreeSet<u64>,
        begin: u64,
        mut live: Files,
        report: &mut Report,
    ) -> Result<(), ReadError> {
        let Some(made) = self.chain.made() else { return Ok(()) };
        let metadata = delta::metadata(self.lake_id, self.table, made);
        let folded = self.versions.iter().take_while(|(number, _)| Some(number) <= checkpoints.last());
        let folded: Vec<_> = folded
            .map(async |(number, commits)| {
                let written = self.written(*number, commits).await?;
                Ok::<_, ReadError>((*number, delta::changes(self.table, commits, &written)))
            })
            .collect();
        let mut folded = futures::stream::iter(folded).buffered(8);
        while let Some((number, changes)) = folded.try_next().await? {
            take(&mut live, changes);
            let are_gone = self.table.is_commits() && live.values().any(|add| add["size"] == 0);
            if !checkpoints.contains(&number) || are_gone && number < begin {
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

    /// What a version has in the table of commits, if it is that.
    async fn written(&self, number: u64, commits: &[Commit]) -> Result<Written, StoreError> {
        match self.table.is_commits() {
            true => merging::written(self.lake, commits, self.merges.get(&number).cloned()).await,
            false => Ok(Written::default()),
        }
    }

    /// Where a version is wrong, and how. Of one that is not needed any more the rows may be gone, as they go first.
    async fn check_version(&self, (number, commits): Version<'_>, is_needed: bool) -> Result<Vec<Wrong>, ReadError> {
        let mut wrong = Vec::new();
        if self.table.is_commits() && is_needed {
            let merged = self.merges.get(&number).map(|merge| merge.whole);
            for rows in merged.into_iter().chain([Rows::of(commits)]) {
                wrong.extend(self.check_rows(rows).await?);
            }
        }
        let path = layout::delta_version(&self.table.name, number);
        let found = self.lake.get(&path).await?;
        let how = if found.is_none() { "is missing" } else { "is not its commits'" };
        // It says how long its rows are.
        let is_known = wrong.is_empty() || found.is_none();
        let written = self.written(number, commits).await?;
        let is_right = found.is_some_and(|found| found == delta::version(self.lake_id, self.table, commits, &written));
        if is_known && !is_right && (is_needed || !self.table.is_commits() || written.is_there()) {
            wrong.push((path, format!("Delta table {}: version {number} {how}", self.table.name)));
        }
        Ok(wrong)
    }

    /// Where a file of the table of commits is wrong: of rows before the base, nothing is known.
    async fn check_rows(&self, rows: Rows) -> Result<Option<Wrong>, ReadError> {
        let path = rows.path();
        let commits = self.chain.within(rows.first, rows.last);
        let found = self.lake.get(&path).await?.unwrap_or_default();
        let (count, known) = ((rows.last - rows.first + 1) as usize, commits_table::rows(commits)?);
        if commits_table::ends_with(found, count, &known) {
            return Ok(None);
        }
        let text = format!("table commits: the rows of commits {} to {} are missing or wrong", rows.first, rows.last);
        Ok(Some((path, text)))
    }
}

/// Notes what checks find, some of which run at a time.
async fn note<W: IntoIterator<Item = Wrong>>(
    checks: Vec<impl Future<Output = Result<W, ReadError>>>,
    report: &mut Report,
) -> Result<(), ReadError> {
    let mut checks = futures::stream::iter(checks).buffered(8);
    while let Some(wrong) = checks.try_next().await? {
        wrong.into_iter().for_each(|(path, text)| report.note_derived(path, text));
    }
    Ok(())
}
