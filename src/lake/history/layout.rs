//! The names of everything in a lake, relative to its root. No name has a doubled slash.

use arrow::datatypes::Schema;
use citystream_dataflows::time::bindings::Topic;

pub use crate::columns::tables::DEAD_LETTERS;
use crate::columns::tables::Table;

/// What the lake was made for: [`crate::lake::history::settings::Settings`].
pub const SETTINGS: &str = "lake.json";
/// Where the commits are.
pub const COMMITS: &str = "commits";
/// Where commits are packed.
pub const PACKS: &str = "commits/packs";
/// Where the tables are.
pub const TABLES: &str = "tables";
/// Where the roots and their parts are.
pub const SNAPSHOTS: &str = "snapshots";
/// The table of commits.
pub const COMMITS_TABLE: &str = "commits";
/// The column that raw tables and dead letters are partitioned by.
pub const DATE_COLUMN: &str = "log_date";
/// The column that derived tables are partitioned by: the date of a row's own time, not of the log's.
pub const EVENT_DATE_COLUMN: &str = "event_date";
/// The columns whose range stands in a file's description: a table has at most one of them.
const TIME_COLUMNS: [&str; 3] = ["event_time", "window_start", "first_time"];

/// The raw table of a topic, whatever the topic is called.
pub fn raw_table(topic: Topic) -> &'static str {
    topic.raw_table()
}

/// The tables that hold records, in order: raw tables, then dead letters.
#[cfg(test)]
pub fn record_tables() -> impl Iterator<Item = &'static str> {
    Topic::all().map(raw_table).chain([DEAD_LETTERS])
}

/// Whether a table is derived; any other holds records, or what could not be read as one.
pub fn is_derived(name: &str) -> bool {
    Table::from_name(name).is_some_and(|table| table.derived().is_some())
}

/// The column that a table is partitioned by.
pub fn date_column(table: &str) -> &'static str {
    if is_derived(table) { EVENT_DATE_COLUMN } else { DATE_COLUMN }
}

/// The column of a table's event times; dead letters have none.
pub fn time_column(schema: &Schema) -> Option<&'static str> {
    TIME_COLUMNS.into_iter().find(|column| schema.field_with_name(column).is_ok())
}

/// The path of a commit.
pub fn commit(seq: u64) -> String {
    format!("{COMMITS}/{seq:020}.json")
}

/// The path of a pack of commits.
pub fn pack(first: u64, last: u64) -> String {
    format!("{PACKS}/{first:020}-{last:020}.jsonl.zst")
}

/// The last commit of a pack.
pub fn pack_last(path: &str) -> Option<u64> {
    let (_, last) = path.strip_prefix(PACKS)?.split_once('-')?;
    last.strip_suffix(".jsonl.zst")?.parse().ok()
}

/// The path of the root after a commit.
pub fn root(seq: u64) -> String {
    format!("{SNAPSHOTS}/{seq:020}.json")
}

/// The path of a part that was written for a root.
pub fn part(seq: u64, table: &str, span: &str) -> String {
    format!("{SNAPSHOTS}/{seq:020}/{table}-{span}.parquet")
}

/// The path of the root that stands for a commit and all before it.
pub fn base(seq: u64) -> String {
    format!("{SNAPSHOTS}/base/{seq:020}.json")
}

/// The path of a part of such a root.
pub fn base_part(seq: u64, table: &str, span: &str) -> String {
    format!("{SNAPSHOTS}/base/{seq:020}/{table}-{span}.parquet")
}

/// The number of such a root, or of the one that a part was written for.
pub fn base_number(path: &str) -> Option<u64> {
    path.strip_prefix(SNAPSHOTS)?.strip_prefix("/base/")?.get(..20)?.parse().ok()
}

/// The number of a root, whether it stands for commits or not.
pub fn any_root_number(path: &str) -> Option<u64> {
    root_number(path).or_else(|| base_number(path).filter(|_| path.ends_with(".json")))
}

/// The number of a root.
pub fn root_number(path: &str) -> Option<u64> {
    path.strip_prefix(SNAPSHOTS)?.strip_prefix('/').filter(|name| !name.contains('/')).and_then(numbered)
}

/// The number of the root that a part was written for.
pub fn part_number(path: &str) -> Option<u64> {
    let (root, _) = path.strip_prefix(SNAPSHOTS)?.strip_prefix('/')?.split_once('/')?;
    number_before(root, "")
}

/// The number that a commit, a root or a Delta version carries in its name.
pub fn numbered(path: &str) -> Option<u64> {
    number_before(path, ".json")
}

/// The version that a Delta checkpoint carries in its name.
pub fn checkpoint_version(path: &str) -> Option<u64> {
    number_before(path, ".checkpoint.parquet")
}

fn number_before(path: &str, suffix: &str) -> Option<u64> {
    let stem = path.rsplit('/').next()?.strip_suffix(suffix)?;
    (stem.len() == 20 && stem.bytes().all(|b| b.is_ascii_digit())).then(|| stem.parse().ok()).flatten()
}

