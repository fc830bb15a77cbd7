//! Packs commits that are a day old: a pack is read back, then a commit says up to where all are packed, and only then the
//! commits of their own are deleted.

use bytes::Bytes;
use futures::TryStreamExt;

use crate::lake::digest;
use crate::lake::history::commit::{Commit, Packed};
use crate::lake::history::error::ReadError;
use crate::lake::history::{Violation, layout, packs, read, rebuilt};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// How old commits are at least, in milliseconds.
const AGE_MS: i64 = 24 * 3_600_000;
/// zstd's own default.
const LEVEL: i32 = 3;

/// Packs the commits after `packed`, if all of a pack are a day older than `now`, in milliseconds.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn write(lake: &Lake, packed: Option<u64>, (head, now): (u64, i64)) -> Result<Option<Packed>, ReadError> {
    let begin = packed.map_or(0, |through| through + 1);
    let through = begin + packs::COMMITS - 1;
    if through >= head {
        return Ok(None);
    }
    let (_, youngest) = read::commit(lake, through).await?;
    if now - youngest.time_ms < AGE_MS {
        return Ok(None);
    }
    let read: Vec<(Bytes, Commit)> = read::read(lake, begin..=through).await?.try_collect().await?;
    let text: Vec<u8> = read.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
    let path = packs::path(begin);
    let wrong = |why: String| Violation(format!("P2: {path}: {why}"));
    let bytes = Bytes::from(zstd::encode_all(&text[..], LEVEL).map_err(|error| wrong(error.to_string()))?);
    if packs::unpack(begin, &bytes)?.iter().ne(read.iter().map(|(bytes, _)| bytes)) {
        return Err(wrong("it does not hold the commits that were packed".into()).into());
    }
    rebuilt::put(lake, &path, bytes.clone()).await?;
    Ok(Some(Packed { through, sha256: digest(&bytes) }))
}

/// Deletes the commits of the last pack that have objects of their own.
///
/// # Errors
/// The store's.
pub async fn sweep(lake: &Lake, through: u64) -> Result<(), StoreError> {
    lake.delete((packs::first(through)..=through).map(layout::commit).collect()).await
}

#[cfg(test)]
#[path = "packs_tests.rs"]
mod tests;
