//! The same truth as Delta tables: each version, of the same number in every table, is all that the commits that it stands for
//! have changed, and its bytes are a function of them (`src/lake/history/versions.rs` says which those are).
//!
//! Reader version 1, writer 2, so that every reader can read them.

pub mod checkpoint;
pub mod checkpoint_file;
mod cleaning;
pub mod commits_table;
pub mod log;
pub mod merging;
pub mod publish;
mod schema;
mod statistics;

use std::collections::{BTreeMap, HashSet};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::columns::tables::LOG_TIME;
use crate::lake::delta::merging::{Rows, Written};
use crate::lake::delta::schema::schema_string;
use crate::lake::digest;
use crate::lake::history::commit::{Commit, File, Made, TidyKind};
use crate::lake::history::read::ReadError;
use crate::lake::history::versions::Published;
use crate::lake::history::{State, Violation, layout, roots, tidy};
use crate::lake::store::Lake;

/// A table with a Delta log.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name below `tables/`.
    pub name: String,
    schema_string: String,
    /// What it was in lakes whose commits do not say which versions they end.
    first_schema: Option<String>,
    partition: Option<&'static str>,
    time: Option<&'static str>,
    log_time: Option<&'static str>,
}

impl Table {
    /// A table of records or a change log, partitioned by date.
    pub fn records(name: &str, schema: &SchemaRef) -> Result<Table, Violation> {
        let (partition, time) = (Some(layout::date_column(name)), layout::time_column(schema));
        let log_time = schema.field_with_name(LOG_TIME).is_ok().then_some(LOG_TIME);
        let schema_string = schema_string(schema, partition)?;
        Ok(Table { name: name.into(), schema_string, first_schema: None, partition, time, log_time })
    }

    /// The table of commits.
    pub fn commits() -> Result<Table, Violation> {
        let [name, schema_string] = [layout::COMMITS_TABLE.into(), schema_string(&commits_table::schema(), None)?];
        let first_schema = Some(self::schema_string(&commits_table::first_schema(), None)?);
        Ok(Table { name, schema_string, first_schema, partition: None, time: None, log_time: None })
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

    /// Whether it is the table of commits, whose files no root lists.
    pub fn is_commits(&self) -> bool {
        self.partition.is_none()
    }

    /// The columns with statistics: Spark looks at the first 32 columns otherwise.
    pub(super) fn configuration(&self) -> BTreeMap<&'static str, String> {
        let columns: Vec<_> = self.time.into_iter().chain(self.log_time).chain(["seq"]).collect();
        [("delta.dataSkippingStatsColumns", columns.join(","))].into()
    }
}

/// The last version that all tables have; `None` where there is none. That of the table of commits is written after all others.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn published(lake: &Lake) -> Result<Option<Published>, ReadError> {
    match roots::state(lake).await? {
        Some(state) => published_by(lake, &state).await,
        None => Ok(None),
    }
}

/// The same of a lake that stands so.
///
/// # Errors
/// The store's; a version that cannot be read.
pub async fn published_by(lake: &Lake, state: &State) -> Result<Option<Published>, ReadError> {
    for version in (0..=state.published().version).rev() {
        if let Some(bytes) = lake.get(&layout::delta_version(layout::COMMITS_TABLE, version)).await? {
            let ended = log::ended_by(&bytes).map(|seq| Published { version, seq });
            return Ok(Some(
                ended.ok_or_else(|| Violation(format!("version {version} of the table of commits cannot be read")))?,
            ));
        }
    }
    Ok(None)
}

/// What nobody but this program writes is not what it writes.
pub(super) fn foreign(lake: &Lake, path: &str) -> Violation {
    Violation(format!(
        "{} was not written by citystream for these commits; only citystream may write there",
        lake.address(path)
    ))
}

/// The `remove` and the `add` actions of a version.
pub type Changes = (Vec<Value>, Vec<Value>);

/// The least versions of the protocol that readers and writers must know.
pub(super) const PROTOCOL: (i32, i32) = (1, 2);

