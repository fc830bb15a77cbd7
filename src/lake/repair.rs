//! Writes anew what follows from the commits where it is wrong or missing: roots and parts, Delta versions and checkpoints,
//! rows of the table of commits. Each is a function of the commits, so a run that goes on is not disturbed.

use std::collections::BTreeSet;

use crate::lake::Lake;
use crate::lake::delta::{Table, checkpoint, publish};
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{Violation, layout, roots};
use crate::lake::inspect::verify;

/// Mends a lake; the paths that were wrong or missing. `tables` are those with Delta logs.
///
/// # Errors
/// The store's; commits that are not sound.
pub async fn repair(lake: &Lake, lake_id: &str, tables: &[Table]) -> Result<BTreeSet<String>, ReadError> {
    let head = read::head(lake, None).await?;
    let report = verify::quick(lake, lake_id, tables).await?;
    if head.is_some_and(|head| report.commits <= head) {
        return Err(Violation(report.violations.first().cloned().unwrap_or_default()).into());
    }
    let wrong: BTreeSet<String> = report.derived.into_iter().collect();
    lake.delete(wrong.iter().cloned().collect()).await?;
    if wrong.iter().any(|path| path.starts_with(layout::SNAPSHOTS))
        && let Some(state) = roots::state(lake).await?
    {
        roots::write(lake, &state).await?;
    }
    // Versions before checkpoints, and those in their order: each is folded from the one before.
    for path in wrong.iter().filter(|path| layout::checkpoint_version(path).is_none()) {
        mend_version(lake, lake_id, tables, path).await?;
    }
    for path in &wrong {
        let table = table_of(tables, path);
        if let Some((table, seq)) = table.zip(layout::checkpoint_version(path)) {
            checkpoint::write(lake, lake_id, &[table], seq).await?;
        }
    }
    Ok(wrong)
}

/// Writes a Delta version, or the row of a commit and the version that says how long it is.
async fn mend_version(lake: &Lake, lake_id: &str, tables: &[Table], path: &str) -> Result<(), ReadError> {
    let row = path.strip_suffix(".parquet").and_then(|stem| layout::numbered(&format!("{stem}.json")));
    let Some((table, seq)) = table_of(tables, path).zip(row.or(layout::numbered(path))) else { return Ok(()) };
    let (_, commit) = read::commit(lake, seq).await?;
    if row.is_some() {
        lake.delete(vec![layout::delta_version(&table.name, seq)]).await?;
    }
    publish::write_version(lake, lake_id, table, &commit).await
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
