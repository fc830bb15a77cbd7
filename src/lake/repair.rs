//! Writes anew what follows from the commits where it is wrong or missing: roots and parts, Delta versions and checkpoints,
//! rows of the table of commits. Each is a function of the commits, so a run that goes on is not disturbed.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;

use crate::lake::Lake;
use crate::lake::delta::merging::{self, Files, Live, Rows};
use crate::lake::delta::{self, Table, checkpoint, log, publish};
use crate::lake::history::commit::Commit;
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::versions::Numbering;
use crate::lake::history::{State, Violation, base, layout, roots};
use crate::lake::inspect::verify;

/// Mends a lake; the paths that were wrong or missing. `tables` are those with Delta logs.
///
/// # Errors
/// The store's; commits that are not sound.
pub async fn repair(lake: &Lake, lake_id: &str, tables: &[Table]) -> Result<BTreeSet<String>, ReadError> {
    let head = read::head(lake, None).await?;
    let report = verify::quick(lake, lake_id, tables).await?;
    if head.is_some_and(|head| report.first + report.commits <= head) {
        return Err(Violation(report.violations.first().cloned().unwrap_or_default()).into());
    }
    let wrong: BTreeSet<String> = report.derived.into_iter().collect();
    lake.delete(wrong.iter().cloned().collect()).await?;
    let Some(state) = roots::state(lake).await? else { return Ok(wrong) };
    if wrong.iter().any(|path| path.starts_with(layout::SNAPSHOTS)) {
        roots::write(lake, &state).await?;
    }
    let logs: Vec<(&Table, &str)> =
        wrong.iter().filter_map(|path| Some((table_of(tables, path)?, path.as_str()))).collect();
    if !logs.is_empty() {
        mend_logs(lake, lake_id, &state, &logs).await?;
    }
    Ok(wrong)
}

/// Writes what is missing of Delta logs: versions first, from one look at the commits, then checkpoints, which may follow from them.
async fn mend_logs(lake: &Lake, lake_id: &str, state: &State, wrong: &[(&Table, &str)]) -> Result<(), ReadError> {
    let begun = base::state(lake, state).await?;
    let mut numbering = Numbering::after(begun.as_ref());
    let mut commits = std::pin::pin!(read::read(lake, base::first(state)..=state.seq).await?);
    let mut rows = RowsOfCommits::begin(lake, begun.as_ref(), wrong).await?;
    let by = |number: fn(&str) -> Option<u64>| {
        let mut found: BTreeMap<u64, Vec<&Table>> = BTreeMap::new();
        for (table, path) in wrong {
            number(path).into_iter().for_each(|number| found.entry(number).or_default().push(table));
        }
        found
    };
    let (logs, checkpoints) = (by(layout::numbered), by(layout::checkpoint_version));
    let (mut due, mut taken) = (Vec::new(), Vec::new());
    while let Some((_, commit)) = commits.try_next().await? {
        let (seq, ended) = (commit.seq, numbering.take(&commit));
        taken.push(commit);
        let Some(version) = ended else { continue };
        let missing = logs.get(&version).map_or(&[][..], Vec::as_slice);
        for table in missing.iter().filter(|table| !table.is_commits()) {
            publish::write_version(lake, lake_id, table, version, &taken, None).await?;
        }
        if let Some(rows) = &mut rows {
            rows.mend(lake, lake_id, version, &taken, missing.iter().any(|table| table.is_commits())).await?;
        }
        for table in checkpoints.get(&version).into_iter().flatten() {
            let files = rows.as_ref().filter(|_| table.is_commits()).map(|rows| rows.live.clone());
            due.push((*table, seq, files.unwrap_or_default()));
        }
        taken.clear();
    }
    // The last one is named as such by the next run.
    for (table, seq, rows) in due {
        if let Some(state) = roots::after(lake, seq).await? {
            checkpoint::write(lake, lake_id, table, &state, &rows).await?;
        }
    }
    Ok(())
}

/// The table of commits, from version to version.
struct RowsOfCommits<'a> {
    table: &'a Table,
    wrong: BTreeSet<&'a str>,
    /// The first version of which it is known what is live before it.
    first: u64,
    live: Files,
}

