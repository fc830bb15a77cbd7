//! Keeps the Delta logs up with the commits: in order, missing versions first, put if absent, so that whoever writes a
//! version twice writes the same. Nobody else may write there: a foreign version is a violation (exit 5).

use std::time::Duration;

use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};

use crate::lake::delta::checkpoint::{self, Checkpoint};
use crate::lake::delta::cleaning::Cleaning;
use crate::lake::delta::log::{self, ended_by};
use crate::lake::delta::merging::{self, Files, Live, Merge, Written};
use crate::lake::delta::{Table, changes, foreign, version};
use crate::lake::history::commit::Commit;
use crate::lake::history::committer::CommitError;
use crate::lake::history::patience::patiently;
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::versions::{self, Numbering, Published};
use crate::lake::history::{State, layout, roots};
use crate::lake::store::error::StoreError;
use crate::lake::store::{Lake, Pause, Stored};

/// Keeps the Delta logs of a lake up with its commits.
#[derive(Debug)]
pub struct Publisher {
    lake: Lake,
    lake_id: String,
    logs: Vec<Log>,
    /// Before the first commit that is not in every log.
    numbering: Numbering,
    /// While the store does not take what is missing.
    behind: Option<Pause>,
}

/// The Delta log of a table.
#[derive(Debug)]
struct Log {
    table: Table,
    /// Its next version, and the first commit of that.
    next: Published,
    /// The live files of the table of commits, once they are needed: no root lists them.
    rows: Option<Files>,
    checkpoint: Option<Checkpoint>,
    cleaning: Cleaning,
}

impl Publisher {
    /// Looks how far each table's log is, and publishes what is missing up to `head`, the lake's last commit, which ends a
    /// version; writes checkpoints that are missing. A version beyond `head` is foreign. A store that fails for now is waited for.
    pub async fn open(lake: &Lake, lake_id: &str, tables: Vec<Table>, head: u64) -> Result<Publisher, CommitError> {
        let mut publisher = patiently(lake, FIRST_PAUSE, || Self::look(lake, lake_id, tables.clone(), head)).await?;
        let mut pause = lake.pause(FIRST_PAUSE);
        while !publisher.catch_up(head).await? {
            pause.wait("the Delta tables are behind the commits").await;
        }
        publisher.shorten(head).await;
        Ok(publisher)
    }

    pub(super) async fn look(
        lake: &Lake,
        lake_id: &str,
        tables: Vec<Table>,
        head: u64,
    ) -> Result<Publisher, ReadError> {
        let logs = try_join_all(tables.into_iter().map(|table| Log::look(lake, lake_id, table, head))).await?;
        let first = logs.iter().map(|log| log.next.seq).min().unwrap_or(0);
        let numbering = Numbering::before(lake, first).await?;
        Ok(Publisher { lake: lake.clone(), lake_id: lake_id.into(), logs, numbering, behind: None })
    }

    /// Publishes everything up to and including `commit`, if that ends a version. `false`: the store failed for now, and the
    /// next call catches up.
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

    /// The first commit that is not in every table.
    pub fn next(&self) -> u64 {
        self.logs.iter().map(|log| log.next.seq).min().unwrap_or(0)
    }

    async fn up_to(&mut self, commit: &Commit) -> Result<(), ReadError> {
        let (lake, first, mut numbering) = (self.lake.clone(), self.next(), self.numbering);
        if first > commit.seq || self.numbering.ends(commit).is_none() {
            return Ok(());
        }
        let missing = match commit.seq.checked_sub(1).filter(|last| first <= *last) {
            Some(last) => Some(read::read(&lake, first..=last).await?),
            None => None,
        };
        let missing = stream::iter(missing).flatten().map_ok(|(_, commit)| commit);
        let mut all = std::pin::pin!(missing.chain(stream::iter([Ok(commit.clone())])));
        let mut commits = Vec::new();
        while let Some(commit) = all.try_next().await? {
            let ended = numbering.take(&commit);
            commits.push(commit);
            if let Some(version) = ended {
                self.one(version, &std::mem::take(&mut commits)).await?;
                self.numbering = numbering;
            }
        }
        self.shorten(commit.seq).await;
        Ok(())
    }

