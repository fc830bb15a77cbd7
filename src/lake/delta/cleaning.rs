//! Old versions of a Delta log go, as readers begin with a checkpoint: those that are a week old, by the clock of commits, up to
//! a checkpoint that is. The last two checkpoints stay.

use std::collections::VecDeque;
use std::ops::Range;

use serde_json::Value;

use super::{log, merging};
use crate::lake::history::layout;
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// How old a version is before it goes, in milliseconds: so far back readers can travel.
const AGE_MS: i64 = 7 * 24 * 3_600_000;
/// So many checkpoints, and the versions before each, go at a time: the next commit waits for it.
const MOST_RUNS: usize = 4;

/// What is known of a log.
#[derive(Debug, Default)]
pub(super) struct Cleaning {
    /// The first version that it may still have, then its checkpoints behind that; `None`: nobody has looked yet.
    ends: Option<VecDeque<u64>>,
}

impl Cleaning {
    /// Deletes what is old in a table's log, once a checkpoint has been written at a version, which is of that time.
    pub(super) async fn go_on(
        &mut self,
        lake: &Lake,
        table: &str,
        (version, now): (u64, i64),
    ) -> Result<(), StoreError> {
        let mut ends = match self.ends.take() {
            Some(ends) => ends.into_iter().chain([version]).collect(),
            None => look(lake, table).await?,
        };
        for _ in 0..MOST_RUNS {
            let (Some(&first), Some(&next), Some(_)) = (ends.front(), ends.get(1), ends.get(2)) else { break };
            if time_of(lake, table, next).await?.is_none_or(|time| now - time < AGE_MS) {
                break;
            }
            let versions = (first..next).map(|version| layout::delta_version(table, version));
            lake.delete(merged(lake, table, first..next).await?).await?;
            lake.delete(versions.chain([layout::delta_checkpoint(table, first)]).collect()).await?;
            ends.pop_front();
        }
        self.ends = Some(ends);
        Ok(())
    }
}

/// The files of the table of commits that these versions made one: who reads a later version wants the whole.
async fn merged(lake: &Lake, table: &str, versions: Range<u64>) -> Result<Vec<String>, StoreError> {
    let mut gone = Vec::new();
    for version in versions.filter(|version| table == layout::COMMITS_TABLE && merging::is_due(*version)) {
        let removed = log::changes(lake, table, version).await?.map_or(Vec::new(), |(removed, _)| removed);
        gone.extend(removed.iter().filter_map(|file| Some(layout::table(table) + "/" + file["path"].as_str()?)));
    }
    Ok(gone)
}

async fn look(lake: &Lake, table: &str) -> Result<VecDeque<u64>, StoreError> {
    let names = lake.names(&layout::delta_log(table), None).await?;
    let checkpoints: Vec<u64> = names.iter().filter_map(|name| layout::checkpoint_version(name)).collect();
    let versions = names.iter().find_map(|name| layout::numbered(name)).into_iter();
    let first = versions.chain(checkpoints.first().copied()).min().unwrap_or(0);
    Ok([first].into_iter().chain(checkpoints.into_iter().filter(|version| *version > first)).collect())
}

