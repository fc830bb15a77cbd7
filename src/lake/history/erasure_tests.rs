//! T4, P4: histories that erase at random, and the ways in which what they say may be wrong.

#![allow(clippy::unwrap_used)]

use citystream_dataflows::time::DAY;
use citystream_dataflows::time::disposition::Disposition;

use super::*;
use crate::lake::history::commit::Kind;
use crate::lake::history::{layout, roots, tidy};
use crate::lake::testing::{Random, data, seed};
use crate::lake::{Committer, Lake, StoreOptions};

/// 2026-06-01.
const BEGIN: i64 = 1_780_272_000_000_000;

fn date(day: i64) -> String {
    jiff::Timestamp::from_microsecond(BEGIN + day * DAY).unwrap().strftime("%Y-%m-%d").to_string()
}

/// A commit of some pings and dead letters of a date; the horizon is 20 days after the first.
fn filled(state: &State, random: &mut Random) -> Commit {
    let day = random.below(5) as i64;
    let mut commit = data(state, "a", 1 + random.below(9), 1 + random.below(3));
    commit.horizon = Some(BEGIN + 20 * DAY);
    for (table, files) in &mut commit.added {
        let time = BEGIN + day * DAY + random.below(DAY as u64) as i64;
        files[0].path = format!("tables/{table}/{}", commit.seq);
        (files[0].date, files[0].net) = (date(day), files[0].rows as i64);
        files[0].event_time = files[0].event_time.map(|_| (time, time));
        files[0].quality_window = Some((time, time));
    }
    commit
}

/// A commit that takes some rows of some files of a table.
fn erasing(committer: &Committer, live: &[File], table: &str, random: &mut Random) -> Commit {
    let state = committer.state().unwrap();
    let place = Some(Partition { topic: Topic::GPS, index: 0 });
    let disposition = Some(Disposition::OnTime).filter(|_| table == "raw_gps");
    let (mut removed, mut added, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for file in live.iter().take(1 + random.below(4) as usize) {
        let gone = 1 + random.below(file.rows);
        let (rows, path) = (file.rows - gone, format!("{}-{}", file.path, state.seq));
        if rows > 0 {
            added.push(File { path, rows, net: rows as i64, ..file.clone() });
        }
        let (date, net) = (file.date.clone(), gone as i64);
        counts.push(Count { date, place, disposition, rows: gone, net, sums: BTreeMap::new() });
        removed.push(file.clone());
    }
    let last = state.erased.get(table).map(|sum| sum.last);
    let erased = Erased { whose: "x".into(), through: state.seq, last, counts };
    let mut commit = Commit { kind: Kind::Data, ..committer.carry_on() };
    tidy::record_erased(&mut commit, table, (removed, added), erased, None);
    commit
}

/// Ways in which what is erased may not go.
fn spoiled(good: &Commit) -> Vec<(&'static str, Commit)> {
    let mut all = Vec::new();
    let mut spoil = |what, spoil: &dyn Fn(&mut Commit)| {
        let mut commit = good.clone();
        spoil(&mut commit);
        all.push((what, commit));
    };
    spoil("it says", &|c| c.tidy[0].rows_removed += 1);
    spoil("does not say what", &|c| c.tidy[0].erased = None);
    spoil("did not erase the last", &|c| c.tidy[0].erased.as_mut().unwrap().last = Some(u64::MAX));
    spoil("are said to go", &|c| c.tidy[0].erased.as_mut().unwrap().counts[0].rows += 1);
    spoil("are said to go", &|c| c.tidy[0].erased.as_mut().unwrap().counts[0].net += 1);
    spoil("is no date", &|c| c.tidy[0].erased.as_mut().unwrap().counts[0].date = date(9));
    spoil("only rows of commits after", &|c| c.tidy[0].erased.as_mut().unwrap().through = 0);
    spoil("not there as it says", &|c| c.removed.values_mut().next().unwrap()[0].bytes += 1);
    if good.added.values().any(|files| !files.is_empty()) {
        spoil("other ranges", &|c| c.added.values_mut().next().unwrap()[0].level += 1);
        spoil("other ranges", &|c| c.added.values_mut().next().unwrap()[0].seqs.1 = 1 << 40);
        spoil("other ranges", &|c| c.added.values_mut().next().unwrap()[0].log_time = Some((0, 0)));
        spoil("are said to go", &|c| {
            c.added.values_mut().next().unwrap()[0].rows += 1;
            c.tidy[0].rows_added += 1;
        });
    }
    all
}

#[tokio::test]
async fn t4_what_is_erased_makes_up_for_what_is_live() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    let (mut random, mut expected, mut refused) = (Random(seed()), BTreeMap::<String, u64>::new(), 0);
    for _ in 0..80 {
        let table = ["raw_gps", layout::DEAD_LETTERS][random.below(2) as usize];
        let live = roots::files(&lake, &committer.state().unwrap().files, table, |_| true).await.unwrap();
        let commit = match live.is_empty() || random.below(3) > 0 {
            true => filled(committer.state().unwrap(), &mut random),
            false => erasing(&committer, &live, table, &mut random),
        };
        if !commit.tidy.is_empty() {
            for (what, wrong) in spoiled(&commit) {
                let found = committer.propose(wrong).await.unwrap_err().to_string();
                assert!(
                    found.contains(what) && (found.starts_with("T4") || found.starts_with("T1")),
                    "{what}: {found}"
                );
                refused += 1;
            }
            *expected.entry(table.to_owned()).or_default() += commit.tidy[0].rows_removed - commit.tidy[0].rows_added;
        }
        committer.propose(commit).await.unwrap();
        if random.below(10) == 0 {
            let (files, _) = roots::write(&lake, committer.state().unwrap()).await.unwrap();
            committer.set_state(State { files, ..committer.state().unwrap().clone() });
        }
        let state = committer.state().unwrap();
        retention::check_sums(state, |table| state.files.sums(table)).unwrap();
        let counted = state.erased.iter().map(|(table, sum)| (table.clone(), sum.rows));
        assert_eq!(counted.collect::<BTreeMap<_, _>>(), expected);
        for (table, rows) in &expected {
            assert_eq!(count(state, table, Topic::GPS, 0), *rows, "{table}");
        }
    }
    assert!(refused > 50 && expected.len() == 2, "{refused} {expected:?}");
    let state = roots::state(&lake).await.unwrap().unwrap();
    assert_eq!(state.erased, committer.state().unwrap().erased);
    // A root that has lost some of it is none.
    let state = State { erased: AllErased::new(), ..state };
    assert!(retention::check_sums(&state, |table| state.files.sums(table)).unwrap_err().0.contains("in the ledgers"));
}

#[tokio::test]
async fn t4_what_a_start_reads_stays() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    let mut random = Random(seed());
    let mut commit = filled(committer.state().unwrap(), &mut random);
    commit.added.get_mut("raw_gps").unwrap()[0].event_time = Some((BEGIN, BEGIN + 20 * DAY - 1));
    committer.propose(commit).await.unwrap();
    let live = committer.state().unwrap().files.added("raw_gps").to_vec();
    let commit = erasing(&committer, &live, "raw_gps", &mut random);
    let found = committer.propose(commit).await.unwrap_err().to_string();
    assert!(found.starts_with("T4") && found.contains("is still needed"), "{found}");
}
