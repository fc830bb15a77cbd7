//! Checkpoints of each kind of table: right whatever commits did, lost, damaged, and named by `lake verify` where they are wrong.

#![allow(clippy::unwrap_used)]

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::json;

use super::*;
use crate::lake::delta::log;
use crate::lake::delta::publish::Publisher;
use crate::lake::history::commit::{File, Made};
use crate::lake::history::versions::Published;
use crate::lake::history::{read, tidy};
use crate::lake::inspect::verify::{Report, verify};
use crate::lake::testing::{Random, data, seed};
use crate::lake::{Committer, StoreOptions};

const CHANGES: &str = "traffic_5m_changes";

/// One of each kind: records by log date, dead letters without a time column, changes by event date, commits.
fn tables() -> Vec<Table> {
    let schema: SchemaRef = Schema::new(vec![Field::new("id", DataType::Utf8, false)]).into();
    Table::all(["raw_gps", layout::DEAD_LETTERS, CHANGES].map(|name| (name, schema.clone()))).unwrap()
}

/// A file of changes of one of three days.
fn changes(seq: u64) -> File {
    let date = format!("2026-11-2{}", seq % 3);
    let path = layout::data_file(CHANGES, &date, "a", seq, 0, 0);
    File { path, date, rows: seq, bytes: 10 + seq, seqs: (seq, seq), ..File::default() }
}

/// The file that others have become.
fn packed(files: &[File]) -> File {
    File { path: format!("{}-packed", files[0].path), date: files[0].date.clone(), level: 1, ..File::sum(files) }
}

/// Files of one day, of which each is packed for the first time; the last may be of the commit before.
fn to_pack(state: &State, random: &mut Random) -> Option<Vec<File>> {
    let date = format!("2026-11-2{}", random.below(3));
    let mut small: Vec<File> = state.files.added(CHANGES).iter().filter(|file| file.level == 0).cloned().collect();
    small.retain(|file| file.date == date);
    let taken = small.split_off(small.len().saturating_sub(3));
    (taken.len() > 1).then_some(taken)
}

/// A lake of so many versions, each of some commits of which some pack; publication has kept up with it.
async fn published(dir: &tempfile::TempDir, versions: u64) -> Lake {
    let mut random = Random(seed());
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    let mut publisher = start(&lake).await;
    while committer.state().unwrap().published().version < versions {
        let state = committer.state().unwrap();
        let mut commit = data(state, "a", 3, 1);
        commit.added.insert(CHANGES.into(), vec![changes(commit.seq)]);
        if let Some(taken) = to_pack(state, &mut random).filter(|_| random.below(4) == 0) {
            let made = packed(&taken);
            tidy::record(&mut commit, CHANGES, taken, made, None);
        }
        commit.version = commit.version.filter(|_| random.below(3) > 0);
        let commit = committer.propose(commit).await.unwrap();
        assert!(publisher.publish(&commit).await.unwrap());
        committer.tend().await;
    }
    lake
}

async fn head(lake: &Lake) -> u64 {
    read::head(lake, None).await.unwrap().unwrap()
}

async fn start(lake: &Lake) -> Publisher {
    Publisher::open(lake, "id", tables(), head(lake).await).await.unwrap()
}

/// The live files that the JSON versions of a log add up to, up to one of them, as a reader sees them.
async fn added_up(lake: &Lake, table: &Table, last: u64) -> BTreeMap<String, Value> {
    let mut live = BTreeMap::new();
    for version in 0..=last {
        let version = lake.get(&layout::delta_version(&table.name, version)).await.unwrap().unwrap();
        for line in version.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let action: Value = serde_json::from_slice(line).unwrap();
            if let Some(path) = action["remove"]["path"].as_str() {
                assert!(live.remove(path).is_some(), "{path} is removed, and was not there");
            }
            if let Some(path) = action["add"]["path"].as_str() {
                let mut add = action["add"].clone();
                add.as_object_mut().unwrap().remove("dataChange");
                assert!(live.insert(path.to_owned(), add).is_none(), "{path} is added twice");
            }
        }
    }
    live
}

/// What a checkpoint says.
async fn said(lake: &Lake, table: &Table, version: u64) -> BTreeMap<String, Value> {
    let found = lake.get(&layout::delta_checkpoint(&table.name, version)).await.unwrap().unwrap();
    let live = file::live(&rebuilt::decode(found).unwrap()).unwrap();
    live.into_iter().map(|add| (add["path"].as_str().unwrap().into(), add)).collect()
}

