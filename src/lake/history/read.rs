//! Reading commits. What they add up to is for `roots.rs`.

use bytes::Bytes;
use futures::{Stream, StreamExt};

use crate::lake::history::commit::Commit;
use crate::lake::history::{Violation, layout, packs};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

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

/// The number of the last commit, looking only behind `after`.
pub async fn head(lake: &Lake, after: Option<u64>) -> Result<Option<u64>, StoreError> {
    let after = after.map(layout::commit);
    let names = lake.names(layout::COMMITS, after.as_deref()).await?;
    Ok(names.iter().rev().find_map(|name| layout::numbered(name)))
}

/// The commits of a range with their bytes, in order, read ahead. One that is missing is a violation.
///
/// # Errors
/// The store's.
pub async fn read(
    lake: &Lake,
    range: std::ops::RangeInclusive<u64>,
) -> Result<impl Stream<Item = Result<(Bytes, Commit), ReadError>>, StoreError> {
    let (first, last) = range.into_inner();
    let through = packs::through(lake).await?;
    let unpacked = through.map_or(0, |through| through + 1).clamp(first, first.max(last.saturating_add(1)));
    let own = futures::stream::iter((unpacked..=last).map(move |seq| own(lake, seq))).buffered(READ_AHEAD);
    let bytes = packs::commits(lake, first, unpacked).chain(own);
    Ok(bytes.map(|read| read.and_then(|(seq, bytes)| Ok((bytes.clone(), decode(seq, &bytes)?)))))
}

/// One commit with its bytes.
pub async fn commit(lake: &Lake, seq: u64) -> Result<(Bytes, Commit), ReadError> {
    let bytes = match packs::commit(lake, seq).await? {
        Some(packed) => packed,
        None => own(lake, seq).await?.1,
    };
    let commit = decode(seq, &bytes)?;
    Ok((bytes, commit))
}

/// The bytes of a commit's own object.
async fn own(lake: &Lake, seq: u64) -> Result<(u64, Bytes), ReadError> {
    let bytes = lake.get(&layout::commit(seq)).await?;
    Ok((seq, bytes.ok_or_else(|| Violation(format!("P2: commit {seq} is missing")))?))
}
