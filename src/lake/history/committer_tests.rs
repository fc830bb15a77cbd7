//! P2: one line of history whatever the store does and whoever else writes.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use super::*;
use crate::lake::StoreOptions;
use crate::lake::testing::{Fault, Faulty, Random, data, seed};

const SHORT: Duration = Duration::from_millis(1);

async fn lake(dir: &tempfile::TempDir) -> Lake {
    Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap()
}

/// Breaks the nth put-if-absent of a commit from now, counting from 1, in the way given.
fn break_nth(lake: &Lake, nth: usize, fault: Fault) -> Lake {
    let count = AtomicUsize::new(0);
    lake.wrap(Faulty::wrap(lake.store(), move |path| {
        let ours = path.as_ref().starts_with(layout::COMMITS);
        (ours && count.fetch_add(1, SeqCst) + 1 == nth).then_some(fault)
    }))
}

async fn propose(committer: &mut Committer, rows: u64) -> Result<Commit, CommitError> {
    let commit = data(committer.state().unwrap(), committer.run(), rows, 0);
    committer.propose(commit).await
}

#[tokio::test]
async fn p2_lost_replies_conflicts_failures_and_late_landings_commit_once() {
    for fault in [Fault::LostReply, Fault::Conflict, Fault::Failed, Fault::Late(SHORT * 3)] {
        for nth in [1, 2] {
            let dir = tempfile::tempdir().unwrap();
            let lake = break_nth(&lake(&dir).await, nth, fault);
            let (mut committer, state) = Committer::claim_with(&lake, "a", SHORT).await.unwrap();
            assert_eq!((state.seq, state.run.as_str()), (0, "a"));
            let commit = propose(&mut committer, 5).await.unwrap();
            assert_eq!((commit.seq, commit.run.as_str()), (1, "a"), "{fault:?} {nth}");
            tokio::time::sleep(SHORT * 6).await;
            let read = roots::state(&lake).await.unwrap().unwrap();
            assert_eq!(Some(&read), committer.state(), "{fault:?} {nth}");
        }
    }
}

#[tokio::test]
async fn p2_a_replaced_run_is_told_by_whom_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let lake = lake(&dir).await;
    let (mut old, _) = Committer::claim_with(&lake, "old", SHORT).await.unwrap();
    propose(&mut old, 5).await.unwrap();
    let (mut new, state) = Committer::claim_with(&lake, "new", SHORT).await.unwrap();
    assert_eq!((state.seq, state.positions[0].next.0), (2, 5));
    propose(&mut new, 3).await.unwrap();
    for _ in 0..2 {
        match propose(&mut old, 7).await {
            Err(CommitError::Replaced { by, seq }) => assert_eq!((by.as_str(), seq), ("new", 2)),
            other => panic!("{other:?}"),
        }
    }
    let read = roots::state(&lake).await.unwrap().unwrap();
    assert_eq!((read.seq, read.run.as_str(), read.positions[0].next.0), (3, "new", 8));
}

#[tokio::test]
async fn p2_a_put_that_lands_after_its_successors_start_leaves_one_line() {
    for delay in [0, 2, 5, 9, 20] {
        let dir = tempfile::tempdir().unwrap();
        let lake = lake(&dir).await;
        let (mut dying, _) = Committer::claim_with(&lake, "dying", SHORT).await.unwrap();
        // Its put hangs, and the writer dies before it can look again.
        let fault = Fault::Late(Duration::from_millis(delay));
        dying.lake = lake.wrap(Faulty::wrap(lake.store(), move |_| Some(fault)));
        let commit = data(dying.state().unwrap(), "dying", 5, 0);
        let task = tokio::spawn(async move { dying.propose(commit).await });
        tokio::time::sleep(SHORT).await;
        task.abort();
        let (mut next, _) = Committer::claim_with(&lake, "next", SHORT).await.unwrap();
        tokio::time::sleep(Duration::from_millis(delay + 5)).await;
        let commit = propose(&mut next, 3).await.unwrap();
        let read = roots::state(&lake).await.unwrap().unwrap();
        assert_eq!((read.seq, Some(&read)), (commit.seq, next.state()), "landed after {delay} ms");
        let kept = if commit.seq == 2 { 3 } else { 8 };
        assert_eq!((read.positions[0].next.0, read.totals.values().next().unwrap().read), (kept, kept as u64));
    }
}

