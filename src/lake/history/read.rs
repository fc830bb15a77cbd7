//! Reading the history: the last snapshot and the commits after it, or all of it. The chain is checked as it is read.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

use crate::lake::digest;
use crate::lake::history::commit::Commit;
use crate::lake::history::{self, State, Violation, layout};
use crate::lake::store::error::StoreError;
use crate::lake::store::{Lake, Stored};

/// How many commits are read at the same time.
const READ_AHEAD: usize = 16;

/// Why a history could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The store did not give it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it gave is not a sound history: exit code 5.
    #[error(transparent)]
    Integrity(#[from] Violation),
}

/// A commit's bytes. What is decoded and encoded again is the same.
pub fn encode(commit: &Commit) -> Result<Bytes, Violation> {
    let mut bytes = serde_json::to_vec(commit).map_err(|e| Violation(format!("commit {}: {e}", commit.seq)))?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

/// A commit from its bytes.
pub fn decode(seq: u64, bytes: &[u8]) -> Result<Commit, Violation> {
    let commit = serde_json::from_slice(bytes).map_err(|e| Violation(format!("commit {seq} cannot be read: {e}")))?;
    Ok(commit)
}

/// Where the history stands; `None` if it has not begun. Reads the last snapshot and the commits after it.
pub async fn state(lake: &Lake) -> Result<Option<State>, ReadError> {
    let mut state = last_snapshot(lake).await?;
    let after = state.as_ref().map(|s| s.seq);
    let head = head(lake, after).await?;
    let Some(head) = head.filter(|head| Some(*head) > after) else { return Ok(state) };
    let mut commits = std::pin::pin!(read(lake, after.map_or(0, |seq| seq + 1)..=head));
    while let Some((bytes, commit)) = commits.try_next().await? {
        history::check(state.as_ref(), &commit)?;
        state = Some(history::apply(state, &commit, digest(&bytes)));
    }
    Ok(state)
}

/// The number of the last commit, looking only behind `after`.
pub async fn head(lake: &Lake, after: Option<u64>) -> Result<Option<u64>, StoreError> {
    let after = after.map(layout::commit);
    let listed = lake.list(layout::COMMITS, after.as_deref()).await?;
    Ok(listed.iter().rev().find_map(|object| layout::numbered(&object.path)))
}

/// The commits of a range with their bytes, in order, read ahead. One that is missing is a violation.
pub fn read(
    lake: &Lake,
    range: std::ops::RangeInclusive<u64>,
) -> impl futures::Stream<Item = Result<(Bytes, Commit), ReadError>> {
    futures::stream::iter(range.map(move |seq| commit(lake, seq))).buffered(READ_AHEAD)
}

/// One commit with its bytes.
pub async fn commit(lake: &Lake, seq: u64) -> Result<(Bytes, Commit), ReadError> {
    let bytes = lake.get(&layout::commit(seq)).await?;
    let bytes = bytes.ok_or_else(|| Violation(format!("P2: commit {seq} is missing")))?;
    let commit = decode(seq, &bytes)?;
    Ok((bytes, commit))
}

/// The last snapshot, if the commit that it stands for is still the same.
async fn last_snapshot(lake: &Lake) -> Result<Option<State>, ReadError> {
    let listed = lake.list(layout::SNAPSHOTS, None).await?;
    let Some(path) = listed.into_iter().map(|o| o.path).rfind(|p| layout::numbered(p).is_some()) else {
        return Ok(None);
    };
    let Some(bytes) = lake.get(&path).await? else { return Ok(None) };
    let state: State = serde_json::from_slice(&bytes).map_err(|e| Violation(format!("{path} cannot be read: {e}")))?;
    let (bytes, _) = commit(lake, state.seq).await?;
    if digest(&bytes) != state.digest {
        return Err(Violation(format!("P2: {path} stands for another commit than the one that is there")).into());
    }
    Ok(Some(state))
}

/// Writes a snapshot. It is a function of the history: whoever writes it twice writes the same.
pub async fn write_snapshot(lake: &Lake, state: &State) -> Result<(), ReadError> {
    let bytes = serde_json::to_vec(state).map_err(|e| Violation(format!("snapshot {}: {e}", state.seq)))?;
    match lake.put_same(&layout::snapshot(state.seq), bytes.into()).await? {
        Stored::Same => Ok(()),
        Stored::Other(_) => Err(Violation(format!("snapshot {} is not what the history adds up to", state.seq)).into()),
    }
}
