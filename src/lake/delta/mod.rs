//! The same truth as Delta tables: version = seq in every table, each version's bytes a function of the commit.
//!
//! Reader version 1, writer 2, so that every reader can read them.

pub mod checkpoint;
pub mod checkpoint_file;
mod cleaning;
pub mod commits_table;
pub mod publish;
mod schema;
mod statistics;

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::future::try_join_all;
use serde_json::{Map, Value, json};

use crate::columns::tables::LOG_TIME;
use crate::lake::delta::schema::schema_string;
use crate::lake::digest;
use crate::lake::history::commit::{Commit, File};
use crate::lake::history::{Violation, layout, read};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// A table with a Delta log.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name below `tables/`.
    pub name: String,
    schema_string: String,
    partition: Option<&'static str>,
    time: Option<&'static str>,
    log_time: Option<&'static str>,
}

impl Table {
    /// A table of records or a change log, partitioned by date.
    pub fn records(name: &str, schema: &SchemaRef) -> Result<Table, Violation> {
        let (partition, time) = (Some(layout::date_column(name)), layout::time_column(schema));
        let log_time = schema.field_with_name(LOG_TIME).is_ok().then_some(LOG_TIME);
        Ok(Table { name: name.into(), schema_string: schema_string(schema, partition)?, partition, time, log_time })
    }

    /// The table of commits.
    pub fn commits() -> Result<Table, Violation> {
        let schema_string = schema_string(&commits_table::schema(), None)?;
        Ok(Table { name: layout::COMMITS_TABLE.into(), schema_string, partition: None, time: None, log_time: None })
    }

    /// All tables of a lake, the table of commits last.
    pub fn all<'a>(records: impl IntoIterator<Item = (&'a str, SchemaRef)>) -> Result<Vec<Table>, Violation> {
        let records = records.into_iter().map(|(name, schema)| Table::records(name, &schema));
        records.chain([Table::commits()]).collect()
    }

    /// The column that it is partitioned by; none in the table of commits.
    pub(super) fn partition(&self) -> Option<&'static str> {
        self.partition
    }

    pub(super) fn is_commits(&self) -> bool {
        self.partition.is_none()
    }

    /// The columns with statistics: Spark looks at the first 32 columns otherwise.
    pub(super) fn configuration(&self) -> BTreeMap<&'static str, String> {
        let columns: Vec<_> = self.time.into_iter().chain(self.log_time).chain(["seq"]).collect();
        [("delta.dataSkippingStatsColumns", columns.join(","))].into()
    }
}

/// The last commit that is in the log of each of these tables and of the table of commits; `None` where there is none.
pub async fn published(lake: &Lake, tables: &[&str]) -> Result<Option<u64>, StoreError> {
    let Some(head) = read::head(lake, None).await? else { return Ok(None) };
    for seq in (0..=head).rev() {
        let tables = tables.iter().copied().chain([layout::COMMITS_TABLE]);
        let there = tables.map(|table| async move { lake.exists(&layout::delta_version(table, seq)).await });
        if try_join_all(there).await?.into_iter().all(|there| there) {
            return Ok(Some(seq));
        }
    }
    Ok(None)
}

/// The least versions of the protocol that readers and writers must know.
pub(super) const PROTOCOL: (i32, i32) = (1, 2);

/// What a commit does to a table: its `remove` and its `add` actions.
pub(super) fn changes(table: &Table, commit: &Commit, row_bytes: u64) -> (Vec<Value>, Vec<Value>) {
    if table.is_commits() {
        return (Vec::new(), vec![add_row(commit, row_bytes)]);
    }
    let removed = commit.removed.get(&table.name).into_iter().flatten();
    let added = commit.added.get(&table.name).into_iter().flatten();
    let removed = removed.map(|file| remove(table, &file.path, commit.time_ms)).collect();
    (removed, added.map(|file| add(table, file, commit)).collect())
}

/// One version of a table: its bytes. `row_bytes` is the length of the commit's file in the table of commits.
pub fn version(lake_id: &str, table: &Table, commit: &Commit, row_bytes: u64) -> Bytes {
    let mut actions = vec![json!({"commitInfo": {
        "timestamp": commit.time_ms,
        "operation": "WRITE",
        "operationParameters": {},
        "engineInfo": "citystream",
        "seq": commit.seq,
        "run": commit.run,
    }})];
    if commit.seq == 0 {
        let (reader, writer) = PROTOCOL;
        actions.push(json!({"protocol": {"minReaderVersion": reader, "minWriterVersion": writer}}));
        actions.push(json!({"metaData": metadata(lake_id, table, commit)}));
    }
    let (removed, added) = changes(table, commit, row_bytes);
    actions.extend(removed.into_iter().map(|remove| json!({"remove": remove})));
    actions.extend(added.into_iter().map(|add| json!({"add": add})));
    let lines = actions.iter().map(|action| format!("{action}\n"));
    lines.collect::<String>().into()
}

/// A table's metadata, as commit 0 makes it.
pub(super) fn metadata(lake_id: &str, table: &Table, made: &Commit) -> Value {
    let hash = digest(format!("{lake_id}/{}", table.name).as_bytes());
    let id = format!("{}-{}-{}-{}-{}", &hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..32]);
    json!({
        "id": id,
        "name": table.name,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": table.schema_string,
        "partitionColumns": table.partition.into_iter().collect::<Vec<_>>(),
        "configuration": table.configuration(),
        "createdTime": made.time_ms,
    })
}

fn add(table: &Table, file: &File, commit: &Commit) -> Value {
    let partition = table.partition.map(|column| (column.to_owned(), json!(file.date)));
    json!({
        "path": below(table, &file.path),
        "partitionValues": partition.into_iter().collect::<Map<_, _>>(),
        "size": file.bytes,
        "modificationTime": commit.time_ms,
        "dataChange": true,
        "stats": statistics::of_file(table, file),
    })
}

fn add_row(commit: &Commit, bytes: u64) -> Value {
    json!({
        "path": format!("{:020}.parquet", commit.seq),
        "partitionValues": {},
        "size": bytes,
        "modificationTime": commit.time_ms,
        "dataChange": true,
        "stats": statistics::of_row(commit),
    })
}

fn remove(table: &Table, path: &str, time_ms: i64) -> Value {
    json!({"path": below(table, path), "deletionTimestamp": time_ms, "dataChange": true})
}

/// A file's path as seen from its table.
fn below<'a>(table: &Table, path: &'a str) -> &'a str {
    path.strip_prefix(&layout::table(&table.name)).map_or(path, |rest| rest.trim_start_matches('/'))
}
