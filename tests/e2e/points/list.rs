//! The points: requests to the store that publication, sealing, packing, folding, pinning, retention and collection are made of.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use citystream::parts::{Commit, Kind, Table, TidyKind};

use crate::common::store_proxy::{Asked, Fate};

/// See the module. One that only reads is as good before its effect as after it.
pub(super) struct Point {
    pub(super) name: &'static str,
    is: Test,
    reads: bool,
}

type Test = fn(&Seen, &Asked) -> bool;

/// What a run has asked for so far.
#[derive(Default)]
pub(super) struct Seen {
    written: BTreeSet<String>,
    /// How many tables' logs have a version, by its number.
    versions: BTreeMap<String, usize>,
    pub(super) commits: u32,
    /// Whether it has come to a point.
    pub(super) is_met: bool,
}

const fn write(name: &'static str, is: Test) -> Point {
    Point { name, is, reads: false }
}

const fn read(name: &'static str, is: Test) -> Point {
    Point { name, is, reads: true }
}

/// The first so many points come only with a root.
pub(super) const WITH_A_ROOT: usize = 12;

/// Where versions of the table of commits are.
const ROWS_LOG: &str = "tables/commits/_delta_log/0";

/// All points, those that come seldom first: a request may be several.
pub(super) const POINTS: [Point; 36] = [
    // Packs of commits, roots, graves.
    write("a commit that names a pack of commits", |_, asked| is_commit(asked, |commit| commit.packed.is_some())),
    write("a commit that pins a root", |_, asked| is_commit(asked, |commit| commit.pin.is_some())),
    write("a commit that says what was collected", |_, asked| is_commit(asked, |commit| commit.collected.is_some())),
    write("a pack of commits", |_, asked| is_put(asked, "commits/packs/", ".zst")),
    read("a pack of commits is read back", |seen, asked| seen.is_read_back(asked, "commits/packs/", ".zst")),
    write("packed commits go", |_, asked| is_deletion(asked, "commits/", ".json")),
    write("a part of a root", |_, asked| is_put(asked, "snapshots/", ".parquet")),
    read("a part of a root is read back", |seen, asked| seen.is_read_back(asked, "snapshots/", ".parquet")),
    write("a root", |_, asked| is_put(asked, "snapshots/", ".json")),
    read("a root is read back", |seen, asked| seen.is_read_back(asked, "snapshots/", ".json")),
    write("old roots go", |_, asked| is_deletion(asked, "snapshots/", "")),
    write("rows that have become one file go", |_, asked| is_deletion(asked, "tables/commits/0", ".parquet")),
    write("graves go", |_, asked| is_deletion(asked, "tables/", ".parquet")),
    // Delta logs.
    write("a Delta checkpoint", |_, asked| is_put(asked, "tables/", ".checkpoint.parquet")),
    write("the name of the last checkpoint", |_, asked| is_put(asked, "tables/", "_last_checkpoint")),
    write("old versions go", |_, asked| is_deletion(asked, "tables/", ".json")),
    write("a version of the first table", |seen, asked| seen.is_version(asked, 1)),
    write("a version of a middle table", |seen, asked| seen.is_version(asked, Table::all().count() / 2)),
    write("a version of the last table", |seen, asked| seen.is_version(asked, Table::all().count())),
    write("rows of many versions in one file", |_, asked| is_put(asked, "tables/commits/0", "-64.parquet")),
    write("a version that makes rows one file", |_, asked| is_put(asked, ROWS_LOG, ".json") && merges(asked)),
    write("rows of the table of commits", |_, asked| is_put(asked, "tables/commits/0", ".parquet")),
    write("a version of the table of commits", |_, asked| is_put(asked, ROWS_LOG, ".json")),
    // Files are packed, dates dropped.
    write("a request is taken", |_, asked| is_put(asked, "requests/", ".json")),
    write("a request goes", |_, asked| is_deletion(asked, "requests/", ".json")),
    write("a packed file", |_, asked| is_put(asked, "tables/", ".parquet") && asked.paths[0].contains("-packed-")),
    write("a commit that drops dates", |_, asked| is_commit(asked, |commit| tidies(commit, TidyKind::Keep))),
    write("a commit that names a packed file", |_, asked| is_commit(asked, |commit| tidies(commit, TidyKind::Pack))),
    // Records come, rows are sealed.
    write("a claim", |_, asked| is_commit(asked, |commit| commit.kind == Kind::Claim)),
    write("a file of records", |_, asked| is_file(asked, |table| matches!(table, Table::Raw(_)))),
    write("a file of changes", |_, asked| is_file(asked, |table| matches!(table, Table::Changes(_)))),
    write("a file of sealed rows", |_, asked| is_file(asked, |table| matches!(table, Table::Sealed(_)))),
    write("a commit that seals", |_, asked| is_commit(asked, seals)),
    write("a commit that ends no version", |_, asked| is_commit(asked, |commit| is_data(commit, false))),
    write("a commit that ends a version", |_, asked| is_commit(asked, |commit| is_data(commit, true))),
    write("a commit of records", |_, asked| is_commit(asked, |commit| !commit.ledger.is_empty())),
];