/// The root of a table.
pub fn table(name: &str) -> String {
    format!("tables/{name}")
}

/// The path of a Parquet file. `date` is `YYYY-MM-DD`; `seq` the commit that it is meant for; `n` counts the worker's files.
pub fn data_file(table: &str, date: &str, run: &str, seq: u64, worker: usize, n: u64) -> String {
    let column = date_column(table);
    format!("tables/{table}/{column}={date}/{run}-{seq:020}-{worker}-{n}.parquet")
}

/// The run that wrote a Parquet file of a table that is partitioned by date.
pub fn run_of(path: &str) -> Option<&str> {
    let mut names = path.rsplit('/');
    let (name, folder) = (names.next()?, names.next()?);
    name.split_once('-').map(|(run, _)| run).filter(|_| folder.contains('=') && name.ends_with(".parquet"))
}

/// Whether a file is, by its name, a data file of another run than this: those of the table of commits have two parts.
pub fn is_of_another(name: &str, run: &str) -> bool {
    name.ends_with(".parquet") && name.splitn(3, '-').count() == 3 && !name.starts_with(run)
}

/// The commit that a Parquet file was written for; `None`: it was made of others.
pub fn meant_for(path: &str) -> Option<u64> {
    path.rsplit('/').next()?.split('-').nth(1)?.parse().ok()
}

/// The path of the n-th Parquet file of a run that others become.
pub fn packed_file(table: &str, date: &str, run: &str, n: u64) -> String {
    let column = date_column(table);
    format!("tables/{table}/{column}={date}/{run}-packed-{n}.parquet")
}

/// The path of the n-th Parquet file of a run from which rows were erased.
pub fn erased_file(table: &str, date: &str, run: &str, n: u64) -> String {
    packed_file(table, date, run, n).replace("-packed-", "-erased-")
}

/// Where requests to whoever holds the claim are.
pub const REQUESTS: &str = "requests";

/// The path of a request.
pub fn request(id: &str) -> String {
    format!("{REQUESTS}/{id}.json")
}

/// The last commit whose row a file of one version in the table of commits has.
pub fn commits_file_number(path: &str) -> Option<u64> {
    number_before(path, ".parquet")
}

/// The row of a commit in the table of commits.
pub fn commits_file(seq: u64) -> String {
    format!("tables/{COMMITS_TABLE}/{seq:020}.parquet")
}

/// The rows of the commits of so many versions in the table of commits, up to commit `seq`.
pub fn merged_commits_file(seq: u64, versions: u64) -> String {
    format!("tables/{COMMITS_TABLE}/{seq:020}-{versions}.parquet")
}

/// The last commit whose row a file in the table of commits has, and the versions that it was made of.
pub fn commits_file_of(path: &str) -> Option<(u64, u64)> {
    let own = commits_file_number(path).map(|seq| (seq, 1));
    own.or_else(|| {
        let (before, versions) = path.strip_suffix(".parquet")?.rsplit_once('-')?;
        Some((number_before(before, "")?, versions.parse().ok()?))
    })
}

/// Where a table's Delta log is.
pub fn delta_log(table: &str) -> String {
    format!("tables/{table}/_delta_log")
}

/// One version of a table's Delta log.
pub fn delta_version(table: &str, version: u64) -> String {
    format!("tables/{table}/_delta_log/{version:020}.json")
}

/// The checkpoint of a table's Delta log at a version.
pub fn delta_checkpoint(table: &str, version: u64) -> String {
    format!("tables/{table}/_delta_log/{version:020}.checkpoint.parquet")
}

/// Where a table's Delta log names its last checkpoint.
pub fn delta_last_checkpoint(table: &str) -> String {
    format!("tables/{table}/_delta_log/_last_checkpoint")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_their_numbers() {
        assert_eq!(commit(7), "commits/00000000000000000007.json");
        assert!(commit(9) < commit(10) && commit(99) < commit(u64::MAX));
        for seq in [0, 1, u64::MAX] {
            assert_eq!(numbered(&commit(seq)), Some(seq));
            assert_eq!(numbered(&delta_version("raw_gps", seq)), Some(seq));
        }
        assert_eq!(numbered("commits/7.json"), None);
        assert_eq!(numbered(&delta_checkpoint("x", 7)), None);
        assert_eq!(checkpoint_version(&delta_checkpoint("x", 7)), Some(7));
        assert_eq!(checkpoint_version(&delta_version("x", 7)), None);
    }

    #[test]
    fn no_name_has_a_doubled_slash() {
        let path = data_file("raw_gps", "2026-11-23", "ab", 3, 1, 2);
        assert_eq!(path, "tables/raw_gps/log_date=2026-11-23/ab-00000000000000000003-1-2.parquet");
        assert!(!path.contains("//"));
        assert!(data_file("incidents_changes", "2026-11-23", "ab", 3, 1, 2).contains("/event_date=2026-11-23/"));
        assert_eq!(object_store::path::Path::parse(&path).unwrap().as_ref(), path);
    }
}
