//! What a commit may do to files besides adding rows (its `tidy`): put others in their place that hold the same rows, or lack
//! what is erased (`erasure.rs`), or keep them no longer (`retention.rs`).
//!
//! What is checked here is checked before a commit is written, and again by whoever verifies the lake (T1).

use std::collections::{BTreeSet, HashSet};

use crate::lake::history::commit::{Commit, Erased, Expired, File, Tidy, TidyKind, saturating_sum};
use crate::lake::history::{State, Violation, erasure, retention};

/// So often a row is written anew at most.
pub const MOST_LEVELS: u8 = 4;

/// The paths of the files that a commit put in the place of others, none of which is new.
pub fn put_in_place<'a>(commit: &'a Commit, new: &HashSet<&str>) -> HashSet<&'a str> {
    let of_old = |tidy: &&Tidy| tidy.removed.iter().all(|path| !new.contains(path.as_str()));
    commit.tidy.iter().filter(of_old).flat_map(|tidy| &tidy.added).map(String::as_str).collect()
}

/// The files whose rows a commit brought to a table.
pub fn new_files<'a>(commit: &'a Commit, table: &str) -> impl Iterator<Item = &'a File> {
    let old = put_in_place(commit, &HashSet::new());
    commit.added.get(table).into_iter().flatten().filter(move |file| !old.contains(file.path.as_str()))
}

/// Records in a commit that a file took the place of others.
pub fn record(commit: &mut Commit, table: &str, removed: Vec<File>, added: File, request: Option<String>) {
    commit.tidy.push(Tidy {
        what: TidyKind::Pack,
        table: table.to_owned(),
        removed: removed.iter().map(|file| file.path.clone()).collect(),
        added: vec![added.path.clone()],
        rows_removed: File::sum(&removed).rows,
        rows_added: added.rows,
        request,
        expired: None,
        erased: None,
    });
    commit.removed.entry(table.to_owned()).or_default().extend(removed);
    commit.added.entry(table.to_owned()).or_default().push(added);
}

/// Records in a commit that files are kept no longer.
pub fn record_expired(commit: &mut Commit, table: &str, removed: Vec<File>, expired: Expired, request: Option<String>) {
    commit.tidy.push(Tidy {
        what: TidyKind::Keep,
        table: table.to_owned(),
        removed: removed.iter().map(|file| file.path.clone()).collect(),
        added: Vec::new(),
        rows_removed: saturating_sum(removed.iter().map(|file| file.rows)),
        rows_added: 0,
        request,
        expired: Some(expired),
        erased: None,
    });
    commit.removed.entry(table.to_owned()).or_default().extend(removed);
}

/// Records in a commit that rows are erased: files without them took the place of others.
pub fn record_erased(
    commit: &mut Commit,
    table: &str,
    (removed, added): (Vec<File>, Vec<File>),
    erased: Erased,
    request: Option<String>,
) {
    let (paths, rows) = (
        |files: &[File]| files.iter().map(|file| file.path.clone()).collect(),
        |files: &[File]| saturating_sum(files.iter().map(|file| file.rows)),
    );
    commit.tidy.push(Tidy {
        what: TidyKind::Erase,
        table: table.to_owned(),
        removed: paths(&removed),
        added: paths(&added),
        rows_removed: rows(&removed),
        rows_added: rows(&added),
        request,
        expired: None,
        erased: Some(erased),
    });
    commit.removed.entry(table.to_owned()).or_default().extend(removed);
    if !added.is_empty() {
        commit.added.entry(table.to_owned()).or_default().extend(added);
    }
}

/// T1: a commit removes only what its tidies name, each file once; what is put in a place holds the same, or lacks what is
/// erased (T4), and what goes for good may (T3).
pub fn check(previous: Option<&State>, commit: &Commit) -> Result<(), Violation> {
    let seq = commit.seq;
    let mut named = BTreeSet::new();
    for tidy in &commit.tidy {
        let (removed, added) = (commit.removed_by(tidy), commit.added_by(tidy));
        let (checked, promise) = match tidy.what {
            TidyKind::Pack => (check_pack(&removed, &added, tidy), "T1"),
            TidyKind::Keep => (retention::check(previous, tidy, &removed, &added), "T3"),
            TidyKind::Erase => (erasure::check(previous, tidy, &removed, &added), "T4"),
        };
        checked.map_err(|why| Violation(format!("{promise}: commit {seq}: {} {}: {why}", verb(tidy), tidy.table)))?;
        if let Some(twice) = tidy.removed.iter().find(|path| !named.insert(path.as_str())) {
            return Err(Violation(format!("T1: commit {seq} removes {twice} twice")));
        }
    }
    match commit.removed.values().flatten().find(|file| !named.contains(file.path.as_str())) {
        Some(file) => Err(Violation(format!("T1: commit {seq} removes {}, and does not say why", file.path))),
        None => Ok(()),
    }
}

fn verb(tidy: &Tidy) -> &'static str {
    match tidy.what {
        TidyKind::Pack => "packing",
        TidyKind::Keep => "dropping",
        TidyKind::Erase => "erasing",
    }
}

/// The one file that was made is, but for its bytes, what those that went add up to.
fn check_pack(removed: &[&File], added: &[&File], tidy: &Tidy) -> Result<(), String> {
    let ([first, _, ..], [made]) = (removed, added) else {
        return Err(format!("{} files became {}", removed.len(), added.len()));
    };
    let sum = File::sum(removed.iter().copied());
    let File { path, bytes, sha256, added_ms, .. } = (*made).clone();
    let (date, level) = (first.date.clone(), sum.level.saturating_add(1));
    let expected = File { path, bytes, sha256, added_ms, date, level, ..sum };
    if removed.iter().any(|file| file.date != first.date) {
        return Err("files of several dates".to_owned());
    }
    if **made != expected || made.level > MOST_LEVELS {
        return Err(format!("{made:?} where {expected:?} would be right"));
    }
    let (said, is) = ((removed.len(), added.len(), expected.rows), (tidy.removed.len(), tidy.added.len(), made.rows));
    if said != is || (tidy.rows_removed, tidy.rows_added) != (expected.rows, made.rows) {
        return Err(format!(
            "it says {} files of {} rows for {}",
            tidy.removed.len(),
            tidy.rows_removed,
            tidy.rows_added
        ));
    }
    Ok(())
}

/// T1: what a commit removes is live, as it says.
pub fn check_live(seq: u64, removed: &[File], mut is_live: impl FnMut(&File) -> bool) -> Result<(), Violation> {
    match removed.iter().find(|file| !is_live(file)) {
        Some(file) => Err(Violation(format!("T1: commit {seq} removes {}, which is not there as it says", file.path))),
        None => Ok(()),
    }
}
