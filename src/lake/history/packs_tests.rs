//! Packed commits are the commits.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::lake::history::packs::path;
use crate::lake::history::roots;
use crate::lake::testing::{claim, data};
use crate::lake::{Committer, State, StoreOptions, history};

const HOUR_MS: i64 = 3_600_000;

/// Writes commits up to `last`, an hour of the clock of commits for so many, and what they add up to.
async fn write_history(lake: &Lake, last: u64, an_hour: u64) -> State {
    let mut state: Option<State> = None;
    for seq in 0..=last {
        let mut commit = state.as_ref().map_or_else(|| claim("a"), |state| data(state, "a", 1, 0));
        commit.previous = state.as_ref().map_or_else(String::new, |state| state.digest.clone());
        commit.time_ms += (seq / an_hour) as i64 * HOUR_MS;
        let bytes = read::encode(&commit).unwrap();
        lake.put(&layout::commit(seq), bytes.clone()).await.unwrap();
        state = Some(history::apply(state, &commit, digest(&bytes)));
    }
    state.unwrap()
}

async fn lake(dir: &tempfile::TempDir) -> Lake {
    Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap()
}

async fn all(lake: &Lake, range: std::ops::RangeInclusive<u64>) -> Vec<(Bytes, Commit)> {
    read::read(lake, range).await.unwrap().try_collect().await.unwrap()
}

#[tokio::test]
async fn p2_what_is_packed_reads_as_before_whatever_stands_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let lake = lake(&dir).await;
    let state = write_history(&lake, 2100, 40).await;
    let before = all(&lake, 0..=2100).await;
    let now = (state.seq, state.time_ms);
    let first = write(&lake, None, now).await.unwrap().unwrap();
    assert_eq!(first.through, 999);
    assert_eq!(write(&lake, Some(999), now).await.unwrap(), None, "younger than a day");
    assert_eq!(write(&lake, None, (999, now.1)).await.unwrap(), None, "the last commit stays");
    assert_eq!(write(&lake, None, now).await.unwrap(), Some(first), "twice the same");
    assert_eq!(all(&lake, 0..=2100).await, before);
    sweep(&lake, 999).await.unwrap();
    assert_eq!(lake.list(layout::COMMITS, None).await.unwrap().len(), 1101 + 1);
    for range in [0..=2100, 998..=1001, 17..=17, 1000..=1000, 2100..=2100] {
        let (begin, end) = range.clone().into_inner();
        assert_eq!(all(&lake, range).await, before[begin as usize..(end + 1) as usize]);
    }
    assert!(all(&lake, std::ops::RangeInclusive::new(5, 4)).await.is_empty());
    for seq in [0, 999, 1000, 2100] {
        assert_eq!(read::commit(&lake, seq).await.unwrap(), before[seq as usize]);
    }
    // What a run that slept puts where its place was.
    lake.put(&layout::commit(700), "{}".into()).await.unwrap();
    assert_eq!(all(&lake, 0..=2100).await, before);
    assert_eq!(roots::state(&lake).await.unwrap().unwrap(), state);
}

#[tokio::test]
async fn p2_who_reads_while_commits_are_packed_and_deleted_reads_them_all() {
    let dir = tempfile::tempdir().unwrap();
    let lake = lake(&dir).await;
    let state = write_history(&lake, 1100, 4).await;
    let before = all(&lake, 0..=1100).await;
    let mut reading = std::pin::pin!(read::read(&lake, 0..=1100).await.unwrap());
    let mut read = vec![reading.try_next().await.unwrap().unwrap()];
    write(&lake, None, (state.seq, state.time_ms)).await.unwrap().unwrap();
    sweep(&lake, 999).await.unwrap();
    while let Some(next) = reading.try_next().await.unwrap() {
        read.push(next);
    }
    assert_eq!(read, before);
}

#[tokio::test]
async fn p2_a_damaged_pack_is_a_violation() {
    let dir = tempfile::tempdir().unwrap();
    let lake = lake(&dir).await;
    let state = write_history(&lake, 1100, 4).await;
    write(&lake, None, (state.seq, state.time_ms)).await.unwrap().unwrap();
    sweep(&lake, 999).await.unwrap();
    let sound = lake.get(&path(0)).await.unwrap().unwrap();
    for at in (0..sound.len()).step_by(sound.len() / 20) {
        let mut flipped = sound.to_vec();
        flipped[at] ^= 4;
        lake.put(&path(0), flipped.into()).await.unwrap();
        assert!(matches!(roots::state(&lake).await, Err(ReadError::Integrity(_))), "{at}");
    }
}

#[tokio::test]
async fn p2_a_run_that_slept_while_its_place_was_packed_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let lake = lake(&dir).await;
    write_history(&lake, 1100, 4).await;
    let (mut asleep, _) = Committer::claim(&lake, "asleep").await.unwrap();
    // Its claim, at 1101, is packed and gone; the history has gone on.
    let (mut awake, _) = Committer::claim(&lake, "awake").await.unwrap();
    let commit = data(awake.state().unwrap(), "awake", 1, 0);
    awake.propose(commit).await.unwrap();
    lake.delete(vec![layout::commit(1101), layout::commit(1102)]).await.unwrap();
    let mut state = asleep.state().unwrap().clone();
    state.time_ms -= 13 * HOUR_MS;
    asleep.set_state(state.clone());
    let commit = data(&state, "asleep", 1, 0);
    assert!(matches!(asleep.propose(commit).await, Err(crate::lake::CommitError::Replaced { .. })));
}
