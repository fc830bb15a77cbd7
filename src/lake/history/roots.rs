//! Where a lake stands: the newest sound root and the commits after it; and the roots themselves.
//!
//! `snapshots/<seq>.json`, a root, is what the history adds up to after commit `seq`, but for the live files: those stand in
//! its parts (`part.rs`), which later roots refer to until something in them changes. Roots and parts are functions of the
//! history. A root that is missing or damaged, or a part of it, costs time: an older one takes its place, in the end all
//! commits. Commits name the root before them by its digest (their *pin*), once it has been read back.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};

use crate::lake::digest;
use crate::lake::history::commit::{Commit, File, Pin};
use crate::lake::history::live::{Live, Part, Rewrite};
use crate::lake::history::read::{self, ReadError, commit, head};
use crate::lake::history::{self, State, Violation, layout, part, rebuilt, retention};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// How many parts are read at the same time.
const READ_AHEAD: usize = 8;
/// The newest roots that are kept.
const NEWEST: usize = 3;
/// For so many days one root a day is kept.
const DAYS: i64 = 7;
const DAY_MS: i64 = 24 * 3_600_000;
/// Other roots go after an hour: whoever reads one is done by then.
const GRACE_MS: i64 = 3_600_000;

/// Where the history stands; `None` if it has not begun.
///
/// # Errors
/// The store's; a history that is not sound. A root that is not sound is left out, with a warning.
pub async fn state(lake: &Lake) -> Result<Option<State>, ReadError> {
    let roots = listed(lake).await?;
    let newest = roots.last().map(|(number, _)| *number);
    // Only what comes after the newest root is listed.
    let Some(head) = head(lake, newest).await?.max(newest) else { return Ok(None) };
    state_at(lake, head, roots).await
}

/// Where the history stood after commit `seq`, which is there.
///
/// # Errors
/// As of [`state`].
pub async fn after(lake: &Lake, seq: u64) -> Result<Option<State>, ReadError> {
    let mut roots = listed(lake).await?;
    roots.retain(|(number, _)| *number <= seq);
    state_at(lake, seq, roots).await
}

/// The roots by number and path, the newest last.
async fn listed(lake: &Lake) -> Result<Vec<(u64, String)>, StoreError> {
    let there = lake.list(layout::SNAPSHOTS, None).await?.into_iter();
    let mut roots: Vec<_> = there.filter_map(|of| Some((layout::any_root_number(&of.path)?, of.path))).collect();
    roots.sort_unstable();
    Ok(roots)
}

/// Where the history stood after commit `seq`, from the newest sound one of these roots.
async fn state_at(lake: &Lake, seq: u64, mut roots: Vec<(u64, String)>) -> Result<Option<State>, ReadError> {
    while let Some((root, path)) = roots.pop() {
        match from_root(lake, (root, &path), seq).await? {
            Ok(state) => return Ok(Some(state)),
            Err(why) => tracing::warn!("{}: {why}; an older one is read", lake.address(&path)),
        }
    }
    go_on(lake, None, |_| None, seq).await.map(|(state, _)| state)
}

/// From a root to commit `seq`; what is wrong with the root, if something is.
async fn from_root(lake: &Lake, (root, path): (u64, &str), seq: u64) -> Result<Result<State, String>, ReadError> {
    let Some(bytes) = lake.get(path).await? else { return Ok(Err("it is gone".into())) };
    let mut state: State = match serde_json::from_slice(&bytes) {
        Ok(state) => state,
        Err(error) => return Ok(Err(format!("it cannot be read ({error})"))),
    };
    let (bytes_before, _) = commit(lake, root).await?;
    if state.seq != root || state.digest != digest(&bytes_before) {
        return Ok(Err("it stands for another commit than the one that is there".into()));
    }
    state.files.root = Some(root);
    let (state, pinned) = go_on(lake, Some(state), |commit| said_of(commit, root, path), seq).await?;
    match (state, pinned) {
        (_, Some(pinned)) if pinned != digest(&bytes) => Ok(Err("it is not the one that the commits name".into())),
        (Some(state), _) => match retention::check_sums(&state, |table| state.files.sums(table)) {
            Ok(()) => Ok(Ok(state)),
            Err(Violation(why)) => Ok(Err(why)),
        },
        (None, _) => Ok(Err("it leads nowhere".into())),
    }
}

/// The digest by which a commit names a root, if it does.
fn said_of<'a>(commit: &'a Commit, root: u64, path: &str) -> Option<&'a str> {
    let pin = match layout::base_number(path) {
        Some(_) => commit.base.as_ref().map(|base| &base.root),
        None => commit.pin.as_ref(),
    };
    pin.filter(|pin| pin.seq == root).map(|pin| pin.sha256.as_str())
}

