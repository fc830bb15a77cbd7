//! A lake whose first commits are kept no longer: all that looks at it goes on.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::memory::InMemory;

use crate::lake::delta::publish::Publisher;
use crate::lake::garbage::{self, Collection, Garbage};
use crate::lake::history::commit::{Commit, Kind};
use crate::lake::history::{base, layout, packs, read, roots};
use crate::lake::inspect::verify::tests::{filled, tables};
use crate::lake::inspect::verify::verify;
use crate::lake::repair::repair;
use crate::lake::store::Clock;
use crate::lake::testing::{Random, seed};
use crate::lake::{Committer, Lake, State};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// A clock that a test sets.
#[derive(Debug, Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// Four weeks of a lake, of a commit every ten minutes; runs are replaced now and then.
struct Weeks {
    lake: Lake,
    hand: Arc<Hand>,
    last: State,
}

async fn weeks(age_ms: Option<i64>, random: &mut Random) -> Weeks {
    let hand = Arc::new(Hand::default());
    hand.0.store(1_700_000_000_000, Ordering::Relaxed);
    let lake = Lake::with_store(Arc::new(InMemory::new()), "lake").with_clock(hand.clone());
    let (mut committer, mut last) = Committer::claim(&lake, "a").await.unwrap();
    let mut publisher = Publisher::open(&lake, "id", tables(), 0).await.unwrap();
    while last.seq < 4_100 {
        // Until then a root is there for each hundredth commit, the first ones of packs among them.
        if last.seq > 2_500 && random.below(150) == 0 {
            (committer, last) = Committer::claim(&lake, "a").await.unwrap();
            publisher = Publisher::open(&lake, "id", tables(), last.seq).await.unwrap();
        }
        committer.set_age(age_ms);
        let mut commit = match random.below(4) {
            // Those roots then refer to parts of roots before them.
            0 if last.seq % packs::COMMITS < 850 => filled(&lake, committer.state().unwrap()).await,
            _ => Commit { kind: Kind::Data, ..committer.carry_on() },
        };
        commit.version = commit.version.filter(|_| random.below(10) == 0);
        hand.0.fetch_add(10 * MINUTE_MS, Ordering::Relaxed);
        publisher.publish(&committer.propose(commit).await.unwrap()).await.unwrap();
        last = committer.state().unwrap().clone();
        committer.tend().await;
    }
    let (_, last) = Committer::claim(&lake, "a").await.unwrap();
    Publisher::open(&lake, "id", tables(), last.seq).await.unwrap();
    Weeks { lake, hand, last }
}

#[tokio::test]
async fn p2_of_commits_that_are_kept_no_longer_a_root_is_left_and_all_else_goes_on() {
    let seed = seed();
    let all = weeks(None, &mut Random(seed)).await;
    let Weeks { lake, hand, last } = weeks(Some(10 * DAY_MS), &mut Random(seed)).await;
    let model = State { base: last.base.clone(), digest: last.digest.clone(), ..all.last.clone() };
    let (files, live) = (roots::state(&lake).await.unwrap().unwrap().files, all.last.files.sizes());
    assert_eq!((&last.totals, &last.positions, last.published), (&model.totals, &model.positions, model.published));
    assert_eq!(files.sizes(), live);
    let first = base::first(&last);
    assert_eq!(first, 2001);
    let bases = lake.list(layout::SNAPSHOTS, None).await.unwrap().into_iter();
    let bases: BTreeSet<u64> = bases.filter_map(|object| layout::base_number(&object.path)).collect();
    assert_eq!(bases, [2000].into());
    let listed = lake.list(layout::PACKS, None).await.unwrap();
    assert_eq!(listed.first().map(|object| object.path.clone()), Some(packs::path(2000)));
    let read: Vec<_> = read::read(&lake, first..=last.seq).await.unwrap().try_collect().await.unwrap();
    assert_eq!(read.len() as u64, last.seq - first + 1);

    let report = verify(&lake, "id", &tables()).await.unwrap();
    assert_eq!((&report.violations, report.first), (&Vec::new(), first));
    assert_eq!(report.rows, last.totals.values().map(|ledger| ledger.read).sum::<u64>());
    let collection = Collection { now_ms: hand.now_ms() + DAY_MS, grace_ms: 0, is_dry: true };
    assert_eq!(garbage::collect(&lake, collection).await.unwrap(), Some(Garbage::default()));

    // What is derived is mended from there; with the last root that is left a start begins.
    let mut spoiled = Vec::new();
    for table in ["raw_gps", layout::COMMITS_TABLE] {
        let log = lake.list(&layout::delta_log(table), None).await.unwrap();
        let mut checkpoints: Vec<String> = log.into_iter().map(|object| object.path).collect();
        checkpoints.retain(|path| layout::checkpoint_version(path).is_some());
        checkpoints.pop();
        spoiled.push(layout::delta_version(table, last.published().version - 5));
        lake.delete(checkpoints).await.unwrap();
    }
    lake.delete(spoiled.clone()).await.unwrap();
    // With one checkpoint more versions are needed: those since the base that had been deleted, if there are some.
    let mended = repair(&lake, "id", &tables()).await.unwrap();
    assert!(spoiled.iter().all(|path| mended.contains(path)), "{mended:?}");
    assert_eq!(verify(&lake, "id", &tables()).await.unwrap().violations, Vec::<String>::new());
    let begun = layout::base(first - 1);
    let others = lake.list(layout::SNAPSHOTS, None).await.unwrap().into_iter().map(|object| object.path);
    lake.delete(others.filter(|path| *path != begun && layout::base_number(path).is_none()).collect()).await.unwrap();
    let found = roots::state(&lake).await.unwrap().unwrap();
    assert_eq!((&found.totals, found.files.sizes()), (&last.totals, live));

    roots::write(&lake, &found).await.unwrap();
    // A run that has been replaced knows nothing of the next base.
    let (before, next) = (layout::base_part(1000, "raw_gps", "2023-11"), layout::base_part(3000, "raw_gps", "2023-11"));
    for path in [&before, &next] {
        lake.put(path, "part".into()).await.unwrap();
    }
    roots::clean(&lake).await.unwrap();
    let is_there = async |path: &str| lake.exists(path).await.unwrap();
    assert_eq!([is_there(&begun).await, is_there(&before).await, is_there(&next).await], [true, false, true]);
    lake.delete(vec![begun]).await.unwrap();
    let error = verify(&lake, "id", &tables()).await.unwrap_err().to_string();
    assert!(error.contains("with which the history begins"), "{error}");
}
