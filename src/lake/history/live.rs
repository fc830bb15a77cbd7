//! The live files of a lake: by reference to the parts of its newest root, and what commits have added and removed since.
//! What is held grows with neither the lake nor its age: of a table's parts, the newest two, if this process wrote them and they
//! are short. Their files are what is packed next, so a commit seldom waits until they are read. Pure; `roots.rs` reads and writes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lake::history::commit::{Commit, File, saturating_sum};

/// A date with more files has a part of its own.
const MOST_FILES: usize = 1000;
/// The files of so many of a table's parts are held, where this process wrote them and they are not more.
const NEWEST: usize = 2;
const FEW_FILES: usize = 256;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// By table.
    parts: BTreeMap<String, Vec<Part>>,
    /// The root that the parts are of; `None`: there is none yet.
    #[serde(skip)]
    pub(super) root: Option<u64>,
    /// By table.
    #[serde(skip)]
    since: BTreeMap<String, Since>,
}

/// Some files of a table, all of one span of dates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// A month, `YYYY-MM`, but for those dates of it that are parts of their own; or a date.
    pub span: String,
    /// How many files.
    pub files: u64,
    /// Path, date (the span's) and digest of the part; all else of its files together: sums, and ranges that hold theirs.
    pub sum: File,
    #[serde(skip)]
    held: Held,
}

/// The files of a part, if they are at hand: that changes nothing of what it is.
#[derive(Clone, Debug, Default)]
struct Held(Option<Arc<[File]>>);

impl PartialEq for Held {
    fn eq(&self, _: &Held) -> bool {
        true
    }
}

/// What has come and gone.
#[derive(Clone, Debug, Default, PartialEq)]
struct Since {
    added: Vec<File>,
    removed: Vec<File>,
}

/// How much a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Rows.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A part that is to be written anew: what it refers to, and what replaces it.
#[derive(Debug)]
pub(super) struct Rewrite {
    pub(super) table: String,
    /// The spans whose parts are read for it, and go.
    pub(super) spans: BTreeSet<String>,
    added: Vec<File>,
    removed: HashSet<String>,
}

impl Live {
    /// Of a root and its parts, by table.
    pub(super) fn of(root: u64, parts: BTreeMap<String, Vec<Part>>) -> Live {
        Live { parts, root: Some(root), since: BTreeMap::new() }
    }

    /// Takes up a commit.
    pub(super) fn take(&mut self, commit: &Commit) {
        for (table, gone) in &commit.removed {
            let since = self.since.entry(table.clone()).or_default();
            // What has come since is forgotten; what is left of them is in parts.
            let mut gone: BTreeMap<&str, &File> = gone.iter().map(|file| (file.path.as_str(), file)).collect();
            since.added.retain(|file| gone.remove(file.path.as_str()).is_none());
            since.removed.extend(gone.into_values().cloned());
        }
        for (table, added) in &commit.added {
            self.since.entry(table.clone()).or_default().added.extend(added.iter().cloned());
        }
    }

    /// The tables that have files, or had.
    pub fn tables(&self) -> BTreeSet<&str> {
        self.parts.keys().chain(self.since.keys()).map(String::as_str).collect()
    }

    /// What each table holds.
    pub fn sizes(&self) -> BTreeMap<&str, Size> {
        self.tables().into_iter().map(|table| (table, self.size(table))).collect()
    }

    fn size(&self, table: &str) -> Size {
        let (added, removed) = (self.added(table), self.removed(table));
        let sum = |of: fn(&File) -> u64, in_parts: fn(&Part) -> u64| {
            let came = self.parts(table).iter().map(in_parts).chain(added.iter().map(of));
            saturating_sum(came).saturating_sub(saturating_sum(removed.iter().map(of)))
        };
        Size {
            rows: sum(|file| file.rows, |part| part.sum.rows),
            files: sum(|_| 1, |part| part.files),
            bytes: sum(|file| file.bytes, |part| part.sum.bytes),
        }
    }

    /// The rows of a table, and what they add up to.
    pub fn sums(&self, table: &str) -> (u64, i64) {
        let parts = self.parts(table).iter().map(|part| &part.sum);
        let net = |files: &[File]| File::sum(files).net;
        let came = File::sum(parts).net.saturating_add(net(self.added(table)));
        (self.size(table).rows, came.saturating_sub(net(self.removed(table))))
    }

