//! Graves and orphans with rows of a vehicle go at once, and nothing else does; a scan finds its name in any kind of object.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::DataType;

use super::*;
use crate::columns::tables::{schema, with_schemas};
use crate::columns::whose::{Bound, Name};
use crate::lake::delta::publish::Publisher;
use crate::lake::history::commit::{Commit, Count, Erased, File, Kind};
use crate::lake::history::tidy;
use crate::lake::testing::data;
use crate::lake::{Committer, StoreOptions, digest};
use crate::sink::write::{Encoder, EncoderOptions};

const TABLE: Table = Table::DeadLetters;
const T: i64 = 1_700_000_000_000_000;

fn whose(seq: u64) -> Whose {
    Whose::new(&Name::new("bus-7"), Bound { seq, time: None })
}

/// A file of dead letters with these keys, of a commit.
fn file(keys: &[&str], seq: i64) -> crate::sink::write::EncodedFile {
    let (schema, count) = (schema(TABLE), keys.len());
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match (field.name().as_str(), field.data_type()) {
            ("key", _) => Arc::new(StringArray::from_iter_values(keys)),
            (_, _) if field.is_nullable() => new_null_array(field.data_type(), count),
            (_, DataType::Int64) => Arc::new(Int64Array::from(vec![seq; count])),
            (_, DataType::Int32) => Arc::new(Int32Array::from(vec![0; count])),
            (_, DataType::Timestamp(..)) => {
                Arc::new(TimestampMicrosecondArray::from(vec![T; count]).with_timezone("UTC"))
            }
            _ => Arc::new(StringArray::from(vec!["gps"; count])),
        }
    });
    let rows = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
    let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
    encoder.append(TABLE, rows).unwrap();
    encoder.seal_all().unwrap().pop().unwrap()
}

async fn put(lake: &Lake, run: &str, seq: u64, keys: &[&str]) -> File {
    let encoded = file(keys, seq as i64);
    let path = layout::data_file(TABLE.name(), &encoded.date, run, seq, 0, keys.len() as u64);
    lake.put(&path, encoded.data.clone()).await.unwrap();
    File { sha256: digest(&encoded.data), ..encoded.describe(path, (seq, seq), 0) }
}

/// A lake of a commit with two dead letters, one of which the next one erases; published up to there, or before.
async fn lake(dir: &tempfile::TempDir, is_published: bool) -> (Lake, File) {
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let tables = || delta::Table::all(with_schemas(&[])).unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    let mut publisher = Publisher::open(&lake, "id", tables(), 0).await.unwrap();
    let mut commit = data(committer.state().unwrap(), "a", 0, 2);
    commit.horizon = Some(T + 3 * 86_400_000_000);
    let had = put(&lake, "a", 1, &["bus-7", "bus-77"]).await;
    commit.added.insert(TABLE.name().into(), vec![had]);
    let commit = committer.propose(commit).await.unwrap();
    publisher.publish(&commit).await.unwrap();
    let had = commit.added[TABLE.name()][0].clone();
    let left = put(&lake, "a", 1, &["bus-77"]).await;
    let count = Count { date: had.date.clone(), rows: 1, net: 1, ..Count::default() };
    let erased = Erased { whose: "x".into(), through: 1, last: None, counts: vec![count] };
    let mut commit = Commit { kind: Kind::Data, ..committer.carry_on() };
    tidy::record_erased(&mut commit, TABLE.name(), (vec![had.clone()], vec![left]), erased, Some("r".into()));
    let commit = committer.propose(commit).await.unwrap();
    if is_published {
        publisher.publish(&commit).await.unwrap();
    }
    (lake, had)
}

#[tokio::test]
async fn g3_what_names_it_and_is_nobodys_goes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, had) = lake(&dir, true).await;
    // Left by a run that died, and by nobody it concerns; and what the holder has written for its next commit.
    let orphan = put(&lake, "dead", 1, &["bus-7", "x"]).await;
    let other = put(&lake, "dead", 1, &["bus-77"]).await;
    let next = put(&lake, "a", 3, &["bus-7", "y", "z"]).await;
    assert!(sweep(&lake, "r", &whose(1), || true).await.unwrap());
    for (file, stays) in [(&had, false), (&orphan, false), (&other, true), (&next, true)] {
        assert_eq!(lake.exists(&file.path).await.unwrap(), stays, "{}", file.path);
    }
    let found = proof(&lake, "r", &whose(1)).await.unwrap();
    assert!(found.holds() && found.later == 1 && found.objects > 20, "{found:?}");
    assert_eq!(proof(&lake, "r", &whose(3)).await.unwrap().left, [next.path], "once it is meant");
}

#[tokio::test]
async fn g3_readers_of_the_newest_version_find_what_they_read() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, had) = lake(&dir, false).await;
    assert!(!sweep(&lake, "r", &whose(1), || true).await.unwrap(), "it is not all done");
    assert!(lake.exists(&had.path).await.unwrap());
}

#[tokio::test]
async fn any_object_that_names_it_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = lake(&dir, true).await;
    sweep(&lake, "r", &whose(1), || true).await.unwrap();
    let packed = zstd::encode_all(&b"{\"key\":\"bus-7\"}\n"[..], 3).unwrap();
    let part = file(&["bus-7"], 1).data;
    for (path, bytes) in [
        ("commits/packs/0-999.jsonl.zst", Bytes::from(packed)),
        ("snapshots/9.json", "{\"alerts\": \"bus-7\"}".into()),
        ("snapshots/9/part.parquet", part.clone()),
        ("requests/other.json", "{\"vehicle\":\"bus-7\"}".into()),
        ("anything", "bus-7".into()),
    ] {
        lake.put(path, bytes).await.unwrap();
        assert_eq!(proof(&lake, "r", &whose(1)).await.unwrap().left, [path]);
        lake.delete(vec![path.to_owned()]).await.unwrap();
    }
    lake.put("requests/r.json", "{\"vehicle\":\"bus-7\"}".into()).await.unwrap();
    assert!(proof(&lake, "r", &whose(1)).await.unwrap().holds(), "its own request is there until it is done");
}
