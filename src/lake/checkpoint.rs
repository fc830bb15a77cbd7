//! Delta checkpoints: every [`EVERY`] versions one Parquet file that stands for a table's whole log up to there, so that
//! a reader of a long log reads one file and the few versions after it.
//!
//! A checkpoint is a function of the commits: it is folded from the checkpoint before and the commits since (from all
//! commits, where that one is missing), and put if absent. It is no truth of its own: without it readers read more
//! versions. Removed files are left out at once: nobody but citystream deletes files.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, ListBuilder, MapBuilder, MapFieldNames,
    RecordBatch, StringArray, StringBuilder, StructArray, new_null_array,
};
use arrow::compute::concat;
use arrow::datatypes::{Field, Fields, Int64Type};
use arrow::error::ArrowError;
use bytes::Bytes;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use crate::lake::delta::{self, Table};
use crate::lake::history::Violation;
use crate::lake::layout;
use crate::lake::recover::{self, ReadError};
use crate::lake::store::Lake;

/// A checkpoint is written after every version whose number is a multiple of this.
pub const EVERY: u64 = 100;

/// A table on the way to its checkpoint: its live files, as `add` actions, before version `next`.
struct Fold<'a> {
    table: &'a Table,
    next: u64,
    live: Vec<Value>,
}

/// Writes the checkpoints of tables that have version `seq`, where one is due and missing.
pub async fn write(lake: &Lake, lake_id: &str, tables: &[&Table], seq: u64) -> Result<(), ReadError> {
    if seq == 0 || !seq.is_multiple_of(EVERY) {
        return Ok(());
    }
    let mut folds = Vec::new();
    for table in tables {
        if !lake.exists(&layout::delta_checkpoint(&table.name, seq)).await? {
            folds.push(begin(lake, table, seq).await?);
        }
    }
    let Some(first) = folds.iter().map(|fold| fold.next).min() else { return Ok(()) };
    let mut commits = std::pin::pin!(recover::read(lake, first..=seq));
    while let Some((_, commit)) = commits.try_next().await? {
        let row_bytes = lake.size(&layout::commits_file(commit.seq)).await?.unwrap_or(0);
        for fold in folds.iter_mut().filter(|fold| fold.next == commit.seq) {
            let (removed, added) = delta::changes(fold.table, &commit, row_bytes);
            fold.live.retain(|add| !removed.iter().any(|gone| gone["path"] == add["path"]));
            fold.live.extend(added);
            fold.next += 1;
        }
    }
    let (_, made) = recover::commit(lake, 0).await?;
    for Fold { table, live, .. } in folds {
        let bytes = encode(&delta::metadata(lake_id, table, made.time_ms), &live).map_err(wrong)?;
        lake.put_if_absent(&layout::delta_checkpoint(&table.name, seq), bytes).await?;
        let last = json!({"version": seq, "size": live.len() + 2}).to_string();
        lake.put(&layout::delta_last_checkpoint(&table.name), last.into()).await?;
    }
    Ok(())
}

/// The checkpoint before, or nothing yet.
async fn begin<'a>(lake: &Lake, table: &'a Table, seq: u64) -> Result<Fold<'a>, ReadError> {
    let before = seq - EVERY;
    let found = match before {
        0 => None,
        _ => lake.get(&layout::delta_checkpoint(&table.name, before)).await?,
    };
    Ok(match found {
        Some(bytes) => Fold { table, next: before + 1, live: decode(bytes).map_err(wrong)? },
        None => Fold { table, next: 0, live: Vec::new() },
    })
}

fn wrong(error: ArrowError) -> ReadError {
    Violation(format!("a Delta checkpoint: {error}")).into()
}

