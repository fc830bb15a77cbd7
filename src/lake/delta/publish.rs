//! Keeps the Delta logs up with the commits: in order, missing versions first, put if absent, so that whoever writes a
//! version twice writes the same. Nobody else may write there: a foreign version is a violation (exit 5).

use std::time::Duration;

use futures::future::try_join_all;

use crate::lake::delta::cleaning::Cleaning;
use crate::lake::delta::{Table, checkpoint, commits_table, version};
use crate::lake::history::commit::Commit;
use crate::lake::history::committer::CommitError;
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{Violation, layout};
use crate::lake::store::error::StoreError;
use crate::lake::store::{Lake, Pause, Stored};

/// Keeps the Delta logs of a lake up with its commits.
#[derive(Debug)]
pub struct Publisher {
    lake: Lake,
    lake_id: String,
    tables: Vec<(Table, u64)>,
    cleaning: Cleaning,
    /// While the store does not take what is missing.
    behind: Option<Pause>,
}

impl Publisher {
    /// Looks how far each table's log is, writes wrong and missing checkpoints, and publishes what is missing up to `head`,
    /// the lake's last commit. A version beyond it is foreign. A store that fails for now is waited for.
    pub async fn open(lake: &Lake, lake_id: &str, tables: Vec<Table>, head: u64) -> Result<Publisher, CommitError> {
        let mut publisher = patiently(lake, || Self::look(lake, lake_id, tables.clone(), head)).await?;
        patiently(lake, || checkpoint::repair(lake, lake_id, &tables, head)).await?;
        let mut pause = lake.pause(FIRST_PAUSE);
        while !publisher.catch_up(head).await? {
            pause.wait("the Delta tables are behind the commits").await;
        }
        // The last one may have been missed, and be the start of the next.
        let tables: Vec<&Table> = tables.iter().collect();
        patiently(lake, || checkpoint::write(lake, lake_id, &tables, head - head % checkpoint::EVERY)).await?;
        Ok(publisher)
    }

    async fn look(lake: &Lake, lake_id: &str, tables: Vec<Table>, head: u64) -> Result<Publisher, ReadError> {
        let next = try_join_all(tables.iter().map(|table| next_version(lake, lake_id, table, head))).await?;
        let tables = tables.into_iter().zip(next).collect();
        Ok(Publisher {
            lake: lake.clone(),
            lake_id: lake_id.into(),
            tables,
            cleaning: Cleaning::default(),
            behind: None,
        })
    }

