//! Histories of many commits, made by the program's own code: one that is nine days old, and some commits more.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use citystream::parts::{
    Clock, Commit, Committer, DeltaTable, Kind, Lake, Publisher, StoreOptions, read_settings, with_schemas,
};
use citystream_dataflows::tables::Derived;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::common::live::now_ms;

/// A pack's commits, and some more.
pub(crate) const A_PACK: u64 = 1_010;
/// Two packs' commits, and some more: the second pack may begin with a base.
pub(crate) const TWO_PACKS: u64 = 2_010;
/// Every so many-th ends a version: more than three checkpoints' worth.
const VERSION: u64 = 3;
/// Two checkpoints' versions are published; a third is due once the others are.
const PUBLISHED: u64 = 250;
const HOUR_MS: i64 = 3_600_000;

/// A clock that begins some hours ago, and goes on each time it is looked at.
#[derive(Debug)]
struct Then {
    now_ms: AtomicI64,
    step_ms: i64,
}

impl Then {
    /// A lake at that time.
    fn of(lake: &Lake, hours_ago: i64, step_ms: i64) -> Lake {
        let now_ms = AtomicI64::new(now_ms() - hours_ago * HOUR_MS);
        lake.clone().with_clock(Arc::new(Then { now_ms, step_ms }))
    }
}

impl Clock for Then {
    fn now_ms(&self) -> i64 {
        self.now_ms.fetch_add(self.step_ms, Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time).boxed()
    }
}

/// A lake that is there, past whoever watches it.
pub(crate) async fn open(place: &str, endpoint: &str) -> Lake {
    let options = StoreOptions { endpoint: Some(endpoint.to_owned()), ..StoreOptions::default() };
    Lake::open(place, &options).await.expect("the lake")
}

/// Gives a new lake a history of so many commits, which are old enough to be packed, whose roots and versions to go.
pub(crate) async fn make(lake: &Lake, commits: u64) {
    let lake = Then::of(lake, 9 * 24, 500);
    let mut committer = claim(&lake).await;
    let mut publisher = publisher(&lake, 0).await;
    while committer.next_seq() < commits {
        let ends_version = committer.next_seq() % VERSION == 0;
        let commit = propose(&mut committer, ends_version).await;
        if ends_version && commit.version < Some(PUBLISHED) {
            assert!(publisher.publish(&commit).await.expect("the logs"));
        }
        committer.tend().await;
    }
}

/// All versions are published, and the commits go that are older than a week, until the first pack is deleted; a day and a half
/// ago it would have been.
pub(crate) async fn forget(lake: &Lake) {
    let lake = Then::of(lake, 36, 5_000);
    let mut committer = claim(&lake).await;
    committer.set_age(Some(7 * 24 * HOUR_MS));
    publisher(&lake, committer.next_seq() - 1).await;
    for _ in 0..700 {
        propose(&mut committer, false).await;
        committer.tend().await;
    }
}

async fn publisher(lake: &Lake, through: u64) -> Publisher {
    let settings = read_settings(lake).await.expect("the store").expect("settings");
    let tables = DeltaTable::all(with_schemas(&Derived::all().collect::<Vec<_>>())).expect("tables");
    Publisher::open(lake, &settings.lake, tables, through).await.expect("the logs")
}

/// Adds so many commits that a root is due.
pub(crate) async fn lengthen(lake: &Lake) {
    let mut committer = claim(lake).await;
    for _ in 1..100 {
        propose(&mut committer, false).await;
    }
}

pub(crate) async fn claim(lake: &Lake) -> Committer {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let run = format!("{:032x}", NEXT.fetch_add(1, Ordering::Relaxed));
    Committer::claim(lake, &run).await.expect("a claim").0
}

/// A commit of nothing.
async fn propose(committer: &mut Committer, ends_version: bool) -> Commit {
    let commit = Commit { kind: Kind::Data, version: ends_version.then_some(0), ..committer.carry_on() };
    committer.propose(commit).await.expect("a commit")
}
