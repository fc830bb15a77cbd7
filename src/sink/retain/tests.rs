//! What is due, against all files one by one.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use citystream_dataflows::time::DAY;

use super::*;
use crate::lake::history::commit::Kind;
use crate::lake::testing::{Random, data, seed};
use crate::lake::{Committer, StoreOptions};

/// 2026-06-01.
const BEGIN: Micros = 1_780_272_000_000_000;

fn date(day: i64) -> String {
    jiff::Timestamp::from_microsecond(BEGIN + day * DAY).unwrap().strftime("%Y-%m-%d").to_string()
}

/// A lake of pings and dead letters of dates from 20 days before the horizon on; some pings are a day ahead of their date, and some
/// of the first two dates ahead of the horizon.
async fn lake(dir: &tempfile::TempDir) -> (Lake, Committer) {
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    let mut random = Random(seed());
    for n in 0..60 {
        let day = if n < 50 { random.below(21) as i64 } else { n % 2 };
        let mut commit = data(committer.state().unwrap(), "a", 1 + random.below(9), random.below(3));
        commit.horizon = Some(BEGIN + 20 * DAY);
        for (table, files) in &mut commit.added {
            let ahead = if n < 56 { DAY * random.below(2) as i64 } else { 20 * DAY };
            let time = BEGIN + day * DAY + random.below(DAY as u64) as i64 + ahead;
            files[0].path = format!("tables/{table}/{n}");
            (files[0].date, files[0].net) = (date(day), files[0].rows as i64);
            files[0].event_time = files[0].event_time.map(|_| (time, time));
            files[0].quality_window = Some((time - ahead, time - ahead));
        }
        committer.propose(commit).await.unwrap();
    }
    (lake, committer)
}

#[tokio::test]
async fn t3_whole_dates_are_due_that_are_old_enough_and_that_no_start_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, mut committer) = lake(&dir).await;
    let keep = Keep::parse(["raw_gps=5d", "dead_letters=9d12h"].into_iter()).unwrap();
    let now = as_of(committer.state().unwrap()).unwrap();
    assert_eq!(now, BEGIN + 20 * DAY, "the horizon is before today");
    let cutoffs = from(&keep, now);
    assert_eq!(cutoffs.values().collect::<Vec<_>>(), [&date(15), &date(10)]);

    // By hand: a date goes if it ends an age before the horizon, and none of its files reaches the horizon.
    let state = committer.state().unwrap().clone();
    let mut expected = BTreeSet::new();
    for (table, days) in [("raw_gps", 5 * 24), ("dead_letters", 9 * 24 + 12)] {
        let files = state.files.added(table);
        let is_needed = |date: &str| {
            let last = |file: &File| file.event_time.map_or(0, |(_, last)| last);
            files.iter().any(|file| file.date == date && last(file) > BEGIN + 20 * DAY - 2 * 3_600_000_000)
        };
        for day in 0..=20 {
            let is_old = BEGIN + (day + 1) * DAY <= BEGIN + 20 * DAY - days * 3_600_000_000;
            if is_old && !is_needed(&date(day)) {
                let its = files.iter().filter(|file| file.date == date(day));
                expected.extend(its.map(|file| (table, file.path.clone())));
            }
        }
    }
    let (all, is_all) = due(&lake, &state, &cutoffs, usize::MAX).await.unwrap();
    let paths = |due: &Due| due.files.iter().map(|file| (due.table.name(), file.path.clone())).collect::<Vec<_>>();
    assert!(is_all);
    assert_eq!(all.iter().flat_map(paths).collect::<BTreeSet<_>>(), expected);

    // A few at a time, it is the same.
    let mut gone = BTreeSet::new();
    loop {
        let state = committer.state().unwrap();
        let (some, is_all) = due(&lake, state, &cutoffs, 3).await.unwrap();
        let mut commit = Commit { kind: Kind::Data, ..committer.carry_on() };
        for due in some {
            gone.extend(paths(&due));
            due.record(state, &mut commit, None);
        }
        committer.propose(commit).await.unwrap();
        if is_all {
            break;
        }
    }
    assert_eq!(gone, expected);
}

#[tokio::test]
async fn a_run_looks_once_a_date_and_takes_up_what_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, committer) = lake(&dir).await;
    let state = committer.state().unwrap();
    let carry_on = || Commit { kind: Kind::Data, ..committer.carry_on() };
    let keep = Keep::parse(["raw_gps=5d"].into_iter()).unwrap();
    let mut retention = Retention::new(lake, keep);
    let mut commit = carry_on();
    assert!(retention.record(state, &mut commit, None).await.unwrap());
    assert_eq!(commit.removed.keys().collect::<Vec<_>>(), ["raw_gps"]);
    let mut again = carry_on();
    assert!(retention.record(state, &mut again, None).await.unwrap() && again.tidy.is_empty(), "it has looked");
    let wanted = [("raw_gps", date(3)), ("dead_letters", date(12))];
    let cutoffs = wanted.map(|(table, date)| (Table::from_name(table).unwrap(), date)).into();
    let asked = Asked { id: "x".into(), cutoffs };
    let mut commit = carry_on();
    assert!(retention.record(state, &mut commit, Some(&asked)).await.unwrap());
    let named: Vec<_> = commit.tidy.iter().map(|tidy| (tidy.table.as_str(), tidy.request.as_deref())).collect();
    assert_eq!(named, [("raw_gps", Some("x")), ("dead_letters", Some("x"))]);
    let before = |n: usize| commit.tidy[n].expired.as_ref().unwrap().before.clone();
    assert_eq!((before(0), before(1)), (date(15), date(12)), "the later of what is asked and what is said");
}
