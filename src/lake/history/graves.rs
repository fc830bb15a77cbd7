//! Files that commits have removed (*graves*) are deleted once a grace is over; until then who reads an older version finds
//! them. A commit says up to which commit that has been done, so whoever goes on, goes on there. To delete again does no harm,
//! and no path is ever used again.

use futures::TryStreamExt;

use crate::lake::history::error::ReadError;
use crate::lake::history::read;
use crate::lake::store::Lake;

/// So many commits are looked through at a time.
const MOST: u64 = 1_000;

/// Deletes what the commits after `collected`, and before `head`, removed at a time, in milliseconds, or earlier; up to which
/// commit that is done.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn collect(lake: &Lake, collected: Option<u64>, head: u64, until_ms: i64) -> Result<Option<u64>, ReadError> {
    let first = collected.map_or(0, |collected| collected + 1);
    if first >= head || read::commit(lake, first).await?.1.time_ms > until_ms {
        return Ok(collected);
    }
    let (mut through, mut graves) = (collected, Vec::new());
    let mut commits = std::pin::pin!(read::read(lake, first..=head.min(first + MOST) - 1).await?);
    while let Some((_, commit)) = commits.try_next().await? {
        if commit.time_ms > until_ms {
            break;
        }
        through = Some(commit.seq);
        graves.extend(commit.removed.into_values().flatten().map(|file| file.path));
    }
    lake.delete(graves).await?;
    Ok(through)
}

#[cfg(test)]
#[path = "graves_tests.rs"]
mod tests;