#[tokio::test]
async fn a_checkpoint_is_what_the_versions_before_it_add_up_to() {
    let dir = tempfile::tempdir().unwrap();
    let lake = published(&dir, 230).await;
    for table in &tables() {
        let found = versions(&lake, &table.name, None).await.unwrap();
        assert_eq!(found, [EVERY, 2 * EVERY], "{}", table.name);
        for version in found {
            assert_eq!(said(&lake, table, version).await, added_up(&lake, table, version).await, "{}", table.name);
        }
        let last = lake.get(&layout::delta_last_checkpoint(&table.name)).await.unwrap().unwrap();
        let size = said(&lake, table, 2 * EVERY).await.len() + 2;
        let expected = json!({"version": 2 * EVERY, "size": size});
        assert_eq!(serde_json::from_slice::<Value>(&last).unwrap(), expected, "{}", table.name);
    }
    let report = verified(&lake).await;
    assert_eq!((report.checkpoints, report.violations), (8, Vec::new()));
}

#[tokio::test]
async fn a_version_without_new_rows_says_so_and_one_that_packs_what_nobody_has_seen_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    let mut publisher = start(&lake).await;
    // Commits 1 to 6: of one day in three. 7 packs what versions have, 8 what only commit 6 has, too.
    let mut all = Vec::new();
    for (seq, ends) in (1..=8).zip([true, true, true, true, true, false, false, true]) {
        let mut commit = data(committer.state().unwrap(), "a", 3, 1);
        match seq {
            7 => all = vec![changes(1), changes(4)],
            8 => all = vec![changes(3), changes(6)],
            _ => drop(commit.added.insert(CHANGES.into(), vec![changes(seq)])),
        }
        if seq > 6 {
            let live = committer.state().unwrap().files.added(CHANGES).to_vec();
            let taken = live.into_iter().filter(|file| all.iter().any(|one| one.path == file.path)).collect::<Vec<_>>();
            let made = packed(&taken);
            tidy::record(&mut commit, CHANGES, taken, made, None);
        }
        commit.version = commit.version.filter(|_| ends);
        let commit = committer.propose(commit).await.unwrap();
        assert!(publisher.publish(&commit).await.unwrap());
    }
    let version = lake.get(&layout::delta_version(CHANGES, 6)).await.unwrap().unwrap();
    let actions: Vec<Value> = version
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let of = |kind: &str| actions.iter().filter_map(|action| action.get(kind)).cloned().collect::<Vec<Value>>();
    let removed: Vec<String> = of("remove").iter().map(|remove| remove["path"].as_str().unwrap().to_owned()).collect();
    let relative = |seq| changes(seq).path.strip_prefix(&format!("tables/{CHANGES}/")).unwrap().to_owned();
    assert_eq!(removed, [1, 4, 3].map(relative), "6 came and went");
    let added: Vec<_> = of("add").iter().map(|add| (add["path"].clone(), add["dataChange"].clone())).collect();
    let made = |seq| json!(format!("{}-packed", relative(seq)));
    assert_eq!(added, [(made(1), json!(false)), (made(3), json!(true))]);
    assert_eq!(committer.state().unwrap().published(), Published { version: 6, seq: 8 });
    assert_eq!(verified(&lake).await.violations, Vec::<String>::new());
}

#[tokio::test]
async fn a_checkpoint_is_the_same_whatever_it_is_written_from() {
    let dir = tempfile::tempdir().unwrap();
    let lake = published(&dir, 210).await;
    let state = roots::after(&lake, head(&lake).await).await.unwrap().unwrap();
    let published = state.published();
    let rows = log::live(&lake, layout::COMMITS_TABLE, published.version).await.unwrap();
    for table in &tables() {
        write(&lake, "id", table, &state, &rows).await.unwrap();
    }
    let roots = lake.list(layout::SNAPSHOTS, None).await.unwrap();
    assert!(roots.len() > 3, "{roots:?}");
    lake.delete(roots.into_iter().map(|object| object.path).collect()).await.unwrap();
    let state = roots::after(&lake, published.seq).await.unwrap().unwrap();
    for table in &tables() {
        let before = said(&lake, table, published.version).await;
        let earlier = [EVERY, 2 * EVERY, published.version].map(|v| layout::delta_checkpoint(&table.name, v));
        lake.delete(earlier.to_vec()).await.unwrap();
        let rows = log::live(&lake, &table.name, published.version).await.unwrap();
        write(&lake, "id", table, &state, &rows).await.unwrap();
        assert_eq!(said(&lake, table, published.version).await, before, "{}", table.name);
    }
}