/// Applies the commits after a state, up to `seq`; and the digest by which they name a root, if they do.
async fn go_on(
    lake: &Lake,
    mut state: Option<State>,
    says: impl Fn(&Commit) -> Option<&str>,
    seq: u64,
) -> Result<(Option<State>, Option<String>), ReadError> {
    let mut pinned = None;
    let first = state.as_ref().map_or(0, |state| state.seq + 1);
    let mut commits = std::pin::pin!(read::read(lake, first..=seq).await?);
    while let Some((bytes, commit)) = commits.try_next().await? {
        history::check(state.as_ref(), &commit)?;
        pinned = pinned.or_else(|| says(&commit).map(str::to_owned));
        state = Some(history::apply(state, &commit, digest(&bytes)));
    }
    Ok((state, pinned))
}

/// The live files of a table that may be wanted: `may` is asked of parts, whose ranges hold those of their files, and of
/// files. A damaged part is made up for from an older root.
///
/// # Errors
/// As of [`state`].
pub async fn files(
    lake: &Lake,
    live: &Live,
    table: &str,
    may: impl Fn(&File) -> bool + Send + Sync,
) -> Result<Vec<File>, ReadError> {
    let removed: BTreeSet<&str> = live.removed(table).iter().map(|file| file.path.as_str()).collect();
    let mut files = in_parts(lake, live, table, &may).await?;
    files.extend(live.added(table).iter().cloned());
    files.retain(|file| may(file) && !removed.contains(file.path.as_str()));
    Ok(files)
}

/// The live files of some dates of a table.
///
/// # Errors
/// As of [`state`].
pub async fn files_of(lake: &Lake, live: &Live, table: &str, dates: &BTreeSet<&str>) -> Result<Vec<File>, ReadError> {
    let spans: BTreeSet<&str> = dates.iter().map(|date| live.span(table, date)).collect();
    // Of parts it is asked with their span for a date.
    files(lake, live, table, |file| dates.contains(file.date.as_str()) || spans.contains(file.date.as_str())).await
}

/// The spans of dates that live files of a table are in, or may be.
pub fn spans<'a>(live: &'a Live, table: &str) -> BTreeSet<&'a str> {
    let in_parts = live.parts(table).iter().map(|part| part.span.as_str());
    in_parts.chain(live.added(table).iter().map(|file| live.span(table, &file.date))).collect()
}

/// The live files of a table that are in one of its spans.
///
/// # Errors
/// As of [`state`].
pub async fn files_of_span(lake: &Lake, live: &Live, table: &str, span: &str) -> Result<Vec<File>, ReadError> {
    // Of parts it is asked with their span for a date.
    files(lake, live, table, |file| file.date == span || live.span(table, &file.date) == span).await
}

/// Gives all live files of a table, those of one span at a time.
///
/// # Errors
/// As of [`state`].
pub async fn each(lake: &Lake, live: &Live, table: &str, mut take: impl FnMut(&File)) -> Result<(), ReadError> {
    for span in spans(live, table) {
        files_of_span(lake, live, table, span).await?.iter().for_each(&mut take);
    }
    Ok(())
}

/// The files in parts that may be wanted.
fn in_parts<'a>(
    lake: &'a Lake,
    live: &'a Live,
    table: &'a str,
    may: &'a (dyn Fn(&File) -> bool + Send + Sync),
) -> BoxFuture<'a, Result<Vec<File>, ReadError>> {
    async move {
        let wanted = live.parts(table).iter().filter(|part| may(&part.sum));
        let reads: Vec<_> = wanted.map(|part| read_part(lake, part)).collect();
        let mut reads = futures::stream::iter(reads).buffered(READ_AHEAD);
        let mut files = Vec::new();
        while let Some(read) = reads.next().await {
            match read? {
                Ok(read) => files.extend(read),
                Err(path) => {
                    tracing::warn!(
                        "{}: damaged or missing; its files are taken from an older root",
                        lake.address(&path)
                    );
                    return before(lake, live, table, may).await;
                }
            }
        }
        Ok(files)
    }
    .boxed()
}

/// The files that a root has in its parts, from an older root and the commits up to this one.
async fn before(
    lake: &Lake,
    live: &Live,
    table: &str,
    may: &(dyn Fn(&File) -> bool + Send + Sync),
) -> Result<Vec<File>, ReadError> {
    let Some(root) = live.root else { return Ok(Vec::new()) };
    let mut older = listed(lake).await?;
    older.retain(|(number, _)| *number < root);
    let Some(state) = state_at(lake, root, older).await? else { return Ok(Vec::new()) };
    files(lake, &state.files, table, may).await
}

/// The files of a part; its path if it is missing or damaged.
pub async fn read_part(lake: &Lake, part: &Part) -> Result<Result<Vec<File>, String>, ReadError> {
    if let Some(files) = part.held() {
        return Ok(Ok(files.to_vec()));
    }
    let File { path, sha256, .. } = &part.sum;
    let bytes = lake.get(path).await?.filter(|bytes| digest(bytes) == *sha256);
    Ok(bytes.and_then(part::decode).ok_or_else(|| path.clone()))
}

