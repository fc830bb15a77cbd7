//! A Delta checkpoint as a Parquet file: one row an action, one column a kind of action.
//!
//! What is written is a [`batch`] of live files after the other, the protocol and the metadata before the first. The partition
//! values of a file are those that its table declares: a reader that filters by a partition column drops files that carry none.

use std::fmt::Display;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, ListBuilder, MapArray, MapBuilder, MapFieldNames,
    RecordBatch, StringArray, StringBuilder, StructArray, new_null_array,
};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value, json};

use crate::lake::delta::{self, Table};
use crate::lake::history::read::ReadError;
use crate::lake::history::{Violation, rebuilt};
use crate::lake::store::{Lake, Upload};

/// So many actions are encoded at a time.
const ROWS: usize = 8192;
/// Rows that are no files: the protocol and the metadata.
const HEADER: usize = 2;

/// The checkpoint of `table`: its metadata, and its live files as `add` actions.
pub(in crate::lake) fn batch(table: &Table, metadata: &Value, live: &[Value]) -> Result<RecordBatch, ArrowError> {
    let rows = live.len() + HEADER;
    let columns: [(&str, ArrayRef); 3] = [
        ("protocol", padded(0, protocol()?, rows)?),
        ("metaData", padded(1, meta_data(table, metadata)?, rows)?),
        ("add", padded(HEADER, adds(table, live)?, rows)?),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
}

/// The live files of a checkpoint, as `add` actions with the partition values that the checkpoint has.
pub(in crate::lake) fn live(batch: &RecordBatch) -> Result<Vec<Value>, ArrowError> {
    let adds = Adds::of(batch)?;
    let texts = |name| adds.column(name)?.as_string_opt::<i32>().ok_or_else(missing);
    let longs = |name| adds.column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(missing);
    let (stats, sizes, times) = (texts("stats")?, longs("size")?, longs("modificationTime")?);
    let add = |row: usize| {
        let partition = adds.partition_values(row).map(|(name, value)| (name.to_owned(), value.into()));
        json!({
            "path": adds.paths.value(row),
            "partitionValues": partition.collect::<Map<_, _>>(),
            "size": sizes.value(row),
            "modificationTime": times.value(row),
            "stats": stats.value(row),
        })
    };
    Ok(adds.rows().map(add).collect())
}

/// Whether a checkpoint says of a file what a version says: but for when it was added, where commits did not say it yet.
pub(in crate::lake) fn is_same(found: &Value, version: &Value) -> bool {
    let is = |name: &str| found[name] == version[name];
    let is_dated = found["modificationTime"] != 0;
    ["path", "partitionValues", "size", "stats"].into_iter().all(is) && (!is_dated || is("modificationTime"))
}

/// A checkpoint that is being written, some files at a time.
pub(in crate::lake) struct Writer<'a> {
    table: &'a Table,
    metadata: &'a Value,
    upload: Upload,
    rows: ArrowWriter<Vec<u8>>,
    size: u64,
}

impl<'a> Writer<'a> {
    /// Without files yet.
    pub(in crate::lake) fn begin(
        lake: &Lake,
        path: &str,
        table: &'a Table,
        metadata: &'a Value,
    ) -> Result<Self, ReadError> {
        let header = batch(table, metadata, &[]).map_err(wrong)?;
        let properties = rebuilt::properties().set_max_row_group_row_count(Some(ROWS)).build();
        let mut rows = ArrowWriter::try_new(Vec::new(), header.schema(), Some(properties)).map_err(wrong)?;
        rows.write(&header).map_err(wrong)?;
        Ok(Writer { table, metadata, upload: Upload::new(lake, path), rows, size: header.num_rows() as u64 })
    }

    /// Takes live files, as `add` actions.
    pub(in crate::lake) async fn add(&mut self, live: &[Value]) -> Result<(), ReadError> {
        for live in live.chunks(ROWS) {
            let batch = batch(self.table, self.metadata, live).map_err(wrong)?;
            self.rows.write(&batch.slice(HEADER, live.len())).map_err(wrong)?;
            self.upload.write(&std::mem::take(self.rows.inner_mut())).await?;
        }
        self.size += live.len() as u64;
        Ok(())
    }

