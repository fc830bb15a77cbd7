//! The protocol of a lake under everything that can befall it: runs that die wherever they are, come back to life, or sleep for
//! a day in the middle of a call; a store that fails at every verb; others that pack, collect and read meanwhile.
//!
//! Only the store, the clock and the ids are replaced: whoever acts does so by the program's own code. All live on one
//! thread, in an order that a seed decides. `CITYSTREAM_SEED` repeats one, `CITYSTREAM_STORIES` says how many are told;
//! `CITYSTREAM_FULL` tells 100,000 that were never told before. ADR 035 says why.
#![allow(clippy::print_stdout)] // Which seed it was that failed.

mod actors;
mod asked;
mod history;
mod reader;
#[path = "../common/rng.rs"]
#[allow(dead_code)] // Not all of it is needed here.
mod rng;
mod rows;
mod run;
mod store;
mod world;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use citystream::parts::{Collection, Committer, Lake, Publisher, collect_garbage, requests, state, verify};

use crate::actors::{Actor, LAKE, tables};
use crate::history::{Counts, EVENTS, History};
use crate::rng::Rng;
use crate::rows::TABLE;
use crate::run::Pauses;
use crate::store::Store;
use crate::world::{Stage, World, alone};

const HOUR_MS: i64 = 3_600_000;
const WEEK_MS: i64 = 7 * 24 * HOUR_MS;
/// When it all begins: 2026-11-02.
const BEGIN_MS: i64 = 1_793_577_600_000;
/// Where what is kept of a lake changes its shape: at the start, before a root, a checkpoint, a pack, a base, and the end of what it
/// stands for.
const AGES: [u64; 7] = [0, 95, 993, 1094, 1194, 2194, 2294];

/// The part of the commits that end a version: until then readers see what is gone, and do not see what has come.
const OFTEN: f64 = 0.5;
const SELDOM: f64 = 0.1;

/// A lake of so many commits, made without trouble.
#[derive(Clone)]
struct Past {
    store: Store,
    history: History,
    now_ms: i64,
}

fn lake(world: &World, store: &Store) -> Lake {
    Lake::with_store(Arc::new(store.clone()), "simulated").with_clock(Arc::new(world.clone()))
}

/// Lakes of some ages: the history of one run, which keeps its commits for a week.
fn pasts() -> Vec<Past> {
    let history = History::default().with_grace(2 * HOUR_MS);
    let world = World::new(Rng::new(7), BEGIN_MS, history);
    let store = Store::new(&world);
    let past = {
        let (world, store) = (world.clone(), store.clone());
        move || {
            let store = store.copy_of(&world);
            let inner = world.look();
            let mut history = inner.history.clone();
            history.take_counts();
            Past { store, history, now_ms: inner.now_ms }
        }
    };
    let lake = lake(&world, &store);
    let aged = world.clone();
    alone(&world, async move {
        let (mut committer, state) = Committer::claim(&lake, &"a".repeat(32)).await.expect("a claim");
        committer.set_age(Some(WEEK_MS));
        let mut publisher = Publisher::open(&lake, LAKE, tables(), state.seq).await.expect("a publisher");
        let mut pasts = vec![past()];
        for age in AGES.windows(2) {
            // After a day commits are packed.
            aged.wait_ms(30 * HOUR_MS as u64).await;
            // And there is more than a week between the last and the first.
            let pause = if age[1] > 2000 { 900_000 } else { 60_000 };
            for _ in age[0]..age[1] {
                aged.wait_ms(pause).await;
                let rows = if committer.next_seq() % 40 == 0 { 2 } else { 0 };
                let (commit, file) = rows::commit(&committer, (rows, true), aged.look().now_ms);
                if let Some((path, data)) = file {
                    lake.put(&path, data).await.expect("a file");
                }
                let commit = committer.propose(commit).await.expect("a commit");
                assert!(publisher.publish(&commit).await.expect("published"));
                committer.tend().await;
            }
            pasts.push(past());
        }
        pasts
    })
}

/// One story; what happened in it.
fn play(past: &Past, seed: u64) -> Counts {
    let mut rng = Rng::new(seed);
    let grace_ms = [HOUR_MS / 2, 2 * HOUR_MS, 50 * HOUR_MS][rng.below(3) as usize];
    let history = past.history.clone().with_grace(grace_ms);
    let world = World::new(rng, past.now_ms, history);
    let store = past.store.copy_of(&world);
    let lake = lake(&world, &store);
    // Where few calls fail, those succeed that take a thousand of them.
    world.look().fails = if seed & 1 == 0 { 0.02 } else { 0.0003 };
    let mut stage = Stage::default();
    cast(&mut stage, past, &world, &lake, &store);
    stage.play(&world);
    world.look().fails = 0.0;
    let of = world.clone();
    alone(&world, async move { heal(of, lake, store).await });
    world.look().history.take_counts()
}