/// What commits together do to a table: its `remove` and its `add` actions. What came and went among them is in neither.
pub fn changes(table: &Table, commits: &[Commit], written: &Written) -> Changes {
    if table.is_commits() {
        return changes_of_rows(table, commits, written);
    }
    let all = |of: fn(&Commit) -> &BTreeMap<String, Vec<File>>| {
        commits
            .iter()
            .flat_map(move |commit| of(commit).get(&table.name).into_iter().flatten().map(move |file| (commit, file)))
    };
    let paths = |of| all(of).map(|(_, file)| file.path.as_str()).collect::<HashSet<&str>>();
    let (came, went) = (paths(|commit| &commit.added), paths(|commit| &commit.removed));
    let removed = all(|commit| &commit.removed).filter(|(_, file)| !came.contains(file.path.as_str()));
    let added = all(|commit| &commit.added).filter(|(_, file)| !went.contains(file.path.as_str()));
    let old_rows: HashSet<&str> = commits.iter().flat_map(|commit| tidy::put_in_place(commit, &came)).collect();
    let tidies = commits.iter().flat_map(|commit| &commit.tidy);
    let dropped = tidies.filter(|tidy| tidy.what != TidyKind::Pack).flat_map(|tidy| &tidy.removed);
    let dropped: HashSet<&str> = dropped.map(String::as_str).collect();
    let add =
        |(commit, file): (&Commit, &File)| add(table, file, commit.time_ms, !old_rows.contains(file.path.as_str()));
    let remove = |(commit, file): (&Commit, &File)| {
        remove(table, &file.path, commit.time_ms, dropped.contains(file.path.as_str()))
    };
    (removed.map(remove).collect(), added.map(add).collect())
}

/// One version of a table: its bytes. `written` is what it has in the table of commits.
pub fn version(lake_id: &str, table: &Table, commits: &[Commit], written: &Written) -> Bytes {
    let [first, ..] = commits else { return Bytes::new() };
    let last = commits.last().unwrap_or(first);
    let mut actions = vec![json!({"commitInfo": {
        "timestamp": last.time_ms,
        "operation": "WRITE",
        "operationParameters": {},
        "engineInfo": "citystream",
        "seq": last.seq,
        "run": last.run,
    }})];
    if first.seq == 0 {
        let (reader, writer) = PROTOCOL;
        actions.push(json!({"protocol": {"minReaderVersion": reader, "minWriterVersion": writer}}));
        actions.push(json!({"metaData": metadata(lake_id, table, Made::from(first))}));
    }
    let (removed, added) = changes(table, commits, written);
    actions.extend(removed.into_iter().map(|remove| json!({"remove": remove})));
    actions.extend(added.into_iter().map(|add| json!({"add": add})));
    let lines = actions.iter().map(|action| format!("{action}\n"));
    lines.collect::<String>().into()
}

/// A table's metadata, as commit 0 makes it.
pub(super) fn metadata(lake_id: &str, table: &Table, made: Made) -> Value {
    let schema = table.first_schema.as_ref().filter(|_| made.version.is_none()).unwrap_or(&table.schema_string);
    let hash = digest(format!("{lake_id}/{}", table.name).as_bytes());
    let id = format!("{}-{}-{}-{}-{}", &hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..32]);
    json!({
        "id": id,
        "name": table.name,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema,
        "partitionColumns": table.partition.into_iter().collect::<Vec<_>>(),
        "configuration": table.configuration(),
        "createdTime": made.time_ms,
    })
}

/// A live file, as a checkpoint has it.
pub(super) fn live(table: &Table, file: &File) -> Value {
    add(table, file, 0, false)
}

/// `has_new_rows`: whoever follows changes is to read it. `time_ms` is for a file that does not say when it was added.
fn add(table: &Table, file: &File, time_ms: i64, has_new_rows: bool) -> Value {
    let partition = table.partition.map(|column| (column.to_owned(), json!(file.date)));
    json!({
        "path": below(table, &file.path),
        "partitionValues": partition.into_iter().collect::<Map<_, _>>(),
        "size": file.bytes,
        "modificationTime": file.added_ms.unwrap_or(time_ms),
        "dataChange": has_new_rows,
        "stats": statistics::of_file(table, file),
    })
}

/// What a version does to the table of commits: its own rows are new, those that it makes one file are not.
fn changes_of_rows(table: &Table, commits: &[Commit], written: &Written) -> Changes {
    let time_ms = commits.last().map_or(0, |last| last.time_ms);
    let add = |rows: Rows, bytes: u64, has_new_rows: bool| {
        json!({
            "path": below(table, &rows.path()),
            "partitionValues": {},
            "size": bytes,
            "modificationTime": time_ms,
            "dataChange": has_new_rows,
            "stats": statistics::of_rows(rows.first, rows.last),
        })
    };
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    if let Some((merge, bytes)) = &written.merged {
        removed.extend(merge.parts.iter().map(|part| remove(table, &part.path(), time_ms, false)));
        added.push(add(merge.whole, *bytes, false));
    }
    added.push(add(Rows::of(commits), written.own, true));
    (removed, added)
}

/// `has_rows`: some are in no other file from there on, as whoever follows changes is to know.
fn remove(table: &Table, path: &str, time_ms: i64, has_rows: bool) -> Value {
    json!({"path": below(table, path), "deletionTimestamp": time_ms, "dataChange": has_rows})
}

/// A file's path as seen from its table.
fn below<'a>(table: &Table, path: &'a str) -> &'a str {
    path.strip_prefix(&layout::table(&table.name)).map_or(path, |rest| rest.trim_start_matches('/'))
}