    /// The parts of a table.
    pub fn parts(&self, table: &str) -> &[Part] {
        self.parts.get(table).map_or(&[], Vec::as_slice)
    }

    /// All parts, with their tables.
    pub fn all_parts(&self) -> impl Iterator<Item = (&str, &Part)> {
        self.parts.iter().flat_map(|(table, parts)| parts.iter().map(move |part| (table.as_str(), part)))
    }

    /// The files of a table that have come since.
    pub fn added(&self, table: &str) -> &[File] {
        self.since.get(table).map_or(&[], |since| since.added.as_slice())
    }

    /// The files of a table's parts that have gone since.
    pub fn removed(&self, table: &str) -> &[File] {
        self.since.get(table).map_or(&[], |since| since.removed.as_slice())
    }

    /// What the next root is to write: the parts of dates that have changed.
    pub(super) fn rewrites(&self) -> Vec<Rewrite> {
        let changed = self.since.iter().filter(|(_, since)| !since.added.is_empty() || !since.removed.is_empty());
        let rewrite = |(table, Since { added, removed }): (&String, &Since)| Rewrite {
            table: table.clone(),
            spans: added.iter().chain(removed).map(|file| self.span(table, &file.date).to_owned()).collect(),
            added: added.clone(),
            removed: removed.iter().map(|file| file.path.clone()).collect(),
        };
        changed.map(rewrite).collect()
    }

    /// The span of the part in which the files of a date are, or would be; of a part, its own.
    pub(super) fn span<'a>(&self, table: &str, date: &'a str) -> &'a str {
        let has_own = self.parts(table).iter().any(|part| part.span == date);
        if has_own { date } else { date.get(..7).unwrap_or(date) }
    }

    /// The files as of root `seq`, in whose parts is all that was added and removed.
    pub(super) fn at_root(mut self, seq: u64, written: Vec<(Rewrite, Vec<Part>)>) -> Live {
        for (Rewrite { table, spans, .. }, new) in written {
            let parts = self.parts.entry(table).or_default();
            parts.retain(|part| !spans.contains(&part.span));
            parts.extend(new);
            parts.sort_by(|one, other| one.span.cmp(&other.span));
            let old = parts.len().saturating_sub(NEWEST);
            parts.iter_mut().take(old).for_each(|part| part.held = Held::default());
        }
        Live::of(seq, self.parts)
    }
}

impl Rewrite {
    /// What is live of the files read, and has come, by the span that it belongs to.
    pub(super) fn split(&self, read: Vec<File>) -> BTreeMap<String, Vec<File>> {
        let live = read.into_iter().filter(|file| !self.removed.contains(&file.path));
        by_span(live.chain(self.added.iter().cloned()), |date| self.spans.contains(date))
    }
}

/// Files by the span that they belong to; some dates have a part already.
pub(super) fn by_span(
    files: impl Iterator<Item = File>,
    has_own: impl Fn(&str) -> bool,
) -> BTreeMap<String, Vec<File>> {
    let mut dates: BTreeMap<String, Vec<File>> = BTreeMap::new();
    files.for_each(|file| dates.entry(file.date.clone()).or_default().push(file));
    let mut spans: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for (date, files) in dates {
        let is_own = has_own(&date) || files.len() > MOST_FILES;
        let span = if is_own { date } else { date.get(..7).unwrap_or(&date).to_owned() };
        spans.entry(span).or_default().extend(files);
    }
    spans
}

impl Part {
    /// Whether it says of these files what is so.
    pub fn is_of(&self, files: &[File]) -> bool {
        *self == Part::of(&self.span, files, self.sum.path.clone(), self.sum.sha256.clone())
    }

    /// A part of files, at least one, whose bytes are at `path` and have that digest.
    pub(super) fn of(span: &str, files: &[File], path: String, sha256: String) -> Part {
        let sum = File { path, date: span.to_owned(), sha256, ..File::sum(files) };
        let held = Held((files.len() <= FEW_FILES).then(|| files.into()));
        Part { span: span.to_owned(), files: files.len() as u64, sum, held }
    }

    /// The same with nothing at hand.
    pub(super) fn let_go(self) -> Part {
        Part { held: Held::default(), ..self }
    }

    /// Its files, if they are at hand.
    pub(super) fn held(&self) -> Option<&[File]> {
        self.held.0.as_deref()
    }
}