#[tokio::test]
async fn p4_a_commit_with_a_wrong_ledger_is_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let lake = lake(&dir).await;
    let (mut committer, state) = Committer::claim_with(&lake, "a", SHORT).await.unwrap();
    let mut wrong = data(&state, "a", 5, 0);
    wrong.epochs[0].bindings[0].read = 4;
    assert!(matches!(committer.propose(wrong).await, Err(CommitError::Integrity(text)) if text.contains("P4")));
    assert_eq!(read::head(&lake, None).await.unwrap(), Some(0));
}

/// T1: before and after the files are in a root, what is packed has to be live as it is told.
#[tokio::test]
async fn t1_only_live_files_are_packed_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let lake = lake(&dir).await;
    let (mut committer, _) = Committer::claim_with(&lake, "a", SHORT).await.unwrap();
    for rows in 1..=2 {
        propose(&mut committer, rows).await.unwrap();
    }
    let files = committer.state().unwrap().files.added("raw_gps").to_vec();
    let pack = |committer: &Committer, removed: &[File]| {
        let sum = File::sum(removed);
        let made = File { path: "packed".into(), date: removed[0].date.clone(), level: sum.level + 1, ..sum };
        let mut commit = Commit { kind: Kind::Data, ..committer.carry_on() };
        tidy::record(&mut commit, "raw_gps", removed.to_vec(), made, None);
        commit
    };
    for is_rooted in [false, true] {
        let mut spoiled = files.clone();
        spoiled[1].sha256 = "other".into();
        let wrong = pack(&committer, &spoiled);
        let found = committer.propose(wrong).await.unwrap_err().to_string();
        assert!(found.contains("T1") && found.contains("not there as it says"), "{found}");
        assert_eq!(read::head(&lake, None).await.unwrap(), Some(committer.next_seq() - 1), "nothing was written");
        if !is_rooted {
            let (live, _) = roots::write(&lake, committer.state().unwrap()).await.unwrap();
            committer.set_state(State { files: live, ..committer.state().unwrap().clone() });
        }
    }
    let commit = pack(&committer, &files);
    let written = committer.propose(commit.clone()).await.unwrap();
    let live = roots::files(&lake, &committer.state().unwrap().files, "raw_gps", |_| true).await.unwrap();
    assert_eq!(live, written.added["raw_gps"]);
    assert!(committer.propose(commit).await.unwrap_err().to_string().contains("T1"), "they are gone");
}

#[tokio::test]
async fn p2_random_faults_and_rivals_leave_a_dense_chain() {
    let seed = seed();
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let random = Arc::new(Mutex::new(Random(seed.wrapping_add(round * 2))));
        let sound = lake(&dir).await;
        let dice = random.clone();
        let faulty = sound.wrap(Faulty::wrap(sound.store(), move |_| {
            let mut random = dice.lock().unwrap();
            match random.below(8) {
                0 => Some(Fault::LostReply),
                1 => Some(Fault::Conflict),
                2 => Some(Fault::Failed),
                3 => Some(Fault::Late(Duration::from_micros(random.below(8000)))),
                _ => None,
            }
        }));
        let rivals: Vec<_> = (0..2).map(|rival| tokio::spawn(run(faulty.clone(), rival, random.clone()))).collect();
        let mut written = 0;
        for rival in rivals {
            written += rival.await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let state = roots::state(&sound).await.unwrap().unwrap();
        let read: u64 = state.totals.values().map(|l| l.read).sum();
        assert_eq!((read, state.positions[0].next.0), (written, written as i64), "round {round}");
    }
}

/// Claims, commits some rows, loses the claim or dies, and starts again. The records of its commits.
async fn run(lake: Lake, rival: u64, random: Arc<Mutex<Random>>) -> u64 {
    let mut written = 0;
    for life in 0..4 {
        let (mut committer, _) = Committer::claim_with(&lake, &format!("{rival}-{life}"), SHORT).await.unwrap();
        let commits = random.lock().unwrap().below(6);
        for _ in 0..=commits {
            let rows = random.lock().unwrap().below(9) + 1;
            match propose(&mut committer, rows).await {
                Ok(_) => written += rows,
                Err(CommitError::Replaced { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    written
}