/// The Parquet file: one row an action, one column a kind of action.
fn encode(metadata: &Value, live: &[Value]) -> Result<Bytes, ArrowError> {
    let rows = live.len() + 2;
    let columns: [(&str, ArrayRef); 3] = [
        ("protocol", padded(0, protocol()?, rows)?),
        ("metaData", padded(1, meta_data(metadata)?, rows)?),
        ("add", padded(2, adds(live)?, rows)?),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?;
    let properties = WriterProperties::builder()
        .set_created_by("citystream".into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?.into())
}

/// A column of `rows` rows that is null but for `actions` from row `at` on.
fn padded(at: usize, actions: ArrayRef, rows: usize) -> Result<ArrayRef, ArrowError> {
    let nulls = |n: usize| new_null_array(actions.data_type(), n);
    concat(&[&nulls(at), &actions, &nulls(rows - at - actions.len())])
}

fn protocol() -> Result<ArrayRef, ArrowError> {
    let version = |n: i32| -> ArrayRef { Arc::new(Int32Array::from(vec![n])) };
    let (reader, writer) = delta::PROTOCOL;
    structure(vec![("minReaderVersion", version(reader)), ("minWriterVersion", version(writer))])
}

fn meta_data(metadata: &Value) -> Result<ArrayRef, ArrowError> {
    let one = std::slice::from_ref(metadata);
    let format =
        structure(vec![("provider", text(&[json!({"provider": "parquet"})], "provider")), ("options", map(&[None])?)]);
    let mut partitions = ListBuilder::new(StringBuilder::new()).with_field(Field::new(
        "element",
        arrow::datatypes::DataType::Utf8,
        true,
    ));
    for name in metadata["partitionColumns"].as_array().into_iter().flatten() {
        partitions.values().append_option(name.as_str());
    }
    partitions.append(true);
    structure(vec![
        ("id", text(one, "id")),
        ("name", text(one, "name")),
        ("format", format?),
        ("schemaString", text(one, "schemaString")),
        ("partitionColumns", Arc::new(partitions.finish())),
        ("configuration", map(&[None])?),
        ("createdTime", long(one, "createdTime")),
    ])
}

fn adds(live: &[Value]) -> Result<ArrayRef, ArrowError> {
    let dates: Vec<_> = live.iter().map(|add| add["partitionValues"][layout::DATE_COLUMN].as_str()).collect();
    structure(vec![
        ("path", text(live, "path")),
        ("partitionValues", map(&dates)?),
        ("size", long(live, "size")),
        ("modificationTime", long(live, "modificationTime")),
        ("dataChange", Arc::new(BooleanArray::from(vec![false; live.len()]))),
        ("stats", text(live, "stats")),
    ])
}

fn text(rows: &[Value], name: &str) -> ArrayRef {
    Arc::new(rows.iter().map(|row| row[name].as_str()).collect::<StringArray>())
}

fn long(rows: &[Value], name: &str) -> ArrayRef {
    Arc::new(rows.iter().map(|row| row[name].as_i64()).collect::<Int64Array>())
}

/// A map a row: of the date, or empty.
fn map(dates: &[Option<&str>]) -> Result<ArrayRef, ArrowError> {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for date in dates {
        if let Some(date) = date {
            maps.keys().append_value(layout::DATE_COLUMN);
            maps.values().append_value(date);
        }
        maps.append(true)?;
    }
    Ok(Arc::new(maps.finish()))
}

fn structure(columns: Vec<(&str, ArrayRef)>) -> Result<ArrayRef, ArrowError> {
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let fields: Fields = columns.iter().map(field).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    Ok(Arc::new(StructArray::try_new(fields, columns, None)?))
}

/// The live files of a checkpoint, as they were encoded.
fn decode(bytes: Bytes) -> Result<Vec<Value>, ArrowError> {
    let mut live = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
        let batch = batch?;
        let missing = || ArrowError::SchemaError("no files in it".into());
        let adds = batch.column_by_name("add").and_then(|c| c.as_struct_opt()).ok_or_else(missing)?;
        let column = |name| adds.column_by_name(name).ok_or_else(missing);
        let texts = |name| column(name)?.as_string_opt::<i32>().ok_or_else(missing);
        let longs = |name| column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(missing);
        let (paths, stats) = (texts("path")?, texts("stats")?);
        let (sizes, times) = (longs("size")?, longs("modificationTime")?);
        let dates = column("partitionValues")?.as_map_opt().ok_or_else(missing)?;
        for row in (0..adds.len()).filter(|row| adds.is_valid(*row)) {
            let entries = dates.value(row);
            let mut values = json!({});
            if let Some(date) = entries.column(1).as_string_opt::<i32>().filter(|dates| !dates.is_empty()) {
                values[layout::DATE_COLUMN] = date.value(0).into();
            }
            live.push(json!({
                "path": paths.value(row),
                "partitionValues": values,
                "size": sizes.value(row),
                "modificationTime": times.value(row),
                "stats": stats.value(row),
            }));
        }
    }
    Ok(live)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::datatypes::{DataType, Schema};

    use super::*;
    use crate::lake::publish::Publisher;
    use crate::lake::testing::data;
    use crate::lake::{Committer, StoreOptions};

    #[tokio::test]
    async fn a_checkpoint_is_the_same_from_the_one_before_and_from_all_commits() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
        for seq in 1..=2 * EVERY {
            let state = committer.state().unwrap();
            let mut commit = data(state, "a", 3, 0);
            if seq == 150 {
                commit.removed.insert("raw_gps".into(), vec![state.files["raw_gps"][9].path.clone()]);
            }
            committer.propose(commit).await.unwrap();
        }
        let schema = Schema::new(vec![Field::new("id", DataType::Utf8, false)]);
        let tables = Table::all([("raw_gps", schema.into())]).unwrap();
        Publisher::open(&lake, "id", tables.clone(), 2 * EVERY).await.unwrap();
        for (table, files) in tables.iter().zip([199, 201]) {
            let path = layout::delta_checkpoint(&table.name, 2 * EVERY);
            let folded = lake.get(&path).await.unwrap().unwrap();
            assert_eq!(decode(folded.clone()).unwrap().len(), files, "{}", table.name);
            let before = layout::delta_checkpoint(&table.name, EVERY);
            lake.delete(vec![before, path.clone()]).await.unwrap();
            write(&lake, "id", &[table], 2 * EVERY).await.unwrap();
            assert_eq!(lake.get(&path).await.unwrap().unwrap(), folded, "{}", table.name);
            let last = lake.get(&layout::delta_last_checkpoint(&table.name)).await.unwrap().unwrap();
            let expected = json!({"version": 200, "size": files + 2});
            assert_eq!(serde_json::from_slice::<Value>(&last).unwrap(), expected);
        }
    }
}
