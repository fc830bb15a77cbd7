//! The names of everything in a lake, relative to its root. No name has a doubled slash.

use citystream_dataflows::bindings::Topic;

/// What the lake was made for: [`crate::lake::settings::Settings`].
pub const SETTINGS: &str = "lake.json";
/// Where the commits are.
pub const COMMITS: &str = "commits";
/// Where the snapshots are.
pub const SNAPSHOTS: &str = "snapshots";
/// The table of records that could not be read.
pub const DEAD_LETTERS: &str = "dead_letters";
/// The table of commits.
pub const COMMITS_TABLE: &str = "commits";
/// The column that raw tables and dead letters are partitioned by.
pub const DATE_COLUMN: &str = "log_date";

/// The raw table of a topic, whatever the topic is called.
pub fn raw_table(topic: Topic) -> &'static str {
    ["raw_vehicle", "raw_gps", "raw_traffic", "raw_weather", "raw_emergency"][topic as usize]
}

/// The tables that hold records, in order: raw tables, then dead letters.
pub fn record_tables() -> impl Iterator<Item = &'static str> {
    Topic::ALL.into_iter().map(raw_table).chain([DEAD_LETTERS])
}

/// The path of a commit.
pub fn commit(seq: u64) -> String {
    format!("{COMMITS}/{seq:020}.json")
}

/// The path of the snapshot after a commit.
pub fn snapshot(seq: u64) -> String {
    format!("{SNAPSHOTS}/{seq:020}.json")
}

/// The number that a commit, a snapshot or a Delta version carries in its name.
pub fn numbered(path: &str) -> Option<u64> {
    let stem = path.rsplit('/').next()?.strip_suffix(".json")?;
    (stem.len() == 20 && stem.bytes().all(|b| b.is_ascii_digit())).then(|| stem.parse().ok()).flatten()
}

/// The root of a table.
pub fn table(name: &str) -> String {
    format!("tables/{name}")
}

/// The path of a Parquet file. `date` is `YYYY-MM-DD`; `seq` the commit that it is meant for; `n` counts the worker's files.
pub fn data_file(table: &str, date: &str, run: &str, seq: u64, worker: usize, n: u64) -> String {
    format!("tables/{table}/{DATE_COLUMN}={date}/{run}-{seq:020}-{worker}-{n}.parquet")
}

/// The row of a commit in the table of commits.
pub fn commits_file(seq: u64) -> String {
    format!("tables/{COMMITS_TABLE}/{seq:020}.parquet")
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
        assert_eq!(numbered("tables/x/_delta_log/00000000000000000007.checkpoint.parquet"), None);
    }

    #[test]
    fn no_name_has_a_doubled_slash() {
        let path = data_file("raw_gps", "2026-11-23", "ab", 3, 1, 2);
        assert_eq!(path, "tables/raw_gps/log_date=2026-11-23/ab-00000000000000000003-1-2.parquet");
        assert!(!path.contains("//"));
        assert_eq!(object_store::path::Path::parse(&path).unwrap().as_ref(), path);
    }
}
