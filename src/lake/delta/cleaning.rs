//! Old versions of the Delta logs go, as readers begin with a checkpoint: those that are a week old, by the clock of commits, in
//! whole runs of [`EVERY`], up to the last checkpoint but one.

use crate::lake::delta::Table;
use crate::lake::delta::checkpoint::EVERY;
use crate::lake::history::commit::Commit;
use crate::lake::history::layout;
use crate::lake::history::read::{self, ReadError};
use crate::lake::store::Lake;

/// How old a version is before it goes, in milliseconds: so far back readers can travel.
const AGE_MS: i64 = 7 * 24 * 3_600_000;
/// How many runs go at a time: the next commit waits for it.
const MOST_RUNS: u64 = 4;

/// What is known of the beginning of the logs.
#[derive(Debug, Default)]
pub(super) struct Cleaning {
    /// The first version that any table may still have; `None`: nobody has looked yet.
    first: Option<u64>,
}

impl Cleaning {
    /// Deletes what is old, given the last commit that is published, where a checkpoint is due.
    pub(super) async fn go_on(&mut self, lake: &Lake, tables: &[&Table], commit: &Commit) -> Result<(), ReadError> {
        let kept = match commit.seq.checked_sub(EVERY) {
            Some(kept) if commit.seq.is_multiple_of(EVERY) && kept > 0 => kept,
            _ => return Ok(()),
        };
        for table in tables {
            for version in [kept, commit.seq] {
                if !lake.exists(&layout::delta_checkpoint(&table.name, version)).await? {
                    return Ok(());
                }
            }
        }
        let mut first = match self.first {
            Some(first) => first,
            None => first_of_all(lake, tables).await?,
        };
        for _ in 0..MOST_RUNS {
            let next = first + EVERY;
            if next > kept || commit.time_ms - read::commit(lake, next - 1).await?.1.time_ms < AGE_MS {
                break;
            }
            for table in tables {
                let versions = (first..next).map(|version| layout::delta_version(&table.name, version));
                let checkpoint = layout::delta_checkpoint(&table.name, first);
                lake.delete(versions.chain([checkpoint]).collect()).await?;
            }
            first = next;
        }
        self.first = Some(first);
        Ok(())
    }
}

/// The first version that a table has, down to where a run begins.
async fn first_of_all(lake: &Lake, tables: &[&Table]) -> Result<u64, ReadError> {
    let mut first = u64::MAX;
    for table in tables {
        let names = lake.names(&layout::delta_log(&table.name), None).await?;
        first = first.min(names.iter().find_map(|name| layout::numbered(name)).unwrap_or(0));
    }
    Ok(first - first % EVERY)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

    use super::*;
    use crate::lake::delta::publish::Publisher;
    use crate::lake::history::State;
    use crate::lake::inspect::verify::verify;
    use crate::lake::testing::{claim, data};
    use crate::lake::{StoreOptions, digest, history};

    const HOUR_MS: i64 = 3_600_000;

    fn tables() -> Vec<Table> {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, false)]));
        Table::all(["raw_gps", "dead_letters"].map(|name| (name, schema.clone()))).unwrap()
    }

    /// The next commit, an hour after the one before.
    async fn next(lake: &Lake, state: Option<State>) -> (State, Commit) {
        let mut commit = state.as_ref().map_or_else(|| claim("a"), |state| data(state, "a", 1, 0));
        commit.previous = state.as_ref().map_or_else(String::new, |state| state.digest.clone());
        commit.time_ms = commit.seq as i64 * HOUR_MS;
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
        let (mut state, _) = next(&lake, None).await;
        let mut publisher = Publisher::open(&lake, "id", tables(), 0).await.unwrap();
        for seq in 1..=520 {
            let (after, commit) = next(&lake, Some(state)).await;
            state = after;
            assert!(publisher.publish(&commit).await.unwrap());
            if seq == 310 {
                // Another run looks for the beginning itself.
                publisher = Publisher::open(&lake, "id", tables(), 310).await.unwrap();
            }
        }
        // A week is 168 commits: at 500 those before 300 are older; 400 is the last checkpoint but one.
        for table in tables() {
            let (versions, checkpoints) = versions(&lake, &table.name).await;
            assert_eq!(versions, (300..=520).collect::<Vec<_>>(), "{}", table.name);
            assert_eq!(checkpoints, [300, 400, 500], "{}", table.name);
        }
        let violations = verify(&lake, "id", &tables()).await.unwrap().violations;
        assert!(violations.iter().all(|v| !v.contains("Delta")), "{violations:?}");
        // Published far behind, by a run that finds a log without a beginning.
        for _ in 0..350 {
            state = next(&lake, Some(state)).await.0;
        }
        assert_eq!(Publisher::open(&lake, "id", tables(), 870).await.unwrap().next(), 871);
        let lost = layout::delta_version("raw_gps", 850);
        lake.delete(vec![lost]).await.unwrap();
        let violations = verify(&lake, "id", &tables()).await.unwrap().violations;
        assert!(violations.iter().any(|v| v.contains("version 850 is missing")), "{violations:?}");
    }
}