    /// One version, in all tables that do not have it. Who takes that of the table of commits finds the others there.
    async fn one(&mut self, number: u64, commits: &[Commit]) -> Result<(), ReadError> {
        let (lake, lake_id) = (&self.lake, &self.lake_id);
        let missing = self.logs.iter_mut().filter(|log| log.next.version == number);
        let (last, first): (Vec<_>, Vec<_>) = missing.partition(|log| log.table.is_commits());
        for logs in [first, last] {
            let written = logs.into_iter().map(|log| async move {
                let merge = log.merge(lake, number, commits).await?;
                let written = write_version(lake, lake_id, &log.table, number, commits, merge).await?;
                log.go_on(number, commits, &written);
                Ok::<_, ReadError>(())
            });
            try_join_all(written).await?;
        }
        Ok(())
    }

    /// Writes the checkpoints that are due once commit `seq` is published, and deletes old versions. Without it readers read
    /// more of them: not worth stopping for.
    async fn shorten(&mut self, seq: u64) {
        let due = |log: &&mut Log| checkpoint::is_due(log.checkpoint, log.next.version.saturating_sub(1));
        let mut due = self.logs.iter_mut().filter(due).peekable();
        if due.peek().is_none() {
            return;
        }
        let state = match roots::after(&self.lake, seq).await {
            Ok(Some(state)) => state,
            Ok(None) => return,
            Err(error) => return tracing::warn!("no Delta checkpoints after commit {seq}: {error}"),
        };
        let published = state.published();
        // Where another run is ahead they are its to write.
        for log in due.filter(|log| log.next.version == published.version + 1) {
            if let Err(error) = log.write_checkpoint(&self.lake, &self.lake_id, &state).await {
                tracing::warn!("no Delta checkpoint of {} at version {}: {error}", log.table.name, published.version);
                continue;
            }
            let table = &log.table;
            if let Err(error) = log.cleaning.go_on(&self.lake, &table.name, (published.version, state.time_ms)).await {
                tracing::warn!("old Delta versions of {} are not deleted: {error}", table.name);
            }
        }
    }
}

impl Log {
    async fn look(lake: &Lake, lake_id: &str, table: Table, head: u64) -> Result<Log, ReadError> {
        let first = Published { version: 0, seq: 0 };
        let mut log = Log { table, next: first, rows: None, checkpoint: None, cleaning: Cleaning::default() };
        if let Some(last) = last_version(lake, &log.table, head).await? {
            log.confirm(lake, lake_id, last).await?;
        }
        log.checkpoint = checkpoint::last(lake, &log.table.name).await?;
        Ok(log)
    }

    /// Goes on after a version, if that is what its commits say.
    async fn confirm(&mut self, lake: &Lake, lake_id: &str, number: u64) -> Result<(), ReadError> {
        let path = layout::delta_version(&self.table.name, number);
        let found = lake.get(&path).await?.unwrap_or_default();
        let seq = ended_by(&found).ok_or_else(|| foreign(lake, &path))?;
        let commits = versions::commits(lake, Published { version: number, seq }).await?;
        let written = match self.table.is_commits() {
            true => merging::written(lake, &commits, self.merge(lake, number, &commits).await?).await?,
            false => Written::default(),
        };
        if commits.is_empty() || found != version(lake_id, &self.table, &commits, &written) {
            return Err(foreign(lake, &path).into());
        }
        self.go_on(number, &commits, &written);
        Ok(())
    }

    /// What a version makes one, if it is one of the table of commits that does.
    async fn merge(&mut self, lake: &Lake, number: u64, commits: &[Commit]) -> Result<Option<Merge>, ReadError> {
        if !self.table.is_commits() || !merging::is_due(number) {
            return Ok(None);
        }
        let live = self.live(lake, number - 1).await?;
        Ok(Live::of(live.keys()).take(number, commits))
    }

    /// The live files of the table of commits at its last version, which is this one; from then on they are known.
    async fn live(&mut self, lake: &Lake, version: u64) -> Result<&Files, ReadError> {
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => log::live(lake, &self.table.name, version).await?,
        };
        Ok(self.rows.insert(rows))
    }

    /// A version is there.
    fn go_on(&mut self, number: u64, commits: &[Commit], written: &Written) {
        if let Some(rows) = &mut self.rows {
            merging::take(rows, changes(&self.table, commits, written));
        }
        self.next = Published { version: number + 1, seq: commits.last().map_or(0, |last| last.seq + 1) };
    }

    /// Writes the checkpoint of the last version, after which the lake stands so.
    async fn write_checkpoint(&mut self, lake: &Lake, lake_id: &str, state: &State) -> Result<(), ReadError> {
        let rows = match self.table.is_commits() {
            true => self.live(lake, state.published().version).await?.clone(),
            false => Files::new(),
        };
        self.checkpoint = Some(checkpoint::write(lake, lake_id, &self.table, state, &rows).await?);
        Ok(())
    }
}