/// When the last commit of a version was proposed, in milliseconds.
async fn time_of(lake: &Lake, table: &str, version: u64) -> Result<Option<i64>, StoreError> {
    let bytes = lake.get(&layout::delta_version(table, version)).await?.unwrap_or_default();
    let info = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let info: Option<Value> = serde_json::from_slice(info).ok();
    Ok(info.and_then(|info| info["commitInfo"]["timestamp"].as_i64()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

    use super::*;
    use crate::lake::delta::Table;
    use crate::lake::delta::publish::Publisher;
    use crate::lake::history::commit::Commit;
    use crate::lake::history::{State, read};
    use crate::lake::inspect::verify::verify;
    use crate::lake::repair::repair;
    use crate::lake::testing::{claim, data};
    use crate::lake::{StoreOptions, digest, history};

    const HOUR_MS: i64 = 3_600_000;

    fn tables() -> Vec<Table> {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, false)]));
        Table::all(["raw_gps", "dead_letters"].map(|name| (name, schema.clone()))).unwrap()
    }

    /// The next commit, so many hours after the one before.
    async fn next(lake: &Lake, state: Option<State>, hours: i64) -> (State, Commit) {
        let mut commit = state.as_ref().map_or_else(|| claim("a"), |state| data(state, "a", 1, 0));
        commit.previous = state.as_ref().map_or_else(String::new, |state| state.digest.clone());
        commit.time_ms = commit.seq as i64 * hours * HOUR_MS;
        let bytes = read::encode(&commit).unwrap();
        lake.put(&layout::commit(commit.seq), bytes.clone()).await.unwrap();
        (history::apply(state, &commit, digest(&bytes)), commit)
    }

    async fn versions(lake: &Lake, table: &str) -> (Vec<u64>, Vec<u64>) {
        let listed = lake.list(&layout::delta_log(table), None).await.unwrap();
        let of = |number: fn(&str) -> Option<u64>| listed.iter().filter_map(|o| number(&o.path)).collect();
        (of(layout::numbered), of(layout::checkpoint_version))
    }

    #[tokio::test]
    async fn versions_of_a_week_ago_go_and_two_checkpoints_stay() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let (mut state, _) = next(&lake, None, 1).await;
        let mut publisher = Publisher::open(&lake, "id", tables(), 0).await.unwrap();
        for seq in 1..=520 {
            let (after, commit) = next(&lake, Some(state), 1).await;
            state = after;
            assert!(publisher.publish(&commit).await.unwrap());
            if seq == 310 {
                // Another run looks for the beginning itself.
                publisher = Publisher::open(&lake, "id", tables(), 310).await.unwrap();
            }
        }
        // A week is 168 commits: at 500 those up to 332 are older, and 300 is the last checkpoint among them.
        for table in tables() {
            let (versions, checkpoints) = versions(&lake, &table.name).await;
            assert_eq!(versions, (300..=520).collect::<Vec<_>>(), "{}", table.name);
            assert_eq!(checkpoints, [300, 400, 500], "{}", table.name);
        }
        let is_of_logs = |violation: &String| violation.contains("Delta") || violation.contains("rows of commits");
        let violations = verify(&lake, "id", &tables()).await.unwrap().violations;
        assert!(!violations.iter().any(is_of_logs), "{violations:?}");
        // Version 256 is the last that went and made files one.
        let rows = lake.list(&layout::table(layout::COMMITS_TABLE), None).await.unwrap();
        let rows: Vec<_> = rows.iter().filter_map(|object| layout::commits_file_of(&object.path)).collect();
        let merged = (1..=8).map(|n| (64 * n - 1, 64));
        let mut expected: Vec<_> = (256..=520).map(|seq| (seq, 1)).chain(merged).collect();
        expected.sort_unstable();
        assert_eq!(
            rows.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>(),
            expected
        );
        // A kill between: the rows are gone, their versions are not. The last ones are needed.
        let own = |seqs: Range<u64>| seqs.map(layout::commits_file).collect::<Vec<_>>();
        lake.delete(own(300..319)).await.unwrap();
        let violations = verify(&lake, "id", &tables()).await.unwrap().violations;
        assert!(!violations.iter().any(is_of_logs), "{violations:?}");
        let whole = layout::merged_commits_file(63, 64);
        lake.delete(vec![whole.clone()]).await.unwrap();
        let found = verify(&lake, "id", &tables()).await.unwrap();
        assert!(found.derived.contains(&whole), "{found:?}");
        repair(&lake, "id", &tables()).await.unwrap();
        let violations = verify(&lake, "id", &tables()).await.unwrap().violations;
        assert!(!violations.iter().any(is_of_logs), "{violations:?}");
        assert_eq!(versions(&lake, layout::COMMITS_TABLE).await.0.first(), Some(&300), "no version comes back");
        // Published far behind, by a run that finds a log without a beginning.
        for _ in 0..350 {
            state = next(&lake, Some(state), 1).await.0;
        }
        assert_eq!(Publisher::open(&lake, "id", tables(), 870).await.unwrap().next(), 871);
        let lost = layout::delta_version("raw_gps", 850);
        lake.delete(vec![lost]).await.unwrap();
        let violations = verify(&lake, "id", &tables()).await.unwrap().violations;
        assert!(violations.iter().any(|v| v.contains("version 850 is missing")), "{violations:?}");
    }

    /// Runs that are started some times a day make so few versions that old ones are among the last two hundred.
    #[tokio::test]
    async fn a_run_starts_where_old_versions_have_just_been_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let (mut state, _) = next(&lake, None, 8).await;
        for seq in 1..=320 {
            (state, _) = next(&lake, Some(state), 8).await;
            if seq % 10 == 0 {
                let publisher = Publisher::open(&lake, "id", tables(), seq).await.unwrap();
                assert_eq!(publisher.next(), seq + 1);
            }
        }
        let (found, checkpoints) = versions(&lake, "raw_gps").await;
        assert_eq!((found.first(), checkpoints), (Some(&200), vec![200, 300]));
        // Half deleted: whoever was at it was killed.
        lake.delete([201, 207].map(|version| layout::delta_version("raw_gps", version)).into()).await.unwrap();
        assert_eq!(Publisher::open(&lake, "id", tables(), 320).await.unwrap().next(), 321);
        // What comes after the last checkpoint is needed.
        lake.delete(vec![layout::delta_version("raw_gps", 310)]).await.unwrap();
        let refused = Publisher::open(&lake, "id", tables(), 320).await.unwrap_err().to_string();
        assert!(refused.contains("00311.json was not written by citystream"), "{refused}");
    }
}
