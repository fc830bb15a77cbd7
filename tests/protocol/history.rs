//! What has become of a lake, kept apart from it: told of each effect on the store, it says at once which of the promises is
//! broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use citystream::parts::{Commit, Kind, digest};
use serde_json::Value;

use crate::asked::{Asked, Whose};
use crate::rows;

/// A file, by table and path.
pub(crate) type Named = (String, String);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// The bytes of all commits there ever were.
    commits: Vec<Arc<[u8]>>,
    read: Vec<Arc<Commit>>,
    /// The files that are live after each.
    live: Vec<Arc<BTreeSet<Named>>>,
    /// The last claim.
    holder: String,
    /// When a file was removed, in milliseconds.
    graves: BTreeMap<String, i64>,
    /// Up to where commits are packed, as a commit says.
    packed: Option<u64>,
    /// The objects that each root is of that may stand for commits.
    bases: BTreeMap<u64, Arc<BTreeSet<String>>>,
    /// Up to where a root stands for the commits, and which commit says so.
    base: Option<(u64, u64)>,
    /// What is in the store, but for commits, with its digest.
    objects: BTreeMap<String, String>,
    /// The data files that ever were, with their digests, and whose rows each has.
    files: BTreeMap<String, (String, Whose)>,
    /// What is asked of runs.
    asked: BTreeMap<String, Asked>,
    /// Vehicles that are to be forgotten, each with the last commit whose rows are meant.
    erased: BTreeMap<String, u64>,
    /// How long a grave stays, in milliseconds.
    grace_ms: i64,
    /// The last commit that ends a version.
    published: u64,
    /// The last commit of a version that all tables have.
    shown: u64,
    /// The last one that a run was told of.
    told: u64,
    /// Rows that are kept no longer.
    gone: u64,
    /// The Delta logs that there are.
    logs: BTreeSet<String>,
    counts: Counts,
}

/// How often what happened.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// What must have happened in many stories: otherwise they show nothing.
pub(crate) const EVENTS: [&str; 23] = [
    "claims",
    "rows erased",
    "rows erased by a run",
    "graves deleted at once",
    "requests deleted",
    "dates dropped",
    "dates dropped by a run",
    "dates dropped as asked",
    "commits of data",
    "files packed",
    "files packed by a run",
    "files packed as asked",
    "packs of commits",
    "packed commits deleted",
    "bases",
    "packs deleted",
    "roots",
    "roots and parts deleted",
    "checkpoints",
    "versions deleted",
    "graves deleted",
    "orphans deleted",
    "commits beside the history",
];

impl History {
    /// The same where graves stay so long, in milliseconds.
    pub(crate) fn with_grace(self, grace_ms: i64) -> History {
        History { grace_ms, ..self }
    }

    /// How often what happened since it was last asked.
    pub(crate) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    fn count(&mut self, event: &'static str) {
        *self.counts.entry(event).or_default() += 1;
    }

    /// How long a grave stays, in milliseconds.
    pub(crate) fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    /// The number of the last commit.
    pub(crate) fn head(&self) -> u64 {
        (self.commits.len() as u64).checked_sub(1).expect("there is a commit")
    }

    pub(crate) fn commit(&self, seq: u64) -> Arc<Commit> {
        Arc::clone(&self.read[seq as usize])
    }

    pub(crate) fn digest(&self, seq: u64) -> String {
        digest(&self.commits[seq as usize])
    }

    /// The files that are live after a commit.
    pub(crate) fn live(&self, seq: u64) -> Arc<BTreeSet<Named>> {
        Arc::clone(&self.live[seq as usize])
    }

    /// Whether a file must be there still: it is live, or was removed less than the grace ago.
    pub(crate) fn is_kept(&self, path: &str, now_ms: i64) -> bool {
        let is_young = |removed: &i64| now_ms - removed < self.grace_ms && !self.is_erased(path);
        self.graves.get(path).is_none_or(is_young)
    }

