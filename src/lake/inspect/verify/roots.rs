//! Roots and their parts, and packs, against what the commits add up to and say.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::report::Report;
use crate::lake::digest;
use crate::lake::history::commit::{Commit, File, Packed, Pin};
use crate::lake::history::read::ReadError;
use crate::lake::history::{Live, State, Violation, layout, packs, retention, roots, tidy};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// The roots of a lake, and what the commits taken so far add up to.
pub(super) struct Roots {
    found: BTreeMap<u64, Bytes>,
    live: LiveFiles,
    /// The pack that the base is in; those before may be gone.
    first_pack: u64,
}

/// The live files, by table and path.
pub(super) type LiveFiles = BTreeMap<String, BTreeMap<String, File>>;

impl Roots {
    /// Before the first commit, or after the base.
    pub(super) async fn read(lake: &Lake, base: Option<&State>, report: &mut Report) -> Result<Roots, ReadError> {
        let mut found = BTreeMap::new();
        for path in lake.list(layout::SNAPSHOTS, None).await?.into_iter().map(|object| object.path) {
            let Some(seq) = layout::root_number(&path) else { continue };
            // Between the list and here it may have been deleted, as old ones are.
            found.extend(lake.get(&path).await?.map(|bytes| (seq, bytes)));
        }
        let mut live = LiveFiles::new();
        for (table, part) in base.iter().flat_map(|base| base.files.all_parts()) {
            match roots::read_part(lake, part).await? {
                Ok(files) => {
                    let files = files.into_iter().map(|file| (file.path.clone(), file));
                    live.entry(table.to_owned()).or_default().extend(files);
                }
                Err(path) => report.violations.push(format!("P2: {path}, with which the history begins, is damaged")),
            }
        }
        let first_pack = base.map_or(0, |base| packs::first(base.seq));
        Ok(Roots { found, live, first_pack })
    }

    /// Takes a commit, and checks the root that it names, and the one that stands for it. `state` is what the commits add up
    /// to, but for the files.
    pub(super) async fn take(
        &mut self,
        lake: &Lake,
        commit: &Commit,
        state: &State,
        report: &mut Report,
    ) -> Result<(), ReadError> {
        for (table, gone) in &commit.removed {
            let live = self.live.entry(table.clone()).or_default();
            report.note(retention::check_whole(commit, table, live.values()));
            report.note(tidy::check_live(commit.seq, gone, |file| live.remove(&file.path).as_ref() == Some(file)));
        }
        for (table, added) in &commit.added {
            let added = added.iter().map(|file| (file.path.clone(), file.clone()));
            self.live.entry(table.clone()).or_default().extend(added);
        }
        report.note(self.check_pack(lake, commit).await?);
        self.check_pin(commit, report);
        let Some(bytes) = self.found.get(&commit.seq) else { return Ok(()) };
        report.roots += 1;
        if let Err(wrong) = self.check_root(lake, bytes, state).await? {
            let path = layout::root(commit.seq);
            report.derived.extend(wrong.part);
            let text = format!("P2: {path}: {}; a start takes an older one", wrong.why);
            report.note_derived(path, text);
        }
        Ok(())
    }

    /// What is live after the commits taken, which lead to a state: what is gone has to make it up to what was read.
    pub(super) fn into_live(self, state: Option<&State>, report: &mut Report) -> LiveFiles {
        let sum = |table: &str| File::sum(self.live.get(table).into_iter().flat_map(BTreeMap::values));
        let sums = |table: &str| (sum(table).rows, sum(table).net);
        state.iter().for_each(|state| report.note(retention::check_sums(state, sums)));
        self.live
    }

    /// A commit names a root with the digest that it has.
    fn check_pin(&self, commit: &Commit, report: &mut Report) {
        let Some(Pin { seq, sha256 }) = &commit.pin else { return };
        if self.found.get(seq).is_some_and(|bytes| digest(bytes) != *sha256) {
            let (path, by) = (layout::root(*seq), commit.seq);
            let text = format!("P2: {path} is not the one that commit {by} names; a start takes an older one");
            report.note_derived(path, text);
        }
    }

    /// A commit names a pack with the digest that it has.
    async fn check_pack(&self, lake: &Lake, commit: &Commit) -> Result<Result<(), Violation>, StoreError> {
        let packed = commit.packed.as_ref().filter(|packed| packed.through >= self.first_pack);
        let Some(Packed { through, sha256 }) = packed else { return Ok(Ok(())) };
        let path = packs::path(*through);
        let found = lake.get(&path).await?.unwrap_or_default();
        let wrong = || Violation(format!("P2: {path} is not the one that commit {} names", commit.seq));
        Ok((digest(&found) == *sha256).then_some(()).ok_or_else(wrong))
    }

    /// What is wrong with a root.
    async fn check_root(&self, lake: &Lake, bytes: &[u8], state: &State) -> Result<Result<(), Wrong>, ReadError> {
        let wrong = |why: &str| Ok(Err(Wrong { why: why.to_owned(), part: None }));
        let root: State = match serde_json::from_slice(bytes) {
            Ok(root) => root,
            Err(error) => return wrong(&format!("cannot be read ({error})")),
        };
        let live = root.files.clone();
        if (State { files: Live::default(), ..root }) != (State { files: Live::default(), ..state.clone() }) {
            return wrong("is not what the commits add up to");
        }
        let mut files: BTreeMap<&str, BTreeMap<String, File>> = BTreeMap::new();
        for (table, part) in live.all_parts() {
            let read = match roots::read_part(lake, part).await? {
                Ok(read) => read,
                Err(path) => {
                    let why = format!("its part {path} is missing or damaged");
                    return Ok(Err(Wrong { why, part: Some(path) }));
                }
            };
            if !part.is_of(&read) {
                return wrong(&format!("its part {} has other sums or ranges", part.sum.path));
            }
            files.entry(table).or_default().extend(read.into_iter().map(|file| (file.path.clone(), file)));
        }
        let expected = self.live.iter().filter(|(_, files)| !files.is_empty());
        let same =
            files.iter().map(|(table, files)| (*table, files)).eq(expected.map(|(t, files)| (t.as_str(), files)));
        if same { Ok(Ok(())) } else { wrong("its parts are not the files that the commits add up to") }
    }
}

/// What is wrong with a root, and the part that is.
struct Wrong {
    why: String,
    part: Option<String>,
}
