//! T3, P4: histories that drop dates at random, against a list of files.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use citystream_dataflows::time::DAY;

use super::*;
use crate::lake::history::commit::Kind;
use crate::lake::history::{Live, roots, tidy};
use crate::lake::testing::{Random, data, seed};
use crate::lake::{Committer, Lake, StoreOptions};

/// 2026-06-01.
const BEGIN: Micros = 1_780_272_000_000_000;

fn date(day: i64) -> String {
    jiff::Timestamp::from_microsecond(BEGIN + day * DAY).unwrap().strftime("%Y-%m-%d").to_string()
}

/// The files of each table and date.
type Model = BTreeMap<(String, String), Vec<File>>;

/// A commit of some pings and dead letters of a date, after which the horizon is at the beginning of `day`.
fn filled(state: &State, random: &mut Random, (of, day): (i64, i64)) -> Commit {
    let mut commit = data(state, "a", 1 + random.below(9), random.below(3));
    commit.horizon = Some(BEGIN + day * DAY);
    for (table, files) in &mut commit.added {
        for file in files {
            let time = BEGIN + of * DAY + random.below(DAY as u64 - 1) as i64;
            file.path = format!("tables/{table}/{}-{}", commit.seq, random.below(u64::MAX));
            (file.date, file.net, file.quality_window) = (date(of), file.rows as i64, Some((time, time)));
            file.event_time = file.event_time.map(|_| (time, time));
        }
    }
    commit
}

/// A commit that drops all dates of a table before one.
fn dropping(committer: &Committer, model: &Model, table: &str, before: &str) -> Option<Commit> {
    let old = |((of, date), _): &(&(String, String), &Vec<File>)| of == table && date.as_str() < before;
    let files: Vec<File> = model.iter().filter(old).flat_map(|(_, files)| files.clone()).collect();
    let state = committer.state().unwrap();
    let expired = Expired { before: before.to_owned(), last: state.gone.get(table).map(|gone| gone.last) };
    let mut commit = Commit { kind: Kind::Data, ..committer.carry_on() };
    (!files.is_empty()).then(|| tidy::record_expired(&mut commit, table, files, expired, None)).map(|()| commit)
}

/// Ways in which what is dropped may not go.
fn spoiled(good: &Commit, random: &mut Random) -> Vec<(&'static str, Commit)> {
    let mut all = Vec::new();
    let mut spoil = |what, spoil: &dyn Fn(&mut Commit)| {
        let mut commit = good.clone();
        spoil(&mut commit);
        all.push((what, commit));
    };
    spoil("files of", &|c| c.tidy[0].rows_removed += 1);
    spoil("does not say until when", &|c| c.tidy[0].expired = None);
    spoil("did not drop the last", &|c| c.tidy[0].expired.as_mut().unwrap().last = Some(0));
    spoil("is not before", &|c| c.tidy[0].expired.as_mut().unwrap().before = date(-9));
    spoil("not there as it says", &|c| c.removed.values_mut().next().unwrap()[0].bytes += 1);
    let files = good.removed.values().next().unwrap();
    let out = files[random.below(files.len() as u64) as usize].clone();
    if files.iter().filter(|file| file.date == out.date).count() > 1 {
        spoil("of the same date is left", &|c| {
            c.removed.values_mut().next().unwrap().retain(|file| *file != out);
            c.tidy[0].removed.retain(|path| *path != out.path);
            c.tidy[0].rows_removed -= out.rows;
        });
    }
    all
}

