//! Roots are worth what the commits are worth, and no more: whatever becomes of them, what the lake says stays.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;
use crate::lake::history::commit::Commit;
use crate::lake::testing::{Random, data, seed};
use crate::lake::{Committer, StoreOptions};

async fn lake(dir: &tempfile::TempDir) -> Lake {
    Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap()
}

/// A lake after so many commits, each of a file of pings.
async fn filled(dir: &tempfile::TempDir, commits: u64) -> (Lake, Committer) {
    let lake = lake(dir).await;
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    for _ in 0..commits {
        commit(&mut committer).await;
    }
    (lake, committer)
}

async fn commit(committer: &mut Committer) -> Commit {
    let commit = data(committer.state().unwrap(), "a", 1, 0);
    let commit = committer.propose(commit).await.unwrap();
    committer.tend().await;
    commit
}

async fn numbers(lake: &Lake) -> Vec<u64> {
    listed(lake).await.unwrap().into_iter().map(|(number, _)| number).collect()
}

async fn paths(lake: &Lake, live: &Live) -> Vec<String> {
    let mut paths: Vec<_> =
        files(lake, live, "raw_gps", |_| true).await.unwrap().into_iter().map(|file| file.path).collect();
    paths.sort();
    paths
}

/// What is packed next is not read again; whoever comes has nothing at hand.
#[tokio::test]
async fn the_files_of_a_part_are_at_hand_where_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, committer) = filled(&dir, 150).await;
    let (ours, theirs) = (committer.state().unwrap(), state(&lake).await.unwrap().unwrap());
    assert_eq!(*ours, theirs);
    let is_held = |state: &State| state.files.parts("raw_gps")[0].held().is_some();
    assert_eq!([is_held(ours), is_held(&theirs)], [true, false]);
    let expected = paths(&lake, &theirs.files).await;
    lake.delete(vec![ours.files.parts("raw_gps")[0].sum.path.clone()]).await.unwrap();
    assert_eq!(paths(&lake, &ours.files).await, expected);
    assert_eq!(paths(&lake, &theirs.files).await, expected, "from the commits");
}

#[tokio::test]
async fn roots_shorten_a_start_and_a_changed_history_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, committer) = filled(&dir, 203).await;
    assert_eq!(numbers(&lake).await, [100, 200]);
    assert_eq!(read::commit(&lake, 101).await.unwrap().1.pin.unwrap().seq, 100);
    let state_now = state(&lake).await.unwrap();
    assert_eq!(state_now.as_ref(), committer.state());
    assert_eq!(paths(&lake, &state_now.unwrap().files).await.len(), 203);
    // Commits before the root are not read, those after it are.
    lake.delete(vec![layout::commit(57)]).await.unwrap();
    assert_eq!(state(&lake).await.unwrap().as_ref(), committer.state());
    let path = layout::commit(202);
    let text = String::from_utf8(lake.get(&path).await.unwrap().unwrap().to_vec()).unwrap();
    lake.put(&path, text.replace("\"time_ms\":1", "\"time_ms\":2").into()).await.unwrap();
    assert!(matches!(state(&lake).await, Err(ReadError::Integrity(Violation(text))) if text.contains("203")));
}

#[tokio::test]
async fn p2_a_damaged_root_or_part_changes_nothing_but_the_time_that_a_start_takes() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, mut committer) = filled(&dir, 205).await;
    let wanted = paths(&lake, &committer.state().unwrap().files).await;
    let part = committer.state().unwrap().files.parts("raw_gps")[0].sum.path.clone();
    let (root, older) = (layout::root(200), layout::root(100));
    for path in [&root, &part] {
        let sound = lake.get(path).await.unwrap().unwrap();
        let mut flipped = sound.to_vec();
        let at = flipped.len() / 2;
        flipped[at] ^= 1;
        let other = lake.get(&older).await.unwrap().unwrap();
        for damaged in
            [Some(flipped.into()), Some(sound.slice(..sound.len() - 1)), Some(Bytes::new()), Some(other), None]
        {
            match damaged {
                Some(bytes) => lake.put(path, bytes).await.unwrap(),
                None => lake.delete(vec![path.clone()]).await.unwrap(),
            }
            let state = state(&lake).await.unwrap().unwrap();
            assert_eq!((state.seq, &state.positions), (205, &committer.state().unwrap().positions));
            assert_eq!(paths(&lake, &state.files).await, wanted, "{path}");
            assert_eq!(state.files.sizes(), committer.state().unwrap().files.sizes());
        }
        lake.put(path, sound).await.unwrap();
    }
    // The next root has a sound part again, also if the older one is damaged as well.
    lake.put(&part, "x".into()).await.unwrap();
    lake.put(&older, "x".into()).await.unwrap();
    for _ in 0..100 {
        commit(&mut committer).await;
    }
    let state = state(&lake).await.unwrap().unwrap();
    assert_eq!((state.files.root, paths(&lake, &state.files).await.len()), (Some(300), 305));
    assert!(read_part(&lake, &state.files.parts("raw_gps")[0]).await.unwrap().is_ok());
}

