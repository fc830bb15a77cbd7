//! Checkpoints of each kind of table: right, wrong as earlier releases wrote them, and repaired.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::*;
use crate::lake::delta::publish::Publisher;
use crate::lake::history::commit::File;
use crate::lake::inspect::verify::verify;
use crate::lake::testing::data;
use crate::lake::{Committer, StoreOptions};

const CHANGES: &str = "traffic_5m_changes";
const LAST: u64 = 2 * EVERY;

/// One of each kind: records by log date, dead letters without a time column, changes by event date, commits.
fn tables() -> Vec<Table> {
    let schema: SchemaRef = Schema::new(vec![Field::new("id", DataType::Utf8, false)]).into();
    Table::all(["raw_gps", layout::DEAD_LETTERS, CHANGES].map(|name| (name, schema.clone()))).unwrap()
}

/// A file of changes of one of three days.
fn changes(seq: u64) -> File {
    let date = format!("2026-11-2{}", seq % 3);
    let path = layout::data_file(CHANGES, &date, "a", seq, 0, 0);
    File { path, date, rows: seq, bytes: 10 + seq, ..File::default() }
}

/// A lake with two checkpoints a table, where commit 150 takes a file of each of two tables back.
async fn published(dir: &tempfile::TempDir) -> Lake {
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    for seq in 1..=LAST {
        let state = committer.state().unwrap();
        let mut commit = data(state, "a", 3, 1);
        commit.added.insert(CHANGES.into(), vec![changes(seq)]);
        if seq == 150 {
            let taken = |table: &str| (table.to_owned(), vec![state.files.added(table)[9].clone()]);
            commit.removed = ["raw_gps", CHANGES].map(taken).into();
        }
        committer.propose(commit).await.unwrap();
    }
    start(&lake).await;
    lake
}

async fn start(lake: &Lake) {
    Publisher::open(lake, "id", tables(), LAST).await.unwrap();
}

/// All checkpoints, by path.
async fn checkpoints(lake: &Lake) -> BTreeMap<String, Bytes> {
    let mut found = BTreeMap::new();
    for table in tables() {
        for seq in [EVERY, LAST] {
            let path = layout::delta_checkpoint(&table.name, seq);
            found.insert(path.clone(), lake.get(&path).await.unwrap().unwrap());
        }
    }
    found
}

/// A checkpoint as it was, with its files changed.
async fn spoil(lake: &Lake, table: &Table, seq: u64, change: impl Fn(&mut Value)) {
    spoil_as(lake, table, table, seq, change).await;
}

/// The same, with the partition columns of another table.
async fn spoil_as(lake: &Lake, other: &Table, table: &Table, seq: u64, change: impl Fn(&mut Value)) {
    let path = layout::delta_checkpoint(&table.name, seq);
    let was = lake.get(&path).await.unwrap().unwrap();
    let mut live = file::live(&file::decode(was).unwrap()).unwrap();
    live.iter_mut().for_each(change);
    let (_, made) = read::commit(lake, 0).await.unwrap();
    let batch = file::batch(other, &delta::metadata("id", table, &made), &live).unwrap();
    lake.put(&path, file::encode(&batch).unwrap()).await.unwrap();
}

/// What the JSON versions of a log add up to: each live file's action, as a reader sees it.
async fn added_up(lake: &Lake, table: &Table, last: u64) -> BTreeMap<String, Value> {
    let mut live = BTreeMap::new();
    for seq in 0..=last {
        let version = lake.get(&layout::delta_version(&table.name, seq)).await.unwrap().unwrap();
        for line in version.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let action: Value = serde_json::from_slice(line).unwrap();
            if let Some(path) = action["remove"]["path"].as_str() {
                live.remove(path);
            }
            if let Some(path) = action["add"]["path"].as_str() {
                let mut add = action["add"].clone();
                add.as_object_mut().unwrap().remove("dataChange");
                live.insert(path.to_owned(), add);
            }
        }
    }
    live
}