#[tokio::test]
async fn one_that_is_lost_or_damaged_is_there_again_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let lake = published(&dir, 2 * EVERY).await;
    for table in &tables() {
        let path = |version| layout::delta_checkpoint(&table.name, version);
        let named = layout::delta_last_checkpoint(&table.name);
        lake.delete(vec![path(EVERY), path(2 * EVERY)]).await.unwrap();
        start(&lake).await;
        let right = added_up(&lake, table, 2 * EVERY).await;
        assert_eq!(said(&lake, table, 2 * EVERY).await, right, "lost: {}", table.name);
        lake.put(&path(2 * EVERY), "no Parquet".into()).await.unwrap();
        start(&lake).await;
        assert_eq!(said(&lake, table, 2 * EVERY).await, right, "damaged: {}", table.name);
        // What is named is not there, or is not the last one.
        for name in ["{\"version\":100}", "{\"version\":150,\"size\":3}", "else", ""] {
            lake.put(&named, name.into()).await.unwrap();
            assert_eq!(last(&lake, &table.name).await.unwrap().unwrap().version, 2 * EVERY, "{name}");
        }
    }
    assert!(verified(&lake).await.sound());
}

#[test]
fn one_is_due_after_a_hundred_versions_or_a_tenth_of_its_files() {
    let last = |version, size| Some(Checkpoint { version, size });
    for (last, version, due) in [
        (None, 99, false),
        (None, 100, true),
        (last(100, 900), 199, false),
        (last(100, 900), 200, true),
        (last(100, 5_000), 599, false),
        (last(100, 5_000), 600, true),
    ] {
        assert_eq!(is_due(last, version), due, "{last:?} {version}");
    }
}

/// What is wrong with checkpoints and versions, by `lake verify`.
async fn verified(lake: &Lake) -> Report {
    let mut report = verify(lake, "id", &tables()).await.unwrap();
    report.violations.retain(|violation| violation.contains("Delta"));
    report
}

/// A checkpoint as it was, with its files changed.
async fn spoil(lake: &Lake, table: &Table, version: u64, change: impl Fn(&mut Value)) -> Bytes {
    let path = layout::delta_checkpoint(&table.name, version);
    let was = lake.get(&path).await.unwrap().unwrap();
    let mut live = file::live(&rebuilt::decode(was.clone()).unwrap()).unwrap();
    live.iter_mut().for_each(change);
    let (_, made) = read::commit(lake, 0).await.unwrap();
    let batch = file::batch(table, &delta::metadata("id", table, Made::from(&made)), &live).unwrap();
    lake.put(&path, rebuilt::encode(&batch).unwrap()).await.unwrap();
    was
}

#[tokio::test]
async fn verify_names_the_table_and_version_of_a_wrong_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let lake = published(&dir, 2 * EVERY).await;
    lake.delete(vec![layout::delta_checkpoint("raw_gps", 2 * EVERY)]).await.unwrap();
    let report = verified(&lake).await;
    assert_eq!((report.checkpoints, report.violations), (7, Vec::new()), "one that is missing is not wrong");
    type Spoil = fn(&mut Value);
    let wrong: [(usize, u64, Spoil); 6] = [
        (2, EVERY, |add| add["partitionValues"] = json!({})),
        (2, EVERY, |add| add["partitionValues"] = json!({"event_date": "2026-01-01"})),
        (0, EVERY, |add| add["size"] = 1.into()),
        (1, EVERY, |add| add["path"] = format!("{}-", add["path"].as_str().unwrap()).into()),
        (0, EVERY, |add| add["modificationTime"] = 7.into()),
        (3, 2 * EVERY, |add| add["stats"] = "{}".into()),
    ];
    for (table, version, wrong) in wrong {
        let table = &tables()[table];
        let was = spoil(&lake, table, version, wrong).await;
        let violations = verified(&lake).await.violations;
        let expected = format!("Delta table {}: checkpoint {version} is not", table.name);
        assert!(violations.len() == 1 && violations[0].contains(&expected), "{expected}: {violations:?}");
        lake.put(&layout::delta_checkpoint(&table.name, version), was).await.unwrap();
    }
    lake.put(&layout::delta_checkpoint("raw_gps", 900), "no commit's".into()).await.unwrap();
    let violations = verified(&lake).await.violations;
    assert!(violations.iter().any(|v| v.contains("raw_gps: version 900 is no commit's")), "{violations:?}");
}