    /// Whether a file has rows of one that is to be forgotten.
    fn is_erased(&self, path: &str) -> bool {
        self.files
            .get(path)
            .is_some_and(|(_, rows)| rows.iter().any(|(vehicle, seq)| self.erased.get(vehicle) >= Some(seq)))
    }

    /// The rows that are kept no longer.
    pub(crate) fn gone(&self) -> u64 {
        self.gone
    }

    /// A writer was told that its commit stands.
    pub(crate) fn acknowledged(&mut self, commit: &Commit) {
        let there = self.read.get(commit.seq as usize);
        assert_eq!(
            there.map(|there| &**there),
            Some(commit),
            "P2: a commit that was acknowledged is not in the history"
        );
        if commit.version.is_some() {
            self.tells(commit.seq);
        }
    }

    /// A run is told that there is a version up to a commit.
    pub(crate) fn tells(&mut self, seq: u64) {
        self.told = self.told.max(seq);
    }

    /// An object was written.
    pub(crate) fn wrote(&mut self, path: &str, bytes: &[u8]) {
        if let Some(seq) = number(path, "commits/", ".json") {
            return self.committed(seq, bytes);
        }
        if path.starts_with("commits/packs/") {
            self.check_pack(path, bytes);
            self.count("packs of commits");
        }
        if number(path, "snapshots/", ".json").is_some() {
            self.count("roots");
        }
        if let Some(seq) = number(path, "snapshots/base/", ".json") {
            self.bases.insert(seq, Arc::new([path.to_owned()].into_iter().chain(parts(bytes)).collect()));
        }
        if path.starts_with("requests/") {
            let live = self.live(self.told);
            let told = self.told;
            let new = || Asked::new(bytes, told, live);
            let asked = self.asked.entry(path.to_owned()).and_modify(|asked| asked.again(bytes)).or_insert_with(new);
            if let Some((vehicle, through)) = asked.erased() {
                let before = self.erased.entry(vehicle).or_default();
                *before = through.max(*before);
            }
        }
        if path.ends_with(".checkpoint.parquet") {
            self.count("checkpoints");
        }
        let (sum, log) = (digest(bytes), path.split_once("/_delta_log/"));
        if let Some((table, version)) = log.and_then(|(table, name)| Some((table, number(name, "", ".json")?))) {
            let other = self.objects.get(path).filter(|there| **there != sum);
            assert_eq!(other, None, "C9: {path} is written again, otherwise");
            self.logs.insert(table.to_owned());
            self.check_published(table, version);
        }
        // A put may land twice, and late.
        if path.contains('=') {
            let whose = rows::vehicles(bytes.to_vec().into()).into_iter().collect();
            let before = self.files.insert(path.to_owned(), (sum.clone(), whose));
            assert!(before.is_none_or(|(before, _)| before == sum), "{path} is used again");
        }
        self.objects.insert(path.to_owned(), sum);
    }

