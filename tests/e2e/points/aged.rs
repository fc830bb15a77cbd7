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
const COMMITS: u64 = 1_010;
/// Every so many-th ends a version: more than three checkpoints' worth.
const VERSION: u64 = 3;
/// Two checkpoints' versions are published; a third is due once the others are.
const PUBLISHED: u64 = 250;
const DAYS_AGO: i64 = 9;

/// A clock that begins some days ago, and goes on half a second each time it is looked at.
#[derive(Debug)]
struct Then(AtomicI64);

impl Clock for Then {
    fn now_ms(&self) -> i64 {
        self.0.fetch_add(500, Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time).boxed()
    }
}

/// A lake that is there, past whoever watches it.
pub(super) async fn open(place: &str, endpoint: &str) -> Lake {
    let options = StoreOptions { endpoint: Some(endpoint.to_owned()), ..StoreOptions::default() };
    Lake::open(place, &options).await.expect("the lake")
}

/// Gives a new lake a history whose commits are old enough to be packed, whose roots and versions to go.
pub(super) async fn make(lake: &Lake) {
    let then = Then(AtomicI64::new(now_ms() - DAYS_AGO * 24 * 3_600_000));
    let lake = lake.clone().with_clock(Arc::new(then));
    let settings = read_settings(&lake).await.expect("the store").expect("settings");
    let tables = DeltaTable::all(with_schemas(&Derived::all().collect::<Vec<_>>())).expect("tables");
    let mut committer = claim(&lake).await;
    let mut publisher = Publisher::open(&lake, &settings.lake, tables, 0).await.expect("the logs");
    while committer.next_seq() < COMMITS {
        let ends_version = committer.next_seq() % VERSION == 0;
        let commit = propose(&mut committer, ends_version).await;
        if ends_version && commit.version < Some(PUBLISHED) {
            assert!(publisher.publish(&commit).await.expect("the logs"));
        }
        committer.tend().await;
    }
}

/// Adds so many commits that a root is due.
pub(super) async fn lengthen(lake: &Lake) {
    let mut committer = claim(lake).await;
    for _ in 1..100 {
        propose(&mut committer, false).await;
    }
}

pub(super) async fn claim(lake: &Lake) -> Committer {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let run = format!("{:032x}", NEXT.fetch_add(1, Ordering::Relaxed));
    Committer::claim(lake, &run).await.expect("a claim").0
}

/// A commit of nothing.
async fn propose(committer: &mut Committer, ends_version: bool) -> Commit {
    let commit = Commit { kind: Kind::Data, version: ends_version.then_some(0), ..committer.carry_on() };
    committer.propose(commit).await.expect("a commit")
}