/// Before the first try again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Writes one version of a table, of these commits, and what it refers to, with what it makes one in the table of commits. What
/// is there and is another's is a violation.
pub(in crate::lake) async fn write_version(
    lake: &Lake,
    lake_id: &str,
    table: &Table,
    number: u64,
    commits: &[Commit],
    merge: Option<Merge>,
) -> Result<Written, ReadError> {
    let written = match table.is_commits() {
        true => merging::write(lake, commits, merge).await?,
        false => Written::default(),
    };
    let path = layout::delta_version(&table.name, number);
    match lake.put_same(&path, version(lake_id, table, commits, &written)).await? {
        Stored::Same => Ok(written),
        Stored::Other(_) => Err(foreign(lake, &path).into()),
    }
}

/// The last version that a table has, after checking that none is missing before it or beyond the commits. Looks at the end of
/// a long log only.
async fn last_version(lake: &Lake, table: &Table, head: u64) -> Result<Option<u64>, ReadError> {
    let log = layout::delta_log(&table.name);
    let mut most = version_of(lake, head).await?;
    let mut begin = most.saturating_sub(200);
    let near = begin.checked_sub(1).map(|before| layout::delta_version(&table.name, before));
    let mut names = lake.names(&log, near.as_deref()).await?;
    if names.iter().all(|name| layout::numbered(name).is_none()) && near.is_some() {
        names = lake.names(&log, None).await?;
        // Old versions may have been deleted.
        begin = names.iter().find_map(|name| layout::numbered(name)).unwrap_or(0);
    }
    let found: Vec<u64> = names.iter().filter_map(|name| layout::numbered(name)).collect();
    if found.last().is_some_and(|last| *last > most) {
        // Another run may have claimed the lake meanwhile, and published: only what no commit made is foreign.
        most = version_of(lake, read::head(lake, Some(head)).await?.unwrap_or(head)).await?;
    }
    let checkpoint = names.iter().filter_map(|name| layout::checkpoint_version(name)).max();
    let mut next = begin;
    for found in found {
        // Where few versions are made, some of the last ones may be old enough to have been deleted: those before a checkpoint.
        let is_next = found == next || Some(found) <= checkpoint;
        if !is_next || found > most {
            return Err(foreign(lake, &layout::delta_version(&table.name, found)).into());
        }
        next = found + 1;
    }
    Ok(next.checked_sub(1).filter(|_| next > begin))
}

