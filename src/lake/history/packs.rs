//! Commits that are a day old, a thousand in a file: `commits/packs/<first>-<last>.jsonl.zst` has their bytes as they were,
//! one after the other.
//!
//! A pack is read back, then a commit says up to where all are packed, and only then the commits of their own are deleted.
//! At or below that number only packs count: what stands there besides is of a run that has long been replaced.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};

use crate::lake::digest;
use crate::lake::history::commit::{Commit, Packed};
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{Violation, layout};
use crate::lake::store::error::StoreError;
use crate::lake::store::{Lake, Stored};

/// The commits of a pack.
pub const COMMITS: u64 = 1000;
/// How old they are at least, in milliseconds.
const AGE_MS: i64 = 24 * 3_600_000;
/// Packs that are read at the same time.
const READ_AHEAD: usize = 2;
/// zstd's own default.
const LEVEL: i32 = 3;

/// The first commit of the pack that a commit is in, or would be.
fn first(seq: u64) -> u64 {
    seq - seq % COMMITS
}

/// The path of the pack that a commit is in, or would be.
pub fn path(seq: u64) -> String {
    layout::pack(first(seq), first(seq) + COMMITS - 1)
}

/// The last commit that is in a pack.
///
/// # Errors
/// The store's.
pub async fn through(lake: &Lake) -> Result<Option<u64>, StoreError> {
    let listed = lake.list(layout::PACKS, None).await?;
    Ok(listed.iter().filter_map(|object| layout::pack_last(&object.path)).max())
}

/// The bytes of a commit, if it is packed.
///
/// # Errors
/// The store's; a pack that cannot be read.
pub async fn commit(lake: &Lake, seq: u64) -> Result<Option<Bytes>, ReadError> {
    let Some(bytes) = lake.get(&path(seq)).await? else { return Ok(None) };
    Ok(unpack(seq, &bytes)?.into_iter().nth((seq - first(seq)) as usize))
}

/// The bytes of packed commits `from..until`, in order.
pub fn commits(lake: &Lake, from: u64, until: u64) -> impl Stream<Item = Result<(u64, Bytes), ReadError>> {
    let begin = if from < until { first(from) } else { until };
    let packs = (begin..until).step_by(COMMITS as usize).map(move |first| async move {
        let bytes = lake.get(&path(first)).await?;
        let bytes = bytes.ok_or_else(|| Violation(format!("P2: {} is missing", path(first))))?;
        let numbered = unpack(first, &bytes)?.into_iter().enumerate().map(move |(n, bytes)| (first + n as u64, bytes));
        Ok::<_, ReadError>(futures::stream::iter(numbered.map(Ok::<_, ReadError>).collect::<Vec<_>>()))
    });
    let commits = futures::stream::iter(packs).buffered(READ_AHEAD).try_flatten();
    commits.try_filter(move |(seq, _)| futures::future::ready((from..until).contains(seq)))
}

/// The commits in the bytes of a pack.
fn unpack(seq: u64, bytes: &[u8]) -> Result<Vec<Bytes>, Violation> {
    let wrong = |why: String| Violation(format!("P2: {} cannot be read: {why}", path(seq)));
    let text = Bytes::from(zstd::decode_all(bytes).map_err(|error| wrong(error.to_string()))?);
    let mut commits = Vec::new();
    let mut begin = 0;
    for end in text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1) {
        commits.push(text.slice(begin..end));
        begin = end;
    }
    let whole = commits.len() as u64 == COMMITS && begin == text.len();
    if whole { Ok(commits) } else { Err(wrong(format!("it has {} commits", commits.len()))) }
}

/// Packs the commits after `packed`, if all of a pack are a day older than `now`, in milliseconds.
///
/// # Errors
/// As of [`commit`]; other bytes where the pack is to be.
pub async fn write(lake: &Lake, packed: Option<u64>, (head, now): (u64, i64)) -> Result<Option<Packed>, ReadError> {
    let begin = packed.map_or(0, |through| through + 1);
    let through = begin + COMMITS - 1;
    if through >= head {
        return Ok(None);
    }
    let (_, youngest) = read::commit(lake, through).await?;
    if now - youngest.time_ms < AGE_MS {
        return Ok(None);
    }
    let read: Vec<(Bytes, Commit)> = read::read(lake, begin..=through).await?.try_collect().await?;
    let text: Vec<u8> = read.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
    let wrong = |why: String| Violation(format!("P2: {}: {why}", path(begin)));
    let bytes = Bytes::from(zstd::encode_all(&text[..], LEVEL).map_err(|error| wrong(error.to_string()))?);
    if let Stored::Other(_) = lake.put_same(&path(begin), bytes.clone()).await? {
        // Of a run that was replaced, by another version of zstd.
        lake.put(&path(begin), bytes.clone()).await?;
    }
    let found = lake.get(&path(begin)).await?.unwrap_or_default();
    if unpack(begin, &found)?.iter().ne(read.iter().map(|(bytes, _)| bytes)) {
        return Err(wrong("it reads back otherwise than it was written".into()).into());
    }
    Ok(Some(Packed { through, sha256: digest(&found) }))
}

/// Deletes the commits of the last pack that have objects of their own.
///
/// # Errors
/// The store's.
pub async fn sweep(lake: &Lake, through: u64) -> Result<(), StoreError> {
    lake.delete((first(through)..=through).map(layout::commit).collect()).await
}

#[cfg(test)]
#[path = "packs_tests.rs"]
mod tests;