    /// All files have been taken; how many actions there are.
    pub(in crate::lake) async fn finish(mut self) -> Result<u64, ReadError> {
        self.upload.write(&self.rows.into_inner().map_err(wrong)?).await?;
        self.upload.finish().await?;
        Ok(self.size)
    }
}

pub(super) fn wrong(error: impl Display) -> Violation {
    Violation(format!("a Delta checkpoint: {error}"))
}

/// The `add` actions of a checkpoint.
struct Adds<'a> {
    all: &'a StructArray,
    paths: &'a StringArray,
    partitions: &'a MapArray,
    names: &'a StringArray,
    values: &'a StringArray,
}

impl<'a> Adds<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        let all = batch.column_by_name("add").and_then(|c| c.as_struct_opt()).ok_or_else(missing)?;
        let paths = all.column_by_name("path").and_then(|c| c.as_string_opt()).ok_or_else(missing)?;
        let partitions = all.column_by_name("partitionValues").and_then(|c| c.as_map_opt()).ok_or_else(missing)?;
        let names = partitions.keys().as_string_opt().ok_or_else(missing)?;
        let values = partitions.values().as_string_opt().ok_or_else(missing)?;
        Ok(Adds { all, paths, partitions, names, values })
    }

    fn column(&self, name: &str) -> Result<&'a ArrayRef, ArrowError> {
        self.all.column_by_name(name).ok_or_else(missing)
    }

    /// The rows that are files.
    fn rows(&self) -> impl Iterator<Item = usize> {
        (0..self.all.len()).filter(|row| self.all.is_valid(*row))
    }

    fn partition_values(&self, row: usize) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let (names, values, ends) = (self.names, self.values, self.partitions.value_offsets());
        let entries = ends[row] as usize..ends[row + 1] as usize;
        entries.map(|i| (names.value(i), values.is_valid(i).then(|| values.value(i))))
    }
}

fn missing() -> ArrowError {
    ArrowError::SchemaError("no files in it".into())
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

fn meta_data(table: &Table, metadata: &Value) -> Result<ArrayRef, ArrowError> {
    let one = std::slice::from_ref(metadata);
    let provider = text(&[json!({"provider": "parquet"})], "provider");
    let format = structure(vec![("provider", provider), ("options", map([None])?)]);
    let element = Field::new("element", DataType::Utf8, true);
    let mut partitions = ListBuilder::new(StringBuilder::new()).with_field(element);
    partitions.append_value(table.partition().map(Some));
    structure(vec![
        ("id", text(one, "id")),
        ("name", text(one, "name")),
        ("format", format?),
        ("schemaString", text(one, "schemaString")),
        ("partitionColumns", Arc::new(partitions.finish())),
        ("configuration", map([property(metadata)])?),
        ("createdTime", long(one, "createdTime")),
    ])
}

/// The one property that a table has, if it has one.
fn property(metadata: &Value) -> Option<(&str, &str)> {
    let (name, value) = metadata["configuration"].as_object()?.iter().next()?;
    Some((name, value.as_str()?))
}

fn adds(table: &Table, live: &[Value]) -> Result<ArrayRef, ArrowError> {
    let partition = |add| table.partition().and_then(|name| Some((name, value(add, name)?)));
    structure(vec![
        ("path", text(live, "path")),
        ("partitionValues", map(live.iter().map(partition))?),
        ("size", long(live, "size")),
        ("modificationTime", long(live, "modificationTime")),
        ("dataChange", Arc::new(BooleanArray::from(vec![false; live.len()]))),
        ("stats", text(live, "stats")),
    ])
}

fn value<'a>(add: &'a Value, partition: &str) -> Option<&'a str> {
    add["partitionValues"][partition].as_str()
}

fn text(rows: &[Value], name: &str) -> ArrayRef {
    Arc::new(rows.iter().map(|row| row[name].as_str()).collect::<StringArray>())
}

fn long(rows: &[Value], name: &str) -> ArrayRef {
    Arc::new(rows.iter().map(|row| row[name].as_i64()).collect::<Int64Array>())
}

/// A map a row: of one entry, or empty.
fn map<'a>(rows: impl IntoIterator<Item = Option<(&'a str, &'a str)>>) -> Result<ArrayRef, ArrowError> {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for entry in rows {
        if let Some((name, value)) = entry {
            maps.keys().append_value(name);
            maps.values().append_value(value);
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
