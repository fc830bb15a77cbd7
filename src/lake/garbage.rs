//! What lies in a lake and is nobody's: files that commits removed longer ago than a grace, and files that no commit names.
//!
//! A file that no commit names may still be named by the run that holds the claim, so its files are left alone; those of any
//! other run can be in no commit any more. What an hour ago was not there is left alone too. Nothing but data files is looked
//! at. Memory: 32 bytes for each file that commits ever named.

use std::collections::HashMap;

use futures::TryStreamExt;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::lake::delta;
use crate::lake::history::commit::{Commit, File};
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{base, layout, roots};
use crate::lake::store::{Lake, Object};

/// Younger files are not judged, in milliseconds.
const YOUNG_MS: i64 = 3_600_000;
/// So many files are deleted at a time.
const AT_A_TIME: usize = 1_000;

/// Files, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Garbage {
    /// Files that commits removed, and whose grace is over.
    pub graves: Amount,
    /// Files that no commit names.
    pub orphans: Amount,
    /// Files that commits removed, and that readers of older versions may still want.
    pub in_grace: Amount,
}

/// When, and whether anything is deleted.
#[derive(Clone, Copy, Debug)]
pub struct Collection {
    /// What time it is, in milliseconds since 1970.
    pub now_ms: i64,
    /// How long a removed file stays, in milliseconds.
    pub grace_ms: i64,
    /// Whether it is only looked.
    pub is_dry: bool,
}

/// Looks at all data files of a lake, and deletes what is garbage; `None` where there is no commit.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn collect(lake: &Lake, collection: Collection) -> Result<Option<Garbage>, ReadError> {
    let Some(state) = roots::state(lake).await? else { return Ok(None) };
    if !collection.is_dry {
        // A run that is killed while it writes leaves a part of a file in a directory. At once, while it is known who holds the lake.
        lake.delete_leftovers(layout::TABLES, |name| layout::is_of_another(name, &state.run))?;
    }
    // Readers of Delta may be behind the commits.
    let published = delta::published_by(lake, &state).await?.map_or(state.published().seq, |published| published.seq);
    let mut named = Named::default();
    if let Some(begun) = base::state(lake, &state).await? {
        for table in begun.files.tables() {
            roots::each(lake, &begun.files, table, |file| named.add(file)).await?;
        }
    }
    let mut commits = std::pin::pin!(read::read(lake, base::first(&state)..=state.seq).await?);
    while let Some((_, commit)) = commits.try_next().await? {
        named.take(&commit, commit.seq <= published);
    }
    let (mut garbage, mut gone) = (Garbage::default(), Vec::new());
    let mut objects = std::pin::pin!(lake.objects(layout::TABLES)?);
    while let Some(object) = objects.try_next().await? {
        let Some(run) = layout::run_of(&object.path) else { continue };
        let (amount, goes) = match named.judge(&object, run == state.run, collection) {
            Fate::Stays => continue,
            Fate::InGrace => (&mut garbage.in_grace, false),
            Fate::Grave => (&mut garbage.graves, true),
            Fate::Orphan => (&mut garbage.orphans, true),
        };
        (amount.files, amount.bytes) = (amount.files + 1, amount.bytes + object.bytes);
        gone.extend(goes.then_some(object.path));
        if gone.len() >= AT_A_TIME {
            delete(lake, &mut gone, collection).await?;
        }
    }
    delete(lake, &mut gone, collection).await?;
    Ok(Some(garbage))
}

async fn delete(lake: &Lake, gone: &mut Vec<String>, Collection { is_dry, .. }: Collection) -> Result<(), ReadError> {
    let gone = std::mem::take(gone);
    if is_dry { Ok(()) } else { Ok(lake.delete(gone).await?) }
}

/// What becomes of a file.
enum Fate {
    Stays,
    InGrace,
    Grave,
    Orphan,
}

/// The files that commits name, by a hash of their paths, and when they were removed.
#[derive(Default)]
struct Named(HashMap<u128, Option<i64>>);

impl Named {
    fn add(&mut self, file: &File) {
        self.0.insert(xxh3_128(file.path.as_bytes()), None);
    }

    /// What no version says is removed is there for readers of the newest one.
    fn take(&mut self, commit: &Commit, is_published: bool) {
        commit.added.values().flatten().for_each(|file| self.add(file));
        let removed_ms = if is_published { commit.time_ms } else { i64::MAX };
        for file in commit.removed.values().flatten() {
            self.0.insert(xxh3_128(file.path.as_bytes()), Some(removed_ms));
        }
    }

    fn judge(&self, object: &Object, is_of_the_holder: bool, collection: Collection) -> Fate {
        let Collection { now_ms, grace_ms, .. } = collection;
        match self.0.get(&xxh3_128(object.path.as_bytes())) {
            Some(None) => Fate::Stays,
            Some(Some(removed_ms)) if now_ms.saturating_sub(*removed_ms) < grace_ms => Fate::InGrace,
            Some(Some(_)) => Fate::Grave,
            None if is_of_the_holder || now_ms.saturating_sub(object.modified_ms) < YOUNG_MS => Fate::Stays,
            None => Fate::Orphan,
        }
    }
}

#[cfg(test)]
#[path = "garbage_tests.rs"]
mod tests;
