//! A reader of Delta tables that goes by the published protocol alone: the newest checkpoint at or below a version, the versions
//! after it, `add` and `remove` by path.

use std::collections::BTreeSet;

use arrow::array::{Array, StringArray, StructArray};
use bytes::Bytes;
use citystream::parts::Lake;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::rows::TABLE;
use crate::store::Store;
use crate::world::World;

/// A table as of a version.
pub(crate) struct Seen {
    /// Of the commit that the version says it is.
    pub(crate) seq: u64,
    /// The files' paths below the lake.
    pub(crate) files: BTreeSet<String>,
}

/// The last version of a table.
pub(crate) async fn newest(lake: &Lake, table: &str) -> Option<u64> {
    let names = lake.names(&log(table), None).await.ok()?;
    names.iter().filter_map(|name| number(name, ".json")).max()
}

fn log(table: &str) -> String {
    format!("tables/{table}/_delta_log")
}

fn number(name: &str, after: &str) -> Option<u64> {
    name.strip_suffix(after)?.parse().ok()
}

/// A table as of a version; `None`: the store fails.
pub(crate) async fn at(lake: &Lake, table: &str, version: u64) -> Option<Seen> {
    let names = lake.names(&log(table), None).await.ok()?;
    let checkpoints = names.iter().filter_map(|name| number(name, ".checkpoint.parquet"));
    let checkpoint = checkpoints.filter(|checkpoint| *checkpoint <= version).max();
    let mut files = BTreeSet::new();
    if let Some(checkpoint) = checkpoint {
        let path = format!("{}/{checkpoint:020}.checkpoint.parquet", log(table));
        files = added(lake.get(&path).await.ok()?.expect("a checkpoint that was listed"));
    }
    let mut seq = None;
    for version in checkpoint.map_or(0, |checkpoint| checkpoint)..=version {
        let path = format!("{}/{version:020}.json", log(table));
        let Some(bytes) = lake.get(&path).await.ok()? else {
            assert_eq!(Some(version), checkpoint, "C11: {path} is gone, and after the newest checkpoint");
            continue;
        };
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let action: Value = serde_json::from_slice(line).expect("an action");
            let path = |what: &str| action[what]["path"].as_str().map(str::to_owned);
            path("add").map(|path| files.insert(path));
            path("remove").map(|path| files.remove(&path));
            seq = action["commitInfo"]["seq"].as_u64().or(seq);
        }
    }
    let files = files.into_iter().map(|path| format!("tables/{table}/{path}")).collect();
    Some(Seen { seq: seq?, files })
}

/// The paths of a checkpoint's `add` actions.
fn added(bytes: Bytes) -> BTreeSet<String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a checkpoint").build().expect("a reader");
    let mut paths = BTreeSet::new();
    for rows in reader {
        let rows = rows.expect("rows");
        let add = rows.column_by_name("add").expect("add").as_any().downcast_ref::<StructArray>().expect("a struct");
        let path = add.column_by_name("path").expect("path");
        let path = path.as_any().downcast_ref::<StringArray>().expect("texts");
        paths.extend((0..add.len()).filter(|row| add.is_valid(*row)).map(|row| path.value(row).to_owned()));
    }
    paths
}

/// Reads all tables at the last version of the table of commits: they are as one commit left them, and every file is there, also
/// a while later, within the grace.
pub(crate) async fn read(world: World, lake: Lake, store: Store) {
    let Some(version) = newest(&lake, "commits").await else { return };
    let Some(seen) = at(&lake, TABLE.name(), version).await else { return };
    let Some(other) = at(&lake, "raw_gps", version).await else { return };
    assert_eq!(seen.seq, other.seq, "P2: version {version} is of one commit");
    let live = world.look().history.live(seen.seq);
    let live: BTreeSet<String> = live.iter().map(|(_, path)| path.clone()).collect();
    assert_eq!(seen.files, live, "P2: version {version}, commit {}", seen.seq);
    let grace = world.look().history.grace_ms() as u64;
    for wait in [0, world.below(grace)] {
        world.wait_ms(wait).await;
        for file in &seen.files {
            let is_kept = {
                let inner = world.look();
                inner.history.is_kept(file, inner.now_ms)
            };
            assert!(!is_kept || store.has(file).await, "G3: {file} of version {version} is gone");
        }
    }
}