/// Who comes, and when.
fn cast(stage: &mut Stage, past: &Past, world: &World, lake: &Lake, store: &Store) {
    let actor = |name: String| Actor { world: world.clone(), lake: lake.clone(), name };
    // One that makes so many commits that the place of another is packed and free again when that one wakes up.
    let is_long = past.history.head() == AGES[2] && world.look().fails < 0.01 && world.chance(0.3);
    let long = [(0, 4, Pauses::Long), (HOUR_MS as u64, 230, Pauses::Short)];
    for (begin, commits, pauses) in long.into_iter().filter(|_| is_long) {
        let (of, actor) = (world.clone(), actor(format!("{commits:0>31}l")));
        stage.enter(None, async move {
            of.wait_ms(begin).await;
            actor.run(commits, pauses, OFTEN).await;
        });
    }
    if !is_long && world.chance(0.3) {
        cast_forgetting(stage, world, &actor);
    }
    let runs = if is_long { 0 } else { 2 + world.below(5) };
    for n in 0..runs {
        let actor = actor(format!("{n:0>31}r"));
        let (begin, commits) = (world.below(96 * HOUR_MS as u64), world.below(12));
        let dies = world.chance(0.6).then(|| 1 + world.below(2_000));
        let versions = if world.chance(0.3) { SELDOM } else { OFTEN };
        let of = world.clone();
        stage.enter(dies, async move {
            of.wait_ms(begin).await;
            actor.run(commits, Pauses::Mixed, versions).await;
        });
    }
    // Who packs, drops or erases alone claims the lake.
    let first = if is_long { 3 } else { 0 };
    for n in (0..14).filter(|n| n % 7 >= first && world.chance(0.6)) {
        let actor = actor(format!("{n:0>31}o"));
        let (begin, what) = (world.below(120 * HOUR_MS as u64), n % 7);
        let dies = world.chance(0.3).then(|| 1 + world.below(500));
        let (of, store) = (world.clone(), store.clone());
        stage.enter(dies, async move {
            of.wait_ms(begin).await;
            match what {
                0 => actor.compact().await,
                1 => actor.retain().await,
                2 => actor.erase().await,
                3 => actor.collect().await,
                4 => actor.look().await,
                5 => actor.ask().await,
                _ => reader::read(actor.world, actor.lake, store).await,
            }
        });
    }
}

/// One that has a vehicle forgotten right after dates went in which it was, and no version says so yet; or after another run came,
/// and the first does not know.
fn cast_forgetting(stage: &mut Stage, world: &World, actor: &impl Fn(String) -> Actor) {
    let begin = world.below(96 * HOUR_MS as u64);
    let at = begin + world.below(600_000);
    let then = at + world.below(120_000);
    let [run, other, asks, forgets] = ["00r", "01r", "02o", "03o"].map(|name| actor(format!("{name:f>32}")));
    let (drops, of) = (world.chance(0.5), world.clone());
    stage.enter(None, async move {
        of.wait_ms(begin).await;
        run.run(12, Pauses::Mixed, SELDOM).await;
    });
    let of = world.clone();
    stage.enter(None, async move {
        of.wait_ms(at).await;
        if drops { asks.ask_to_retain().await } else { other.run(3, Pauses::Mixed, OFTEN).await }
    });
    let of = world.clone();
    stage.enter(None, async move {
        of.wait_ms(then).await;
        forgets.ask_to_erase().await;
    });
}