#[tokio::test]
async fn a_checkpoint_is_what_the_versions_before_it_add_up_to() {
    let dir = tempfile::tempdir().unwrap();
    let lake = published(&dir).await;
    for (table, files) in tables().iter().zip([199, 200, 199, 201]) {
        for seq in [EVERY, LAST] {
            let found = lake.get(&layout::delta_checkpoint(&table.name, seq)).await.unwrap().unwrap();
            let live = file::live(&file::decode(found).unwrap()).unwrap();
            let live: BTreeMap<_, _> =
                live.into_iter().map(|add| (add["path"].as_str().unwrap().into(), add)).collect();
            assert_eq!(live, added_up(&lake, table, seq).await, "{} {seq}", table.name);
        }
        let last = lake.get(&layout::delta_last_checkpoint(&table.name)).await.unwrap().unwrap();
        let expected = json!({"version": LAST, "size": files + 2});
        assert_eq!(serde_json::from_slice::<Value>(&last).unwrap(), expected, "{}", table.name);
    }
}

#[tokio::test]
async fn a_checkpoint_is_the_same_from_the_one_before_and_from_all_commits() {
    let dir = tempfile::tempdir().unwrap();
    let lake = published(&dir).await;
    for table in &tables() {
        let path = layout::delta_checkpoint(&table.name, LAST);
        let folded = lake.get(&path).await.unwrap().unwrap();
        let before = layout::delta_checkpoint(&table.name, EVERY);
        lake.delete(vec![before, path.clone()]).await.unwrap();
        write(&lake, "id", &[table], LAST).await.unwrap();
        assert_eq!(lake.get(&path).await.unwrap().unwrap(), folded, "{}", table.name);
    }
}

#[tokio::test]
async fn a_lost_checkpoint_costs_the_commits_since_the_one_before_and_is_there_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let lake = published(&dir).await;
    let (mut committer, _) = Committer::claim(&lake, "b").await.unwrap();
    while committer.next_seq() <= LAST + EVERY {
        let commit = data(committer.state().unwrap(), "b", 3, 1);
        committer.propose(commit).await.unwrap();
    }
    let open = || Publisher::open(&lake, "id", tables(), LAST + EVERY);
    open().await.unwrap();
    let right = lake.get(&layout::delta_checkpoint(CHANGES, LAST + EVERY)).await.unwrap();
    let lost = [LAST, LAST + EVERY].map(|version| layout::delta_checkpoint(CHANGES, version));
    lake.delete(Vec::from(lost)).await.unwrap();
    lake.delete(vec![layout::commit(7)]).await.unwrap();
    open().await.unwrap();
    assert_eq!(lake.get(&layout::delta_checkpoint(CHANGES, LAST + EVERY)).await.unwrap(), right);
}

/// As releases before this one left out the values of change logs, and in other ways.
type Spoil = fn(&mut Value);
const WRONG: [(&str, Spoil); 3] = [
    ("no value", |add| add["partitionValues"] = json!({})),
    ("another date", |add| add["partitionValues"] = json!({"event_date": "2026-01-01", "log_date": "2026-01-01"})),
    ("one file without", |add| {
        if add["path"].as_str().unwrap().contains("090-") {
            add["partitionValues"] = json!({});
        }
    }),
];