    fn committed(&mut self, seq: u64, bytes: &[u8]) {
        let next = self.commits.len() as u64;
        if seq < next {
            let is_free = self.packed.is_some_and(|packed| seq <= packed);
            self.count("commits beside the history");
            return assert!(is_free, "P2: commit {seq} is written again");
        }
        assert_eq!(seq, next, "P2: the history is dense");
        let commit: Commit = serde_json::from_slice(bytes).expect("a commit");
        let previous = self.commits.last().map_or_else(String::new, |bytes| digest(bytes));
        assert_eq!(commit.previous, previous, "P2: commit {seq} follows another history");
        match commit.kind {
            Kind::Claim => self.holder.clone_from(&commit.run),
            Kind::Data => assert_eq!(commit.run, self.holder, "P2: commit {seq} is not of the last claimant"),
        }
        self.count(if commit.kind == Kind::Claim { "claims" } else { "commits of data" });
        for tidy in &commit.tidy {
            // Who does it alone has a name of its own.
            let is_run = commit.run.ends_with(['r', 'l', 'f']);
            self.count(match (&tidy.expired, &tidy.erased, &tidy.request) {
                (Some(_), _, Some(_)) => "dates dropped as asked",
                (Some(_), _, None) if is_run => "dates dropped by a run",
                (Some(_), _, None) => "dates dropped",
                (None, Some(_), _) if is_run => "rows erased by a run",
                (None, Some(_), _) => "rows erased",
                (None, None, Some(_)) => "files packed as asked",
                (None, None, None) if is_run => "files packed by a run",
                (None, None, None) => "files packed",
            });
            self.gone += tidy.rows_removed - tidy.rows_added;
        }
        // Whoever follows versions never sees a file come and go in one.
        let shown = self.live.get(self.published as usize).cloned().unwrap_or_default();
        let packs_only = commit.tidy.iter().all(|tidy| tidy.expired.is_none() && tidy.erased.is_none());
        let mut live = self.live.last().map_or_else(BTreeSet::new, |live| (**live).clone());
        for (table, file) in files(&commit.removed) {
            let named = (table, file.clone());
            assert!(live.remove(&named), "T1: commit {seq} removes {file}, which is not live");
            assert!(!packs_only || shown.contains(&named), "commit {seq} packs {file}, which is in no version");
            self.graves.insert(file, commit.time_ms);
        }
        for (table, file) in files(&commit.added) {
            assert!(self.objects.contains_key(&file), "W1: commit {seq} names {file}, which is not there");
            assert!(live.insert((table, file.clone())), "commit {seq} adds {file} again");
        }
        self.published = if commit.version.is_some() { seq } else { self.published };
        self.packed = commit.packed.as_ref().map(|packed| packed.through).or(self.packed);
        if let Some(base) = &commit.base {
            assert!(
                self.bases.get(&base.root.seq).is_some_and(|of| of.iter().all(|path| self.objects.contains_key(path))),
                "B7: commit {seq} names a base that is not there"
            );
            assert!(self.base < Some((base.root.seq, 0)), "B7: commit {seq} moves the base back");
            self.base = Some((base.root.seq, seq));
            self.count("bases");
        }
        self.live.push(Arc::new(live));
        self.read.push(Arc::new(commit));
        self.commits.push(bytes.into());
    }

    fn check_pack(&self, path: &str, bytes: &[u8]) {
        let last = pack_last(path).expect("a pack");
        assert_eq!(path, pack(last));
        let (first, last) = ((last + 1 - COMMITS) as usize, last as usize);
        let packed = zstd::decode_all(bytes).expect("a pack");
        assert_eq!(packed, self.commits[first..=last].concat(), "B7: {path} holds other bytes");
    }

    /// Who takes a version of the table of commits finds all others there.
    fn check_published(&mut self, table: &str, version: u64) {
        if table != "tables/commits" {
            return;
        }
        for log in &self.logs {
            let path = format!("{log}/_delta_log/{version:020}.json");
            assert!(log == table || self.objects.contains_key(&path), "C10: {path} is not there before commits");
        }
        let ends = |commit: &&Arc<Commit>| commit.version == Some(version);
        let seq = self.read.iter().rev().find(ends).map_or(self.shown, |commit| commit.seq);
        self.shown = self.shown.max(seq);
    }