/// Writes the root of a state, and those of its parts that have changed; reads back what it wrote. The same files by
/// reference to it, and its pin.
///
/// # Errors
/// As of [`state`]; something else where it is to be.
pub async fn write(lake: &Lake, state: &State) -> Result<(Live, Pin), ReadError> {
    let mut written = Vec::new();
    for rewrite in state.files.rewrites() {
        let parts = write_parts(lake, state, &rewrite).await?;
        written.push((rewrite, parts));
    }
    let live = state.files.clone().at_root(state.seq, written);
    let root = State { files: live.clone(), ..state.clone() };
    let pin = put_root(lake, &layout::root(state.seq), &root).await?;
    Ok((live, pin))
}

/// Puts a root whose parts are there.
pub(super) async fn put_root(lake: &Lake, path: &str, root: &State) -> Result<Pin, ReadError> {
    let bytes = serde_json::to_vec(root).map_err(|e| Violation(format!("{path}: {e}")))?;
    let sha256 = digest(&bytes);
    rebuilt::put(lake, path, bytes.into()).await?;
    Ok(Pin { seq: root.seq, sha256 })
}

/// Puts a part of a table's files.
pub(super) async fn put_part(
    lake: &Lake,
    table: &str,
    (span, files): (&str, &[File]),
    path: String,
) -> Result<Part, ReadError> {
    let bytes = part::encode(table, files).map_err(|e| Violation(format!("{path}: {e}")))?;
    let sha256 = digest(&bytes);
    rebuilt::put(lake, &path, bytes).await?;
    Ok(Part::of(span, files, path, sha256))
}

async fn write_parts(lake: &Lake, state: &State, rewrite: &Rewrite) -> Result<Vec<Part>, ReadError> {
    let Rewrite { table, spans, .. } = rewrite;
    let ours = |file: &File| spans.contains(state.files.span(table, &file.date));
    let read = in_parts(lake, &state.files, table, &ours).await?;
    let mut parts = Vec::new();
    for (span, files) in rewrite.split(read) {
        let path = layout::part(state.seq, table, &span);
        parts.push(put_part(lake, table, (&span, &files), path).await?);
    }
    Ok(parts)
}

/// Deletes the roots that are kept no longer, what no root that is kept refers to, and bases before that of the newest.
///
/// # Errors
/// The store's.
pub async fn clean(lake: &Lake) -> Result<(), ReadError> {
    let listed = lake.list(layout::SNAPSHOTS, None).await?;
    let mut roots: BTreeMap<u64, State> = BTreeMap::new();
    for path in listed.iter().map(|object| &object.path).filter(|path| layout::root_number(path).is_some()) {
        let bytes = lake.get(path).await?.unwrap_or_default();
        // One that cannot be read refers to nothing.
        roots.extend(serde_json::from_slice::<State>(&bytes).ok().map(|root| (root.seq, root)));
    }
    let kept = kept(&roots.values().map(|root| (root.seq, root.time_ms)).collect::<Vec<_>>());
    let Some(newest) = kept.last().copied() else { return Ok(()) };
    let base = roots[&newest].base.as_ref().map_or(0, |base| base.root.seq);
    let of_root = |seq: &u64| {
        let parts = roots.get(seq).into_iter().flat_map(|root| root.files.all_parts());
        parts.map(|(_, part)| part.sum.path.clone()).chain([layout::root(*seq)])
    };
    let used: BTreeSet<String> = kept.iter().flat_map(of_root).collect();
    // What is of a newer root, or base, may be on its way.
    let is_old = |path: &str| match layout::base_number(path) {
        Some(seq) => seq < base,
        None => layout::root_number(path).or(layout::part_number(path)).is_some_and(|seq| seq < newest),
    };
    let unused = listed.into_iter().map(|object| object.path).filter(|path| is_old(path) && !used.contains(path));
    Ok(lake.delete(unused.collect()).await?)
}

/// Of roots, by number and time: the newest, the last of each of the days before, and those that somebody may still read.
fn kept(roots: &[(u64, i64)]) -> BTreeSet<u64> {
    let Some((_, now)) = roots.last() else { return BTreeSet::new() };
    let newest = roots.iter().rev().take(NEWEST);
    let read = roots.iter().filter(|(_, time)| now - time < GRACE_MS);
    let recent = roots.iter().filter(|(_, time)| now - time < DAYS * DAY_MS);
    let daily: BTreeMap<i64, u64> = recent.map(|(seq, time)| (time.div_euclid(DAY_MS), *seq)).collect();
    newest.chain(read).map(|(seq, _)| *seq).chain(daily.into_values()).collect()
}

#[cfg(test)]
#[path = "roots_tests.rs"]
mod tests;