impl<'a> RowsOfCommits<'a> {
    /// `None`: nothing of it is wrong.
    async fn begin(
        lake: &Lake,
        base: Option<&State>,
        wrong: &[(&'a Table, &'a str)],
    ) -> Result<Option<Self>, ReadError> {
        let wrong = wrong.iter().filter(|(table, _)| table.is_commits());
        let Some((table, _)) = wrong.clone().next() else { return Ok(None) };
        let (live, first) = match base {
            Some(base) => log::live_from(lake, &table.name, base.published().version).await?,
            None => (Files::new(), 0),
        };
        Ok(Some(RowsOfCommits { table, wrong: wrong.map(|(_, path)| *path).collect(), first, live }))
    }

    /// Writes what is wrong of a version: files, then itself, as it says how long they are.
    async fn mend(
        &mut self,
        lake: &Lake,
        lake_id: &str,
        number: u64,
        commits: &[Commit],
        is_missing: bool,
    ) -> Result<(), ReadError> {
        if number < self.first {
            return Ok(());
        }
        let merge = Live::of(self.live.keys()).take(number, commits);
        let files = merge.iter().map(|merge| merge.whole).chain([Rows::of(commits)]);
        let path = layout::delta_version(&self.table.name, number);
        let is_wrong = files.into_iter().any(|rows| self.wrong.contains(rows.path().as_str()));
        let written = if is_missing || is_wrong && lake.exists(&path).await? {
            lake.delete(vec![path]).await?;
            publish::write_version(lake, lake_id, self.table, number, commits, merge).await?
        } else if is_wrong {
            merging::write(lake, commits, merge).await?
        } else {
            merging::written(lake, commits, merge).await?
        };
        merging::take(&mut self.live, delta::changes(self.table, commits, &written));
        Ok(())
    }
}

fn table_of<'a>(tables: &'a [Table], path: &str) -> Option<&'a Table> {
    tables.iter().find(|table| path.strip_prefix(&layout::table(&table.name)).is_some_and(|rest| rest.starts_with('/')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

    use super::*;
    use crate::lake::delta::publish::Publisher;
    use crate::lake::testing::{Random, data, seed};
    use crate::lake::{Committer, StoreOptions};

    #[tokio::test]
    async fn whatever_follows_from_the_commits_is_mended_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, false)]));
        let tables = Table::all(["raw_gps", layout::DEAD_LETTERS].map(|name| (name, schema.clone()))).unwrap();
        let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
        for _ in 0..220 {
            let commit = data(committer.state().unwrap(), "a", 3, 1);
            committer.propose(commit).await.unwrap();
            committer.tend().await;
        }
        let mut publisher = Publisher::open(&lake, "id", tables.clone(), 220).await.unwrap();
        publisher.catch_up(220).await.unwrap();
        let all = lake.list("", None).await.unwrap();
        // The last versions may be missing: a run that goes on writes them.
        let is_last = |path: &str| layout::numbered(path) == Some(220);
        let follows =
            |path: &str| !path.starts_with("commits/") && !path.contains("_last_checkpoint") && !is_last(path);
        let mut random = Random(seed());
        let mut spoiled = BTreeSet::new();
        for path in all.iter().map(|object| &object.path).filter(|path| follows(path)) {
            let sound = lake.get(path).await.unwrap().unwrap();
            match random.below(12) {
                0 => lake.delete(vec![path.clone()]).await.unwrap(),
                1 => lake.put(path, sound.slice(..sound.len() / 2)).await.unwrap(),
                2 => lake.put(path, "else".into()).await.unwrap(),
                _ => continue,
            }
            spoiled.insert(path.clone());
        }
        let report = verify::quick(&lake, "id", &tables).await.unwrap();
        assert!(!report.sound() && report.violations.len() <= report.derived.len(), "{report:?}");
        let mended = repair(&lake, "id", &tables).await.unwrap();
        assert!(mended.len() > spoiled.len() / 2, "{mended:?}");
        let report = verify::quick(&lake, "id", &tables).await.unwrap();
        assert!(report.sound() && report.behind.is_empty(), "{report:?}");
        assert_eq!(repair(&lake, "id", &tables).await.unwrap(), BTreeSet::new());
        let kept = lake.get(&layout::commit(30)).await.unwrap().unwrap();
        lake.delete(vec![layout::commit(30)]).await.unwrap();
        assert!(matches!(repair(&lake, "id", &tables).await, Err(ReadError::Integrity(_))));
        lake.put(&layout::commit(30), kept).await.unwrap();
        assert_eq!(roots::state(&lake).await.unwrap().unwrap().totals, committer.state().unwrap().totals);
        let commit = data(committer.state().unwrap(), "a", 3, 1);
        committer.propose(commit).await.unwrap();
        assert!(publisher.catch_up(221).await.unwrap(), "the run goes on");
    }
}
