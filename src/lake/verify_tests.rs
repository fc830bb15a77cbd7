//! A sound lake verifies; each way of spoiling it is found.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;

use super::*;
use crate::lake::commit::TopicName;
use crate::lake::delta::Publisher;
use crate::lake::testing::data;
use crate::lake::{Committer, StoreOptions};

const T: i64 = 1_700_000_000_000_000;

fn batch(offsets: std::ops::Range<i64>, dead: bool) -> RecordBatch {
    let n = offsets.clone().count();
    let time = TimestampMicrosecondArray::from_iter_values((0..n as i64).map(|i| T + i)).with_timezone("UTC");
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("topic", Arc::new(StringArray::from(vec!["gps_data"; n]))),
        ("partition", Arc::new(Int32Array::from(vec![0; n]))),
        ("offset", Arc::new(Int64Array::from_iter_values(offsets))),
    ];
    if !dead {
        columns.push(("event_time", Arc::new(time)));
        columns.push(("disposition", Arc::new(StringArray::from(vec!["on_time"; n]))));
    }
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet(batch: &RecordBatch) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn tables() -> Vec<Table> {
    let schema = |name: &str| batch(0..1, name == layout::DEAD_LETTERS).schema();
    Table::all(layout::record_tables().map(|name| (name, schema(name)))).unwrap()
}

/// A lake of a claim and three commits, each of 5 pings and 2 dead letters.
async fn sound(dir: &tempfile::TempDir) -> Lake {
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    let mut publisher = Publisher::open(&lake, "id", tables(), 0).await.unwrap();
    publisher.catch_up(0).await.unwrap();
    for _ in 0..3 {
        let mut commit = data(committer.state().unwrap(), "a", 5, 2);
        commit.topics.insert(Topic::Gps, TopicName { name: "gps_data".into(), id: "x".into() });
        let first = commit.epochs[0].bindings[0].first.0;
        for (table, range) in [("raw_gps", first..first + 5), (layout::DEAD_LETTERS, first + 5..first + 7)] {
            let bytes = parquet(&batch(range, table == layout::DEAD_LETTERS));
            let file = &mut commit.added.get_mut(table).unwrap()[0];
            file.bytes = bytes.len() as u64;
            file.event_time = file.event_time.map(|_| (T, T + 4));
            lake.put(&file.path, bytes).await.unwrap();
        }
        publisher.publish(&committer.propose(commit).await.unwrap()).await.unwrap();
    }
    lake
}

#[tokio::test]
async fn p2_p4_a_sound_lake_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let lake = sound(&dir).await;
    let report = verify(&lake, "id", &tables()).await.unwrap();
    assert_eq!(report.violations, Vec::<String>::new());
    let counts = (report.commits, report.bindings, report.files, report.rows, report.versions);
    assert_eq!(counts, (4, 3, 6, 21, 28));
    assert!(report.behind.is_empty());
}

/// Rewrites the parquet file of commit 2 with other offsets, and the commit's description of it if `told`.
async fn rewrite(lake: &Lake, table: &str, range: std::ops::Range<i64>) {
    let (_, commit) = recover::commit(lake, 2).await.unwrap();
    lake.put(&commit.added[table][0].path, parquet(&batch(range, table == layout::DEAD_LETTERS))).await.unwrap();
}

#[tokio::test]
async fn p2_p4_each_way_of_spoiling_a_lake_is_found() {
    for case in 0..9 {
        let dir = tempfile::tempdir().unwrap();
        let lake = sound(&dir).await;
        let (_, commit) = recover::commit(&lake, 2).await.unwrap();
        let gps = commit.added["raw_gps"][0].path.clone();
        let delta = layout::delta_version("raw_gps", 2);
        let expected = match case {
            0 => (lake.delete(vec![layout::commit(2)]).await.unwrap(), "commit 2 is missing").1,
            1 => (lake.delete(vec![gps]).await.unwrap(), "is missing").1,
            2 => (rewrite(&lake, "raw_gps", 6..11).await, "in the files").1,
            3 => (rewrite(&lake, layout::DEAD_LETTERS, 11..13).await, "is there twice").1,
            4 => (lake.put(&gps, "else".into()).await.unwrap(), "4 bytes").1,
            5 => (lake.put(&delta, "{}\n".into()).await.unwrap(), "version 2 is not its commit's").1,
            6 => (lake.delete(vec![delta]).await.unwrap(), "version 2 is missing").1,
            7 => {
                let text = String::from_utf8(recover::encode(&commit).unwrap().to_vec()).unwrap();
                lake.put(&layout::commit(2), text.replace("\"time_ms\":1", "\"time_ms\":2").into()).await.unwrap();
                "commit 3 does not follow"
            }
            _ => {
                lake.put(&layout::delta_version("raw_gps", 9), "{}\n".into()).await.unwrap();
                "version 9 is no commit's"
            }
        };
        let report = verify(&lake, "id", &tables()).await.unwrap();
        assert!(report.violations.iter().any(|v| v.contains(expected)), "{expected}: {report:?}");
    }
}