#[tokio::test]
async fn the_files_of_roots_are_those_that_commits_add_and_do_not_remove() {
    let seed = seed();
    for round in 0..4 {
        let mut random = Random(seed.wrapping_add(round));
        let dir = tempfile::tempdir().unwrap();
        let lake = lake(&dir).await;
        let mut live = Live::default();
        let mut model: BTreeMap<String, File> = BTreeMap::new();
        let mut state = history::apply(None, &crate::lake::testing::claim("a"), String::new());
        for seq in 1..60 {
            let mut commit = data(&state, "a", 1, 0);
            let date = format!("2026-{:02}-{:02}", 10 + random.below(2), 1 + random.below(3));
            let many = if random.below(9) == 0 { MANY } else { 1 + random.below(20) };
            let file = |n: u64| File { path: format!("{seq}-{n}"), date: date.clone(), rows: n, ..File::default() };
            commit.added = [("raw_gps".to_owned(), (0..many).map(file).collect())].into();
            let gone: Vec<File> = model.values().filter(|_| random.below(7) == 0).cloned().collect();
            model.extend(commit.added["raw_gps"].iter().map(|file| (file.path.clone(), file.clone())));
            gone.iter().for_each(|file| drop(model.remove(&file.path)));
            commit.removed = [("raw_gps".to_owned(), gone)].into();
            state = history::apply(Some(State { files: live, ..state }), &commit, String::new());
            live = state.files.clone();
            if random.below(5) == 0 {
                live = write(&lake, &state).await.unwrap().0;
                let mut dates: BTreeMap<&str, usize> = BTreeMap::new();
                model.values().for_each(|file| *dates.entry(&file.date).or_default() += 1);
                let has_own = |date: &str| live.parts("raw_gps").iter().any(|part| part.span == date);
                let large = dates.into_iter().filter(|(_, files)| *files as u64 >= MANY);
                assert!(large.into_iter().all(|(date, _)| has_own(date)), "seed {seed} round {round} commit {seq}");
            }
            let mut found = files(&lake, &live, "raw_gps", |_| true).await.unwrap();
            found.sort_by(|one, other| one.path.cmp(&other.path));
            assert!(found.iter().eq(model.values()), "seed {seed} round {round} commit {seq}");
            let rows = model.values().map(|file| file.rows).sum();
            assert_eq!((live.sizes()["raw_gps"].files, live.sizes()["raw_gps"].rows), (model.len() as u64, rows));
        }
    }
}

/// More than a month's part takes of one date.
const MANY: u64 = 1001;

#[tokio::test]
async fn a_month_that_is_over_is_written_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let lake = lake(&dir).await;
    let mut state = history::apply(None, &crate::lake::testing::claim("a"), String::new());
    let mut written = Vec::new();
    for month in ["2026-09", "2026-10", "2026-11"] {
        let mut commit = data(&state, "a", 1, 0);
        commit.added.get_mut("raw_gps").unwrap()[0].date = format!("{month}-30");
        state = history::apply(Some(state), &commit, String::new());
        state.files = write(&lake, &state).await.unwrap().0;
        written.push(state.files.parts("raw_gps").to_vec());
    }
    assert_eq!(written[2][..2], written[1]);
    assert_eq!(written[1][..1], written[0]);
    let may = |file: &File| file.date.starts_with("2026-10");
    assert_eq!(files(&lake, &state.files, "raw_gps", may).await.unwrap().len(), 1);
}

#[tokio::test]
async fn old_roots_go_with_what_only_they_refer_to() {
    let minute = 60_000;
    let at = |seq: u64, minutes: i64| (seq, minutes * minute);
    assert_eq!(kept(&[]), BTreeSet::new());
    assert_eq!(kept(&[at(1, 0), at(2, 1), at(3, 2), at(4, 3), at(5, 4)]), [1, 2, 3, 4, 5].into(), "within the hour");
    let hours: Vec<_> = (0..24 * 10).map(|hour| at(hour, 60 * hour as i64)).collect();
    let expected: BTreeSet<u64> = [95, 119, 143, 167, 191, 215, 237, 238, 239].into();
    assert_eq!(kept(&hours), expected, "three, and the last of each day");

    let dir = tempfile::tempdir().unwrap();
    let lake = lake(&dir).await;
    let mut state = history::apply(None, &crate::lake::testing::claim("a"), String::new());
    for hour in 0..8 {
        let commit = Commit { time_ms: hour * 60 * minute, ..data(&state, "a", 1, 0) };
        state = history::apply(Some(state), &commit, String::new());
        state.files = write(&lake, &state).await.unwrap().0;
        clean(&lake).await.unwrap();
    }
    assert_eq!(numbers(&lake).await, [6, 7, 8]);
    let listed = lake.list(layout::SNAPSHOTS, None).await.unwrap();
    assert_eq!(listed.len(), 6, "a root and a part each: {listed:?}");
    assert_eq!(files(&lake, &state.files, "raw_gps", |_| true).await.unwrap().len(), 8);
}
