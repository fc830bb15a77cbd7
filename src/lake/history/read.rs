//! Reading commits. What they add up to is for `roots.rs`.

use bytes::Bytes;
use futures::{Stream, StreamExt};

use crate::lake::history::commit::Commit;
pub use crate::lake::history::error::ReadError;
use crate::lake::history::{Violation, layout, packs};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// How many commits are read at the same time.
const READ_AHEAD: usize = 16;

/// A commit's bytes. What this release has encoded, decoded and encoded again is the same.
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
    let read = encoded(lake, range).await?;
    Ok(read.map(|read| read.and_then(|(seq, bytes)| Ok((bytes.clone(), decode(seq, &bytes)?)))))
}

/// The bytes of the commits of a range, in order, whatever the lake's format.
///
/// # Errors
/// The store's.
pub async fn encoded(
    lake: &Lake,
    range: std::ops::RangeInclusive<u64>,
) -> Result<impl Stream<Item = Result<(u64, Bytes), ReadError>>, StoreError> {
    let (first, last) = range.into_inner();
    let through = packs::through(lake).await?;
    let unpacked = through.map_or(0, |through| through + 1).clamp(first, first.max(last.saturating_add(1)));
    let own = futures::stream::iter((unpacked..=last).map(move |seq| own(lake, seq))).buffered(READ_AHEAD);
    Ok(packs::commits(lake, first, unpacked).chain(own))
}

/// One commit with its bytes.
pub async fn commit(lake: &Lake, seq: u64) -> Result<(Bytes, Commit), ReadError> {
    let bytes = bytes(lake, seq).await?;
    let commit = decode(seq, &bytes)?;
    Ok((bytes, commit))
}

/// The bytes of one commit, whatever the lake's format.
pub async fn bytes(lake: &Lake, seq: u64) -> Result<Bytes, ReadError> {
    match packs::commit(lake, seq).await? {
        Some(packed) => Ok(packed),
        None => Ok(own(lake, seq).await?.1),
    }
}

/// The bytes of a commit's own object. One that is gone may have been packed since it was looked for packs.
async fn own(lake: &Lake, seq: u64) -> Result<(u64, Bytes), ReadError> {
    let bytes = match lake.get(&layout::commit(seq)).await? {
        Some(bytes) => Some(bytes),
        None => packs::commit(lake, seq).await?,
    };
    Ok((seq, bytes.ok_or_else(|| Violation(format!("P2: commit {seq} is missing")))?))
}
