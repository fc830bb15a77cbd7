//! Commits that are a day old, a thousand in a file: `commits/packs/<first>-<last>.jsonl.zst` has their bytes as they were,
//! one after the other.
//!
//! At or below the last commit of the last pack only packs count: what stands there besides is of a run that has long been
//! replaced. `packing.rs` writes them.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};

use crate::lake::history::error::ReadError;
use crate::lake::history::{Violation, layout};
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// The commits of a pack.
pub const COMMITS: u64 = 1000;
/// Packs that are read at the same time.
const READ_AHEAD: usize = 2;

/// The first commit of the pack that a commit is in, or would be.
pub fn first(seq: u64) -> u64 {
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
pub(super) fn unpack(seq: u64, bytes: &[u8]) -> Result<Vec<Bytes>, Violation> {
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