    /// An object is being deleted.
    pub(crate) fn deleted(&mut self, path: &str, now_ms: i64) {
        if let Some(seq) = number(path, "commits/", ".json") {
            let is_packed = self.packed.is_some_and(|packed| seq <= packed) && self.objects.contains_key(&pack(seq));
            self.count("packed commits deleted");
            return assert!(is_packed || self.is_forgotten(seq), "B7: commit {seq} is deleted, and in no pack");
        }
        if let Some(last) = pack_last(path) {
            assert!(self.is_forgotten(last), "B7: {path} is deleted, and no root that lasts stands for it");
        }
        if let Some(asked) = self.asked.remove(path) {
            let live = self.live(self.head());
            let is_there = |path: &&str| self.objects.contains_key(*path);
            let paths = live.iter().map(|(_, path)| path).chain(self.graves.keys()).map(String::as_str);
            asked.check(&live, paths.filter(is_there).filter_map(|path| Some((path, &self.files.get(path)?.1))));
        }
        let begins = self.base.and_then(|(base, _)| self.bases.get(&base));
        assert!(
            begins.is_none_or(|begins| !begins.contains(path)),
            "B7: {path} is deleted, with which the history begins"
        );
        let is_in =
            |live: Option<&Arc<BTreeSet<Named>>>| live.is_some_and(|live| live.iter().any(|(_, file)| file == path));
        for (what, live) in
            [("live", self.live.last()), ("in the last version", self.live.get(self.published as usize))]
        {
            assert!(!is_in(live), "G3: {path} is deleted, and {what}");
        }
        if let Some(removed) = self.graves.get(path) {
            let (age, is_erased) = (now_ms - removed, self.is_erased(path));
            assert!(age >= self.grace_ms || is_erased, "G3: {path} is deleted after {age} ms of {}", self.grace_ms);
            if age < self.grace_ms {
                let is_shown = is_in(self.live.get(self.shown as usize));
                assert!(!is_shown, "G3: {path} is deleted at once, and readers of the newest version see it");
                self.count("graves deleted at once");
            }
        }
        if self.objects.remove(path).is_some() {
            self.count_deleted(path);
        }
    }

    /// Whether a root stands for a commit, and a later one says so: then it is looked for no more.
    fn is_forgotten(&self, seq: u64) -> bool {
        let Some((_, named_by)) = self.base.filter(|(base, _)| seq < *base) else { return false };
        let last = self.objects.keys().filter_map(|path| number(path, "snapshots/", ".json")).max();
        last >= Some(named_by)
    }

    fn count_deleted(&mut self, path: &str) {
        self.count(match path {
            _ if path.starts_with("commits/packs/") => "packs deleted",
            _ if path.starts_with("snapshots/") => "roots and parts deleted",
            _ if path.starts_with("requests/") => "requests deleted",
            _ if path.contains("/_delta_log/") => "versions deleted",
            _ if self.graves.contains_key(path) => "graves deleted",
            _ => "orphans deleted",
        });
    }
}

fn files(of: &BTreeMap<String, Vec<citystream::parts::File>>) -> impl Iterator<Item = Named> + '_ {
    of.iter().flat_map(|(table, files)| files.iter().map(move |file| (table.clone(), file.path.clone())))
}

/// Commits in a pack.
const COMMITS: u64 = 1000;

/// The pack that a commit is in.
fn pack(seq: u64) -> String {
    let first = seq - seq % COMMITS;
    format!("commits/packs/{first:020}-{:020}.jsonl.zst", first + COMMITS - 1)
}

/// The last commit of a pack.
fn pack_last(path: &str) -> Option<u64> {
    path.strip_prefix("commits/packs/")?.strip_suffix(".jsonl.zst")?.split_once('-')?.1.parse().ok()
}

/// The parts that a root refers to.
fn parts(root: &[u8]) -> impl Iterator<Item = String> {
    let root: Value = serde_json::from_slice(root).expect("a root");
    let parts = root["files"]["parts"].as_object().cloned().unwrap_or_default();
    let parts = parts.into_iter().flat_map(|(_, parts)| parts.as_array().cloned().unwrap_or_default());
    parts.map(|part| part["sum"]["path"].as_str().expect("a path").to_owned())
}

/// The number in a name.
fn number(path: &str, before: &str, after: &str) -> Option<u64> {
    let number = path.strip_prefix(before)?.strip_suffix(after)?;
    (number.len() == 20).then(|| number.parse().ok()).flatten()
}
