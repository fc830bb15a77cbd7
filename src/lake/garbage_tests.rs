//! What goes, and what stays, as runs come and go.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::*;
use crate::lake::delta::Table;
use crate::lake::delta::publish::Publisher;
use crate::lake::history::tidy;
use crate::lake::testing::data;
use crate::lake::{Committer, StoreOptions};

const HOUR_MS: i64 = 3_600_000;
const DAY: &str = "tables/raw_gps/log_date=2026-11-23";

async fn put(lake: &Lake, name: &str) -> String {
    let path = format!("{DAY}/{name}.parquet");
    lake.put(&path, "rows".into()).await.unwrap();
    path
}

#[tokio::test]
async fn g3_garbage_is_what_nobody_can_want() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let look = |now_ms, is_dry| {
        let lake = lake.clone();
        async move { collect(&lake, Collection { now_ms, grace_ms: 10 * HOUR_MS, is_dry }).await.unwrap().unwrap() }
    };
    let (mut first, _) = Committer::claim(&lake, "a").await.unwrap();
    for _ in 0..2 {
        let commit = data(first.state().unwrap(), "a", 1, 0);
        lake.put(&commit.added["raw_gps"][0].path, "rows".into()).await.unwrap();
        first.propose(commit).await.unwrap();
    }
    let orphan = put(&lake, "a-00000000000000000003-0-0").await;
    let now = first.state().unwrap().time_ms;
    let none = Garbage::default();
    assert_eq!(look(now + 5 * HOUR_MS, false).await, none, "its run may still commit it");
    let (mut second, claimed) = Committer::claim(&lake, "b").await.unwrap();
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, false)]));
    let tables = Table::all(["raw_gps", layout::DEAD_LETTERS].map(|name| (name, schema.clone()))).unwrap();
    let mut publisher = Publisher::open(&lake, "id", tables, claimed.seq).await.unwrap();
    let own = put(&lake, "b-00000000000000000004-1-0").await;
    assert_eq!(look(now, false).await, none, "an hour has not passed");
    let four = Amount { files: 1, bytes: 4 };
    let orphans = Garbage { orphans: four, ..none };
    let halves = [
        format!("{DAY}/a-00000000000000000003-0-1"),
        format!("{DAY}/b-00000000000000000004-1-1"),
        "tables/commits/00000000000000000063-64".to_owned(),
    ];
    let halves = halves.map(|path| {
        let half = dir.path().join(format!("{path}.parquet#1"));
        std::fs::create_dir_all(half.parent().unwrap()).unwrap();
        std::fs::write(&half, "ro").unwrap();
        half
    });
    assert_eq!(look(now + 2 * HOUR_MS, true).await, orphans);
    assert!(lake.exists(&orphan).await.unwrap(), "it was only looked");
    assert_eq!(look(now + 2 * HOUR_MS, false).await, orphans);
    assert!(!lake.exists(&orphan).await.unwrap() && lake.exists(&own).await.unwrap());
    assert_eq!(halves.map(|half| half.exists()), [false, true, true], "what the holder writes is its own");
    // One file takes the place of two.
    let mut commit = data(second.state().unwrap(), "b", 1, 0);
    lake.put(&commit.added["raw_gps"][0].path, "rows".into()).await.unwrap();
    let two = second.state().unwrap().files.added("raw_gps").to_vec();
    let path = put(&lake, "b-packed-0").await;
    let made = File { path: path.clone(), bytes: 4, date: two[0].date.clone(), level: 1, ..File::sum(&two) };
    tidy::record(&mut commit, "raw_gps", two.clone(), made, None);
    commit.version = None;
    second.propose(commit).await.unwrap();
    let (eight, old) = (Amount { files: 2, bytes: 8 }, &two[0].path);
    assert_eq!(look(now + 2 * HOUR_MS, false).await, Garbage { in_grace: eight, ..none });
    assert_eq!(look(now + 11 * HOUR_MS, false).await, Garbage { in_grace: eight, ..none }, "the last version has them");
    assert!(lake.exists(old).await.unwrap());
    let commit = data(second.state().unwrap(), "b", 1, 0);
    let ended = second.propose(commit).await.unwrap();
    assert_eq!(look(now + 11 * HOUR_MS, false).await, Garbage { in_grace: eight, ..none }, "it is not published");
    publisher.publish(&ended).await.unwrap();
    assert_eq!(look(now + 11 * HOUR_MS, false).await, Garbage { graves: eight, ..none });
    assert!(!lake.exists(old).await.unwrap() && lake.exists(&path).await.unwrap() && lake.exists(&own).await.unwrap());
}
