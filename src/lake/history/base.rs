//! Commits that are kept no longer (`--keep commits=AGE`): a root, the *base*, stands for its own commit and for all before it.
//!
//! The base moves on a pack at a time. Its root is written and read back, a commit names it, and only after the next root, which
//! names it too, the pack before it is deleted: whoever looks for the base finds it, and all commits after it.

use crate::lake::history::commit::{Base, Commit, Made};
use crate::lake::history::error::ReadError;
use crate::lake::history::{State, Violation, packs, read, roots};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// The next base, written, if all commits before it are that old and nothing rests on them: they are packed, what they removed is
/// deleted, and readers have a later version.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn next(lake: &Lake, state: &State, age_ms: i64) -> Result<Option<Base>, ReadError> {
    let first = state.base.as_ref().map_or(0, |base| packs::first(base.root.seq)) + packs::COMMITS;
    let packed = state.packed.as_ref().map(|packed| packed.through);
    if [packed, state.collected, Some(state.published().seq)].into_iter().any(|done| done <= Some(first + 1)) {
        return Ok(None);
    }
    let (_, after) = read::commit(lake, first + 1).await?;
    if state.time_ms - after.time_ms < age_ms {
        return Ok(None);
    }
    // A root that a commit names has its bytes for ever, and may be gone; one more commit, and there was none.
    let is_named = after.pin.is_some_and(|pin| pin.seq == first);
    let Some(before) = roots::after(lake, if is_named { first + 1 } else { first }).await? else { return Ok(None) };
    let (_, root) = roots::write(lake, &before).await?;
    Ok(Some(Base { root, made: made(lake, state).await? }))
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
    let read = roots::named(lake, root).await?;
    let lost = || Violation(format!("P2: the root of commit {}, with which the history begins, is damaged", root.seq));
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