#[tokio::test]
async fn wrong_checkpoints_are_written_anew_at_the_next_start_and_no_fold_begins_with_one() {
    let dir = tempfile::tempdir().unwrap();
    let lake = published(&dir).await;
    let right = checkpoints(&lake).await;
    let named = layout::delta_last_checkpoint(CHANGES);
    let last = lake.get(&named).await.unwrap();
    for (what, wrong) in WRONG {
        for table in tables().iter().filter(|table| !table.is_commits()) {
            spoil(&lake, table, EVERY, wrong).await;
            spoil(&lake, table, LAST, wrong).await;
        }
        assert_ne!(checkpoints(&lake).await, right, "{what}");
        start(&lake).await;
        assert_eq!(checkpoints(&lake).await, right, "{what}");

        // The next fold, should no start have come between.
        let table = &tables()[2];
        spoil(&lake, table, EVERY, wrong).await;
        let path = layout::delta_checkpoint(CHANGES, LAST);
        lake.delete(vec![path.clone()]).await.unwrap();
        write(&lake, "id", &[table], LAST).await.unwrap();
        assert_eq!(lake.get(&path).await.unwrap().as_ref(), Some(&right[&path]), "{what}");

        // The one that readers are told of is not the latest there could be.
        lake.delete(vec![path]).await.unwrap();
        lake.put(&named, json!({"version": EVERY}).to_string().into()).await.unwrap();
        repair(&lake, "id", &tables(), LAST).await.unwrap();
        let path = layout::delta_checkpoint(CHANGES, EVERY);
        assert_eq!(lake.get(&path).await.unwrap().as_ref(), Some(&right[&path]), "{what}");
        write(&lake, "id", &[table], LAST).await.unwrap();
    }
    let dated = |add: &mut Value| add["partitionValues"]["log_date"] = add["partitionValues"]["event_date"].take();
    spoil_as(&lake, &tables()[0], &tables()[2], LAST, dated).await;
    lake.put(&layout::delta_checkpoint(layout::COMMITS_TABLE, LAST), "no Parquet".into()).await.unwrap();
    start(&lake).await;
    assert_eq!(checkpoints(&lake).await, right);
    assert_eq!(lake.get(&named).await.unwrap(), last);
}

#[tokio::test]
async fn a_start_folds_only_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let lake = published(&dir).await;
    lake.delete(vec![layout::commit(7)]).await.unwrap();
    // Nothing is wrong: commit 7 is not missed.
    start(&lake).await;
    spoil(&lake, &tables()[2], LAST, WRONG[0].1).await;
    let missed = repair(&lake, "id", &tables(), LAST).await;
    assert!(matches!(missed, Err(ReadError::Integrity(_))), "{missed:?}");
}

#[tokio::test]
async fn verify_names_the_table_and_version_of_a_wrong_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let lake = published(&dir).await;
    let found = async || {
        let report = verify(&lake, "id", &tables()).await.unwrap();
        let violations = report.violations.into_iter().filter(|violation| violation.contains("checkpoint"));
        (report.checkpoints, violations.collect::<Vec<_>>())
    };
    assert_eq!(found().await, (8, Vec::new()));
    let last = layout::delta_checkpoint("raw_gps", LAST);
    lake.delete(vec![last]).await.unwrap();
    assert_eq!(found().await, (7, Vec::new()), "one that is missing is not wrong");
    for (table, seq, wrong) in [
        (&tables()[2], EVERY, WRONG[0].1),
        (&tables()[0], EVERY, |add: &mut Value| add["size"] = 1.into()),
        (&tables()[3], LAST, |add: &mut Value| add["stats"] = "{}".into()),
    ] {
        spoil(&lake, table, seq, wrong).await;
        let (_, violations) = found().await;
        let expected = format!("Delta table {}: checkpoint {seq} is not", table.name);
        assert!(violations.len() == 1 && violations[0].contains(&expected), "{expected}: {violations:?}");
        repair_by_hand(&lake, table, seq).await;
    }
    lake.put(&layout::delta_checkpoint("raw_gps", 900), "no commit's".into()).await.unwrap();
    let report = verify(&lake, "id", &tables()).await.unwrap();
    assert!(report.violations.iter().any(|v| v.contains("raw_gps: version 900 is no commit's")), "{report:?}");
}

/// What the message of `lake verify` says, then a fold.
async fn repair_by_hand(lake: &Lake, table: &Table, seq: u64) {
    lake.delete(vec![layout::delta_checkpoint(&table.name, seq), layout::delta_last_checkpoint(&table.name)])
        .await
        .unwrap();
    write(lake, "id", &[table], seq).await.unwrap();
}