/// Once nothing fails any more, one run brings all in order: nothing is behind, nothing lies about, every row is there once.
async fn heal(world: World, lake: Lake, store: Store) {
    let grace_ms = world.look().history.grace_ms();
    let last = Actor { world: world.clone(), lake: lake.clone(), name: "f".repeat(32) };
    // Old enough for whatever is thrown away with time.
    let days = world.below(10);
    world.wait_ms((2 + 24 * days) * HOUR_MS as u64).await;
    let forgotten = last.forget().await;
    last.clone().serve().await;
    let state = state(&lake).await.expect("a store").expect("a history");
    assert!(state.run == last.name && requests(&lake).await.expect("requests").is_empty(), "nobody else is there");
    // What that run has made, and not named, is nobody's once another holds the lake.
    let (_, state) = Committer::claim(&lake, &"g".repeat(32)).await.expect("a claim");
    Publisher::open(&lake, LAKE, tables(), state.seq).await.expect("published");
    // What is nobody's, and young, is not judged.
    world.wait_ms(grace_ms.max(HOUR_MS) as u64 + 1).await;
    let collection = Collection { now_ms: world.look().now_ms, grace_ms, is_dry: false };
    collect_garbage(&lake, collection).await.expect("collected");
    let head = world.look().history.head();
    for table in [TABLE.name(), "raw_gps", "commits"] {
        let version = reader::newest(&lake, table).await.expect("a log");
        assert_eq!(reader::at(&lake, table, version).await.expect("a version").seq, head, "{table} is behind");
    }
    last.look().await;
    reader::read(world.clone(), lake.clone(), store.clone()).await;
    let live: BTreeSet<String> = world.look().history.live(head).iter().map(|(_, path)| path.clone()).collect();
    let there: BTreeSet<String> = store.all("tables").await.into_iter().filter(|path| path.contains('=')).collect();
    assert_eq!(there, live, "what lies in the lake, and what is live");
    let mut offsets = Vec::new();
    for path in live {
        let data = lake.get(&path).await.expect("a store").expect("a live file");
        let is_left = |row: &(String, u64)| forgotten.iter().any(|(vehicle, seq)| row.0 == *vehicle && row.1 <= *seq);
        assert_eq!(rows::vehicles(data.clone()).into_iter().find(is_left), None, "T4: {path} has what is forgotten");
        offsets.extend(rows::offsets(data));
    }
    let (count, gone) = (offsets.len(), world.look().history.gone());
    offsets.sort_unstable();
    offsets.dedup();
    let next = world.look().history.commit(head).positions.first().map_or(0, |position| position.next.0);
    assert!(offsets.last().is_none_or(|last| *last < next), "P4: of {next} records: {offsets:?}");
    assert_eq!((offsets.len(), count as u64 + gone), (count, next as u64), "P4: {gone} gone, and live: {offsets:?}");
    // It reads all that there ever was: now and then.
    if world.chance(0.03) {
        let report = verify(&lake, LAKE, &tables()).await.expect("verified");
        assert!(report.violations.is_empty(), "{:?}", report.violations);
    }
}

/// Plays stories; what happened in them, or the first that fails.
fn campaign(pasts: &[Past], seeds: impl Iterator<Item = u64>) -> Result<Counts, u64> {
    let mut counts = Counts::new();
    for seed in seeds {
        let past = &pasts[(seed % pasts.len() as u64) as usize];
        let played = catch_unwind(AssertUnwindSafe(|| play(past, seed))).map_err(|_| seed)?;
        played.into_iter().for_each(|(event, count)| *counts.entry(event).or_default() += count);
    }
    Ok(counts)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn the_protocol_holds_whatever_befalls() {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    let (first, stories) = if std::env::var_os("CITYSTREAM_FULL").is_some() { (clock, 100_000) } else { (1, 1_000) };
    let first = number("CITYSTREAM_SEED").unwrap_or(first);
    let stories = number("CITYSTREAM_STORIES").unwrap_or(stories);
    println!("{stories} stories from CITYSTREAM_SEED={first} on");
    let pasts = &pasts();
    let next = &AtomicU64::new(first);
    let played = std::thread::scope(|scope| {
        let seeds = || std::iter::repeat_with(|| next.fetch_add(1, Relaxed)).take_while(|seed| *seed < first + stories);
        // One that fails is the last.
        let half = move || campaign(pasts, seeds()).inspect_err(|_| next.store(first + stories, Relaxed));
        let halves = [(); 2].map(|()| scope.spawn(half));
        halves.map(|half| half.join().expect("a thread"))
    });
    let mut counts = Counts::new();
    for half in played {
        let again = |seed| panic!("what is said above comes again with CITYSTREAM_SEED={seed} CITYSTREAM_STORIES=1");
        half.unwrap_or_else(again).into_iter().for_each(|(event, count)| *counts.entry(event).or_default() += count);
    }
    println!("{counts:?}");
    let missing: Vec<_> = EVENTS.iter().filter(|event| !counts.contains_key(*event)).collect();
    assert!(stories < 500 || missing.is_empty(), "in no story: {missing:?}");
}