/// The last version of a history that ends with commit `head`, or a later number.
async fn version_of(lake: &Lake, head: u64) -> Result<u64, ReadError> {
    Ok(read::commit(lake, head).await?.1.version.unwrap_or(head))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

    use super::*;
    use crate::lake::delta::commits_table;
    use crate::lake::history::commit::{Expired, File};
    use crate::lake::history::{rebuilt, tidy};
    use crate::lake::inspect::verify;
    use crate::lake::testing::{Fault, Faulty, Random, claim, data, seed};
    use crate::lake::{Committer, StoreOptions, delta, digest, history};

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

    /// Whoever follows changes learns of rows that are gone, and of none where files were packed.
    #[tokio::test]
    async fn what_is_kept_no_longer_is_a_change_of_data() {
        let dir = tempfile::tempdir().unwrap();
        let (_, commits) = lake_with_commits(&dir, 2).await;
        let files: Vec<File> =
            commits.iter().flat_map(|commit| commit.added.get("raw_gps")).flatten().cloned().collect();
        let (mut dropping, mut packing) = (commits[0].clone(), commits[0].clone());
        let expired = Expired { before: "2026-11-24".into(), last: None };
        tidy::record_expired(&mut dropping, "raw_gps", files.clone(), expired, None);
        let packed = File { path: format!("{}-packed", files[0].path), ..files[0].clone() };
        tidy::record(&mut packing, "raw_gps", files.clone(), packed, None);
        let gps = tables().into_iter().find(|table| table.name == "raw_gps").unwrap();
        for (commit, expected) in [(dropping, true), (packing, false)] {
            let text = String::from_utf8(version("id", &gps, &[commit], &Written::default()).to_vec()).unwrap();
            let removes: Vec<&str> = text.lines().filter(|line| line.starts_with("{\"remove\"")).collect();
            assert_eq!(removes.len(), 2, "{text}");
            assert!(removes.iter().all(|line| line.contains(&format!("\"dataChange\":{expected}"))), "{text}");
        }
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

    #[tokio::test]
    async fn p2_a_version_is_all_commits_since_the_one_before_whenever_a_publisher_dies() {
        let mut random = Random(seed());
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let mut last = Published { version: 0, seq: 0 };
        for run in 0..12 {
            let (mut committer, state) = Committer::claim(&lake, &run.to_string()).await.unwrap();
            assert_eq!(state.published(), Published { version: last.version + u64::from(run > 0), seq: state.seq });
            let broken = random.below(40) as usize;
            let puts = AtomicUsize::new(0);
            // From some put on nothing comes through: as if it had been killed there.
            let failing = lake.wrap(Faulty::wrap(lake.store(), move |path| {
                let is_log = path.as_ref().starts_with("tables");
                (is_log && puts.fetch_add(1, Ordering::Relaxed) >= broken).then_some(Fault::Failed)
            }));
            let mut publisher = Publisher::look(&failing, "id", tables(), state.seq).await.unwrap();
            publisher.catch_up(state.seq).await.unwrap();
            for _ in 0..random.below(9) {
                let mut commit = data(committer.state().unwrap(), "a", 3, 1);
                commit.version = commit.version.filter(|_| random.below(3) == 0);
                let commit = committer.propose(commit).await.unwrap();
                publisher.publish(&commit).await.unwrap();
            }
            last = committer.state().unwrap().published();
        }
        let (committer, state) = Committer::claim(&lake, "last").await.unwrap();
        let publisher = Publisher::open(&lake, "id", tables(), state.seq).await.unwrap();
        assert_eq!((publisher.next(), state.published().version), (committer.next_seq(), last.version + 1));
        for table in tables() {
            assert_eq!(log(&dir, &table.name).len() as u64, last.version + 2, "{}", table.name);
        }
        let report = verify::quick(&lake, "id", &tables()).await.unwrap();
        assert!(report.sound() && report.behind.is_empty(), "{report:?}");
        assert_eq!(delta::published(&lake).await.unwrap(), Some(state.published()));
    }

    #[tokio::test]
    async fn a_lake_whose_commits_have_no_versions_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let mut state: Option<State> = None;
        for seq in 0..5 {
            let mut commit = state.as_ref().map_or_else(|| claim("a"), |state| data(state, "a", 3, 1));
            commit.version = None;
            let bytes = read::encode(&commit).unwrap();
            lake.put(&layout::commit(seq), bytes.clone()).await.unwrap();
            let known = (0..commits_table::first_schema().fields().len()).collect::<Vec<_>>();
            let rows = commits_table::rows(std::slice::from_ref(&commit)).unwrap().project(&known).unwrap();
            lake.put(&layout::commits_file(seq), rebuilt::encode(&rows).unwrap()).await.unwrap();
            // As they were written: version and commit have one number.
            for table in &tables() {
                let written = merging::written(&lake, std::slice::from_ref(&commit), None).await.unwrap();
                let bytes = version("id", table, std::slice::from_ref(&commit), &written);
                lake.put(&layout::delta_version(&table.name, seq), bytes).await.unwrap();
            }
            state = Some(history::apply(state, &commit, digest(&bytes)));
        }
        let made = lake.get(&layout::delta_version(layout::COMMITS_TABLE, 0)).await.unwrap().unwrap();
        assert!(!String::from_utf8(made.to_vec()).unwrap().contains("sealed_through"));
        assert_eq!(delta::published(&lake).await.unwrap(), Some(Published { version: 4, seq: 4 }));
        let (mut committer, state) = Committer::claim(&lake, "b").await.unwrap();
        let mut publisher = Publisher::open(&lake, "id", tables(), state.seq).await.unwrap();
        for ends in [false, true] {
            let commit = data(committer.state().unwrap(), "b", 3, 1);
            let commit = Commit { version: commit.version.filter(|_| ends), ..commit };
            publisher.publish(&committer.propose(commit).await.unwrap()).await.unwrap();
        }
        assert_eq!(delta::published(&lake).await.unwrap(), Some(Published { version: 6, seq: 7 }));
        let report = verify::quick(&lake, "id", &tables()).await.unwrap();
        assert!(report.sound() && report.behind.is_empty(), "{report:?}");
    }
}