#[tokio::test]
async fn t3_whole_dates_go_and_what_is_gone_makes_up_for_what_is_live() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    let (mut random, mut model, mut gone) = (Random(seed()), Model::new(), BTreeMap::<String, (u64, u64)>::new());
    let (mut day, mut refused) = (0, 0);
    for _ in 0..160 {
        day += random.below(2) as i64;
        let table = ["raw_gps", layout::DEAD_LETTERS][random.below(2) as usize];
        let commit = match random.below(4) {
            0 => dropping(&committer, &model, table, &date(day - 3 - random.below(3) as i64)),
            _ => {
                let of = day - random.below(5) as i64;
                Some(filled(committer.state().unwrap(), &mut random, (of, day)))
            }
        };
        let Some(commit) = commit else { continue };
        if !commit.tidy.is_empty() {
            for (what, wrong) in spoiled(&commit, &mut random) {
                let found = committer.propose(wrong).await.unwrap_err().to_string();
                assert!(
                    found.contains(what) && (found.starts_with("T3") || found.starts_with("T1")),
                    "{what}: {found}"
                );
                refused += 1;
            }
        }
        let commit = committer.propose(commit).await.unwrap();
        for (table, file) in commit.removed.iter().flat_map(|(t, files)| files.iter().map(move |file| (t, file))) {
            model.remove(&(table.clone(), file.date.clone()));
            let (files, rows) = gone.entry(table.clone()).or_default();
            (*files, *rows) = (*files + 1, *rows + file.rows);
        }
        for (table, file) in commit.added.iter().flat_map(|(t, files)| files.iter().map(move |file| (t, file))) {
            model.entry((table.clone(), file.date.clone())).or_default().push(file.clone());
        }
        if random.below(10) == 0 {
            let (files, _) = roots::write(&lake, committer.state().unwrap()).await.unwrap();
            committer.set_state(State { files, ..committer.state().unwrap().clone() });
        }
        let state = committer.state().unwrap();
        check_sums(state, |table| state.files.sums(table)).unwrap();
        let counted = state.gone.iter().map(|(table, gone)| (table.clone(), (gone.files, gone.sum.rows)));
        assert_eq!(counted.collect::<BTreeMap<_, _>>(), gone);
    }
    assert!(refused > 20 && gone.len() == 2, "{refused} {gone:?}");
    let state = roots::state(&lake).await.unwrap().unwrap();
    assert_eq!(state.gone, committer.state().unwrap().gone);
    for table in ["raw_gps", layout::DEAD_LETTERS] {
        let mut live = roots::files(&lake, &state.files, table, |_| true).await.unwrap();
        let mut expected: Vec<File> =
            model.iter().filter(|((of, _), _)| of == table).flat_map(|(_, f)| f.clone()).collect();
        live.sort();
        expected.sort();
        assert_eq!(live, expected);
    }
    // A root that has lost some of it is none.
    let state = State { gone: AllGone::new(), ..state };
    assert!(check_sums(&state, |table| state.files.sums(table)).unwrap_err().0.contains("in the ledgers"));
    assert_eq!(State { files: Live::default(), ..state }.files.sums("raw_gps"), (0, 0));
}

/// What a start from a horizon may read stays, whoever is ahead of it.
#[test]
fn t3_what_a_start_reads_stays() {
    use citystream_dataflows::tables::Derived;
    let horizon = BEGIN + 10 * DAY;
    let of = |before: Micros| File { event_time: Some((BEGIN, horizon - before)), ..File::default() };
    let may = |name: &str, file: &File| may_go(Table::from_name(name).unwrap(), file, horizon);
    let hour = DAY / 24;
    // 49 h back: two lives of an incident and an exposure; an hour and a quarter: the pings of one.
    assert!(!may("raw_emergency", &of(49 * hour)) && may("raw_emergency", &of(50 * hour)));
    assert!(!may("raw_gps", &of(hour)) && may("raw_gps", &of(3 * hour)));
    assert!(!may("incidents_changes", &of(49 * hour)) && may("incidents_changes", &of(50 * hour)));
    assert!(!may("traffic_5m", &of(0)) && may("traffic_5m", &of(1)), "it is sealed");
    for table in Table::all().filter(|table| *table != Table::DeadLetters) {
        assert!(!may_go(table, &of(-DAY), horizon), "{}: ahead of the horizon", table.name());
        assert!(may_go(table, &of(3 * DAY), horizon), "{}: three days old", table.name());
    }
    let counted = |before: Micros| File { quality_window: Some((BEGIN, horizon - before)), ..File::default() };
    assert!(!may(layout::DEAD_LETTERS, &counted(0)) && may(layout::DEAD_LETTERS, &counted(hour)));
    assert!(Derived::all().all(|table| !may_go(Table::Sealed(table), &File::default(), horizon)), "of unknown times");
}