    /// Publishes everything up to and including `commit`. `false`: the store failed for now, and the next call
    /// catches up.
    pub async fn publish(&mut self, commit: &Commit) -> Result<bool, CommitError> {
        match self.up_to(commit).await {
            Ok(()) => {
                self.behind = None;
                Ok(true)
            }
            Err(ReadError::Store(StoreError::Transient(why))) => {
                let why = format!("commit {} is not in all Delta tables yet: {why}", commit.seq);
                self.behind.get_or_insert_with(|| self.lake.pause(FIRST_PAUSE)).begin(&why);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Publishes everything up to and including the commit `head`, reading what is missing.
    pub async fn catch_up(&mut self, head: u64) -> Result<bool, CommitError> {
        match read::commit(&self.lake, head).await {
            Ok((_, commit)) => self.publish(&commit).await,
            Err(ReadError::Store(StoreError::Transient(_))) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The first version that is not in every table.
    pub fn next(&self) -> u64 {
        self.tables.iter().map(|(_, next)| *next).min().unwrap_or(0)
    }

    async fn up_to(&mut self, commit: &Commit) -> Result<(), ReadError> {
        for seq in self.next()..commit.seq {
            let (_, missing) = read::commit(&self.lake, seq).await?;
            self.one(&missing).await?;
        }
        self.one(commit).await
    }

    /// One version, in all tables that do not have it. Who takes that of the table of commits finds the others there.
    async fn one(&mut self, commit: &Commit) -> Result<(), ReadError> {
        let (lake, lake_id) = (&self.lake, &self.lake_id);
        let missing = self.tables.iter_mut().filter(|(_, next)| *next == commit.seq);
        let (last, first): (Vec<_>, Vec<_>) = missing.partition(|(table, _)| table.is_commits());
        for tables in [first, last] {
            let written = tables.into_iter().map(|(table, next)| async move {
                write_version(lake, lake_id, table, commit).await?;
                *next += 1;
                Ok::<_, ReadError>(())
            });
            try_join_all(written).await?;
        }
        let tables: Vec<&Table> = self.tables.iter().map(|(table, _)| table).collect();
        if let Err(error) = checkpoint::write(lake, lake_id, &tables, commit.seq).await {
            // Readers read more versions without it: not worth stopping for.
            tracing::warn!("no Delta checkpoints at version {}: {error}", commit.seq);
        }
        if let Err(error) = self.cleaning.go_on(lake, &tables, commit).await {
            tracing::warn!("old Delta versions are not deleted: {error}");
        }
        Ok(())
    }
}

/// Before the first try again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Tries until the store does not fail for now.
async fn patiently<T>(lake: &Lake, mut attempt: impl AsyncFnMut() -> Result<T, ReadError>) -> Result<T, ReadError> {
    let mut pause = lake.pause(FIRST_PAUSE);
    loop {
        match attempt().await {
            Err(ReadError::Store(StoreError::Transient(why))) => pause.wait(&why).await,
            done => return done,
        }
    }
}

/// Writes one version of a table, and what it refers to. What is there and is another's is a violation.
pub(in crate::lake) async fn write_version(
    lake: &Lake,
    lake_id: &str,
    table: &Table,
    commit: &Commit,
) -> Result<(), ReadError> {
    let row_bytes = if table.is_commits() { write_row(lake, commit).await? } else { 0 };
    let path = layout::delta_version(&table.name, commit.seq);
    match lake.put_same(&path, version(lake_id, table, commit, row_bytes)).await? {
        Stored::Same => Ok(()),
        Stored::Other(_) => Err(foreign(lake, &path).into()),
    }
}

/// Writes the commit's row; its length. One that another version of the writer has left is as good.
async fn write_row(lake: &Lake, commit: &Commit) -> Result<u64, ReadError> {
    let path = layout::commits_file(commit.seq);
    let bytes = commits_table::encode(commit)?;
    match lake.put_same(&path, bytes.clone()).await? {
        Stored::Same => Ok(bytes.len() as u64),
        Stored::Other(found) if commits_table::holds(found.clone(), commit)? => Ok(found.len() as u64),
        Stored::Other(_) => Err(foreign(lake, &path).into()),
    }
}

fn foreign(lake: &Lake, path: &str) -> Violation {
    Violation(format!(
        "{} was not written by citystream for this commit; only citystream may write there",
        lake.address(path)
    ))
}

/// The first version that a table lacks, after checking that the last one it has is ours. Looks at the end of a
/// long log only.
async fn next_version(lake: &Lake, lake_id: &str, table: &Table, head: u64) -> Result<u64, ReadError> {
    let log = layout::delta_log(&table.name);
    let mut begin = head.saturating_sub(200);
    let near = begin.checked_sub(1).map(|before| layout::delta_version(&table.name, before));
    let mut names = lake.names(&log, near.as_deref()).await?;
    if names.iter().all(|name| layout::numbered(name).is_none()) && near.is_some() {
        names = lake.names(&log, None).await?;
        // Old versions may have been deleted.
        begin = names.iter().find_map(|name| layout::numbered(name)).unwrap_or(0);
    }
    let mut next = begin;
    for found in names.iter().filter_map(|name| layout::numbered(name)) {
        if found != next || found > head {
            return Err(foreign(lake, &layout::delta_version(&table.name, found)).into());
        }
        next = found + 1;
    }
    if next > begin {
        confirm_version(lake, lake_id, table, next - 1).await?;
    }
    Ok(next)
}

/// Whether a version is what its commit says.
async fn confirm_version(lake: &Lake, lake_id: &str, table: &Table, seq: u64) -> Result<(), ReadError> {
    let (_, commit) = read::commit(lake, seq).await?;
    let row_bytes = checkpoint::row_bytes(lake, table, seq).await?;
    let path = layout::delta_version(&table.name, seq);
    match lake.get(&path).await? {
        Some(found) if found == version(lake_id, table, &commit, row_bytes) => Ok(()),
        _ => Err(foreign(lake, &path).into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

    use super::*;
    use crate::lake::testing::{Fault, Faulty, data};
    use crate::lake::{Committer, StoreOptions};

    fn tables() -> Vec<Table> {
        let fields = ["id", "event_time"].map(|name| Field::new(name, DataType::Utf8, false));
        let schema: SchemaRef = Schema::new(Vec::from(fields)).into();
        let tables = layout::record_tables().chain(["incidents_changes"]);
        Table::all(tables.map(|name| (name, schema.clone()))).unwrap()
    }

    async fn lake_with_commits(dir: &tempfile::TempDir, n: u64) -> (Lake, Vec<Commit>) {
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
        let mut commits = vec![read::commit(&lake, 0).await.unwrap().1];
        for _ in 0..n {
            let commit = data(committer.state().unwrap(), "a", 3, 1);
            commits.push(committer.propose(commit).await.unwrap());
        }
        (lake, commits)
    }

    fn log(dir: &tempfile::TempDir, table: &str) -> Vec<String> {
        let log = dir.path().join(layout::delta_log(table));
        let mut names: Vec<_> =
            std::fs::read_dir(log).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn p2_versions_are_the_commits_missing_ones_first_and_twice_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (lake, commits) = lake_with_commits(&dir, 4).await;
        let mut one = Publisher::look(&lake, "id", tables(), 4).await.unwrap();
        assert!(one.publish(&commits[2]).await.unwrap());
        let mut two = Publisher::look(&lake, "id", tables(), 4).await.unwrap();
        assert_eq!(two.next(), 3);
        assert!(two.catch_up(4).await.unwrap());
        assert_eq!(Publisher::open(&lake, "id", tables(), 4).await.unwrap().next(), 5);
        assert!(one.publish(&commits[4]).await.unwrap());
        for table in tables() {
            assert_eq!(log(&dir, &table.name).len(), 5, "{}", table.name);
        }
        let gps = lake.get(&layout::delta_version("raw_gps", 1)).await.unwrap().unwrap();
        let gps = String::from_utf8(gps.to_vec()).unwrap();
        assert!(gps.contains("\"path\":\"log_date=2026-11-23/a-") && gps.contains("numRecords"), "{gps}");
        assert!(gps.contains("2023-11-14T22:13:20.123456Z"), "{gps}");
        let weather = lake.get(&layout::delta_version("raw_weather", 1)).await.unwrap().unwrap();
        assert_eq!(weather.iter().filter(|b| **b == b'\n').count(), 1, "an empty version is one line");
    }

    #[tokio::test]
    async fn a_foreign_version_is_a_violation() {
        // Before the first of ours, in its place, and beyond the last commit.
        for (place, published) in [(1, 0), (0, 0), (1, 1), (2, 2), (3, 3), (9, 1)] {
            let dir = tempfile::tempdir().unwrap();
            let (lake, commits) = lake_with_commits(&dir, 2).await;
            let open = || Publisher::look(&lake, "id", tables(), 2);
            for commit in &commits[..published] {
                open().await.unwrap().publish(commit).await.unwrap();
            }
            let mut running = open().await.unwrap();
            lake.put(&layout::delta_version("raw_gps", place), "{}\n".into()).await.unwrap();
            assert!(matches!(open().await, Err(ReadError::Integrity(_))), "{place} {published}");
            let found = running.publish(&commits[2]).await;
            assert_eq!(found.is_err(), (published as u64..3).contains(&place), "{place} {published}");
        }
    }

    #[tokio::test]
    async fn a_failing_store_delays_publication_only() {
        let dir = tempfile::tempdir().unwrap();
        let (lake, commits) = lake_with_commits(&dir, 2).await;
        let failing = lake.wrap(Faulty::wrap(lake.store(), |p| {
            p.as_ref().starts_with("tables/raw_traffic").then_some(Fault::Failed)
        }));
        let mut publisher = Publisher::look(&failing, "id", tables(), 2).await.unwrap();
        assert!(!publisher.publish(&commits[1]).await.unwrap());
        publisher.lake = lake;
        assert!(publisher.publish(&commits[2]).await.unwrap());
        assert_eq!(publisher.next(), 3);
    }
}
