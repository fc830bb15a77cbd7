//! What was removed goes in time, whoever holds the claim.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::lake::history::committer::ROOT_EVERY;
use crate::lake::history::{layout, roots};
use crate::lake::testing::data;
use crate::lake::{Committer, StoreOptions, digest, history};

/// A lake of one-file commits of which each removes the file of the one before, an hour apart.
async fn lake(dir: &tempfile::TempDir, commits: u64) -> Lake {
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (committer, mut state) = Committer::claim(&lake, "a").await.unwrap();
    drop(committer);
    for _ in 0..commits {
        let mut commit = data(&state, "a", 1, 0);
        let before = state.files.added("raw_gps").to_vec();
        commit.removed.insert("raw_gps".into(), before);
        (commit.time_ms, commit.previous) = (commit.seq as i64 * 3_600_000, state.digest.clone());
        let bytes = read::encode(&commit).unwrap();
        lake.put(&commit.added["raw_gps"][0].path, "rows".into()).await.unwrap();
        lake.put(&layout::commit(commit.seq), bytes.clone()).await.unwrap();
        state = history::apply(Some(state), &commit, digest(&bytes));
    }
    lake
}

async fn left(lake: &Lake) -> Vec<u64> {
    let paths = lake.list(&layout::table("raw_gps"), None).await.unwrap();
    let seq = |path: &str| path.rsplit('/').next().unwrap().split('-').nth(1).unwrap().parse().unwrap();
    paths.iter().map(|object| seq(&object.path)).collect()
}

#[tokio::test]
async fn g3_what_was_removed_goes_once_the_grace_is_over_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let lake = lake(&dir, 30).await;
    let hour = |hour: i64| hour * 3_600_000;
    // The claim is younger than all: as long as it is, nothing goes.
    assert_eq!(collect(&lake, None, 30, hour(10)).await.unwrap(), None);
    assert_eq!(collect(&lake, Some(0), 30, hour(10)).await.unwrap(), Some(10));
    // Commit 10 removed the file of commit 9.
    assert_eq!(left(&lake).await, (10..=30).collect::<Vec<_>>());
    assert_eq!(collect(&lake, Some(4), 30, hour(12)).await.unwrap(), Some(12), "again, and further");
    assert_eq!(left(&lake).await, (12..=30).collect::<Vec<_>>());
    assert_eq!(collect(&lake, Some(12), 30, hour(1000)).await.unwrap(), Some(29), "the last commit is not looked at");
    assert_eq!(left(&lake).await, [29, 30]);
}

/// Whoever holds the claim deletes now and then, says so in its next commit, and whoever comes after goes on there.
#[tokio::test]
async fn g3_a_commit_says_how_far_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    committer.set_grace(-1);
    for _ in 0..2 * ROOT_EVERY {
        let commit = data(committer.state().unwrap(), "a", 1, 0);
        committer.propose(commit).await.unwrap();
        committer.tend().await;
    }
    assert_eq!(committer.state().unwrap().collected, Some(ROOT_EVERY - 1));
    let commit = data(committer.state().unwrap(), "a", 1, 0);
    committer.propose(commit).await.unwrap();
    let (_, state) = Committer::claim(&lake, "b").await.unwrap();
    assert_eq!(state.collected, Some(2 * ROOT_EVERY - 1));
    assert_eq!(roots::state(&lake).await.unwrap().unwrap().collected, state.collected);
}
