//! Commits that are kept no longer (`--keep commits=AGE`): a root, the *base*, stands for its own commit and for all before it.
//!
//! The base moves on a pack at a time. Its root is written and read back, a commit names it, and only after the next root, which
//! names it too, the pack before it is deleted: whoever looks for the base finds it, and all commits after it. It has a name of its
//! own, and so have its parts, whole: of others a run that has been replaced may yet delete any.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};

use crate::lake::digest;
use crate::lake::history::commit::{Base, Commit, Made, Pin};
use crate::lake::history::error::ReadError;
use crate::lake::history::live::{Part, by_span};
use crate::lake::history::{Live, State, Violation, layout, packs, read, roots};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// So many months of a table are written at the same time.
const AT_ONCE: usize = 8;

/// The next base, written, if all commits before it are that old and nothing rests on them: they are packed, what they removed is
/// deleted, and readers have a later version.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn next(lake: &Lake, state: &State, age_ms: i64) -> Result<Option<Base>, ReadError> {
    let at = state.base.as_ref().map_or(0, |base| base.root.seq) + packs::COMMITS;
    let packed = state.packed.as_ref().map(|packed| packed.through);
    if [packed, state.collected, Some(state.published().seq)].into_iter().any(|done| done <= Some(at)) {
        return Ok(None);
    }
    let (_, commit) = read::commit(lake, at).await?;
    if state.time_ms - commit.time_ms < age_ms {
        return Ok(None);
    }
    let Some(begun) = roots::after(lake, at).await? else { return Ok(None) };
    Ok(Some(Base { root: write(lake, begun).await?, made: made(lake, state).await? }))
}

/// Writes all that a state refers to.
async fn write(lake: &Lake, state: State) -> Result<Pin, ReadError> {
    let (mut parts, mut paths) = (BTreeMap::new(), vec![layout::base(state.seq)]);
    for table in state.files.tables() {
        let spans = roots::spans(&state.files, table);
        let months: BTreeSet<&str> = spans.into_iter().map(|span| span.get(..7).unwrap_or(span)).collect();
        let writes: Vec<_> = months.into_iter().map(|month| write_month(lake, &state, table, month)).collect();
        let written: Vec<Vec<Part>> = futures::stream::iter(writes).buffered(AT_ONCE).try_collect().await?;
        let written: Vec<Part> = written.into_iter().flatten().collect();
        paths.extend(written.iter().map(|part| part.sum.path.clone()));
        parts.insert(table.to_owned(), written);
    }
    let root = State { files: Live::of(state.seq, parts), ..state };
    let pin = roots::put_root(lake, &layout::base(root.seq), &root).await?;
    // Nothing that is left could make up for it.
    lake.fsync(paths.iter().map(String::as_str))?;
    Ok(pin)
}

/// The parts of a month of a table.
async fn write_month(lake: &Lake, state: &State, table: &str, month: &str) -> Result<Vec<Part>, ReadError> {
    let mut files = roots::files(lake, &state.files, table, |file| file.date.starts_with(month)).await?;
    files.sort_unstable();
    let mut parts = Vec::new();
    for (span, files) in by_span(files.into_iter(), |_| false) {
        let path = layout::base_part(state.seq, table, &span);
        parts.push(roots::put_part(lake, table, (&span, &files), path).await?.let_go());
    }
    Ok(parts)
}

/// Deletes the pack before the base.
///
/// # Errors
/// The store's.
pub async fn sweep(lake: &Lake, state: &State) -> Result<(), StoreError> {
    let first = state.base.as_ref().map(|base| packs::first(base.root.seq));
    let before = first.and_then(|first| first.checked_sub(packs::COMMITS));
    lake.delete(before.map(packs::path).into_iter().collect()).await
}

/// What tables say of their making.
///
/// # Errors
/// The store's; a first commit that cannot be read.
pub async fn made(lake: &Lake, state: &State) -> Result<Made, ReadError> {
    match &state.base {
        Some(base) => Ok(base.made),
        None => Ok(Made::from(&read::commit(lake, 0).await?.1)),
    }
}

/// The first commit that counts.
pub fn first(state: &State) -> u64 {
    state.base.as_ref().map_or(0, |base| base.root.seq + 1)
}

/// Where the history stood at its base; `None`: all commits are there.
///
/// # Errors
/// The store's; a root that is not the one that commits name.
pub async fn state(lake: &Lake, state: &State) -> Result<Option<State>, ReadError> {
    let Some(Base { root, .. }) = &state.base else { return Ok(None) };
    let bytes = lake.get(&layout::base(root.seq)).await?.filter(|bytes| digest(bytes) == root.sha256);
    let mut read: Option<State> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    read.iter_mut().for_each(|state| state.files.root = Some(root.seq));
    let lost = || Violation(format!("P2: {}, with which the history begins, is damaged", layout::base(root.seq)));
    Ok(Some(read.ok_or_else(lost)?))
}

/// A base moves on only, over commits that are packed.
pub(super) fn check(previous: Option<&State>, commit: &Commit) -> Result<(), Violation> {
    let Some(Base { root, .. }) = &commit.base else { return Ok(()) };
    let before = previous.and_then(|state| state.base.as_ref()).map(|base| base.root.seq);
    let packed = previous.and_then(|state| state.packed.as_ref()).map(|packed| packed.through);
    if before < Some(root.seq) && Some(root.seq) <= packed {
        return Ok(());
    }
    Err(Violation(format!("P2: commit {} lets the history begin with {}, after {before:?}", commit.seq, root.seq)))
}