/// A point, and what happens there.
pub(super) type Visit = (usize, Fate);

/// All that there is to visit.
pub(super) fn visits() -> Vec<Visit> {
    let fates = |(n, point): (usize, &Point)| {
        let fates: &[Fate] = if point.reads { &[Fate::KilledAfter] } else { &[Fate::KilledBefore, Fate::KilledAfter] };
        fates.iter().map(move |fate| (n, *fate)).collect::<Vec<_>>()
    };
    POINTS.iter().enumerate().flat_map(fates).collect()
}

impl Seen {
    /// The first visit of a list that a request is for.
    pub(super) fn find(&mut self, asked: &Asked, wanted: &[Visit]) -> Option<Visit> {
        if asked.verb == Method::PUT {
            self.written.extend(asked.paths.iter().cloned());
        }
        self.commits += u32::from(is_put(asked, "commits/0", ".json"));
        if let Some(number) = version(asked) {
            *self.versions.entry(number.to_owned()).or_default() += 1;
        }
        wanted.iter().copied().find(|(point, _)| (POINTS[*point].is)(self, asked))
    }

    /// Whether it is the n-th table whose log has this version; that of the table of commits is not counted.
    fn is_version(&self, asked: &Asked, n: usize) -> bool {
        version(asked).is_some_and(|number| self.versions[number] == n)
    }

    fn is_read_back(&self, asked: &Asked, prefix: &str, suffix: &str) -> bool {
        asked.verb == Method::GET && is_at(asked, prefix, suffix) && self.written.contains(&asked.paths[0])
    }
}

fn is_at(asked: &Asked, prefix: &str, suffix: &str) -> bool {
    asked.paths.first().is_some_and(|path| path.starts_with(prefix) && path.ends_with(suffix))
}

fn is_put(asked: &Asked, prefix: &str, suffix: &str) -> bool {
    asked.verb == Method::PUT && is_at(asked, prefix, suffix)
}

fn is_deletion(asked: &Asked, prefix: &str, suffix: &str) -> bool {
    asked.verb == Method::POST && is_at(asked, prefix, suffix)
}

/// The number of a version that is written into a table's log, but for the table of commits.
fn version(asked: &Asked) -> Option<&str> {
    let (table, number) = asked.paths.first()?.split_once("/_delta_log/0")?;
    (asked.verb == Method::PUT && table != "tables/commits" && number.ends_with(".json")).then_some(number)
}

/// Whether a version is one that makes rows of those before it one file.
fn merges(asked: &Asked) -> bool {
    let number = asked.paths[0].rsplit('/').next().and_then(|name| name.strip_suffix(".json"));
    number.and_then(|number| number.parse::<u64>().ok()).is_some_and(|number| number.is_multiple_of(64))
}

/// Whether it is a file that a worker has written.
fn is_file(asked: &Asked, of: fn(Table) -> bool) -> bool {
    let path = asked.paths.first().map_or("", String::as_str);
    let table = path.split('/').nth(1).and_then(Table::from_name);
    asked.verb == Method::PUT && path.contains('=') && !path.contains("-packed-") && table.is_some_and(of)
}

fn is_commit(asked: &Asked, is: fn(&Commit) -> bool) -> bool {
    is_put(asked, "commits/0", ".json") && is(&serde_json::from_slice(&asked.body).expect("a commit"))
}

fn is_data(commit: &Commit, ends_version: bool) -> bool {
    commit.kind == Kind::Data && commit.version.is_some() == ends_version
}

fn seals(commit: &Commit) -> bool {
    commit.added.keys().any(|table| matches!(Table::from_name(table), Some(Table::Sealed(_))))
}

fn tidies(commit: &Commit, what: TidyKind) -> bool {
    commit.tidy.iter().any(|tidy| tidy.what == what)
}
