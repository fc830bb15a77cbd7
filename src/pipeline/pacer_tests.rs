//! What the clock decides, step by step; time stands still unless it is said to pass.

#![allow(clippy::unwrap_used)]

use std::sync::OnceLock;

use citystream_dataflows::time::bindings::{Binding, NextOffset, Partition, Position, Standing, Topic};

use super::*;

const PARTITION: Partition = Partition { topic: Topic::GPS, index: 0 };
const BUDGET: u64 = 1000;

fn pacer(until_drained: bool) -> Pacer {
    let commit = Duration::from_secs(3600);
    let (epoch, publish) = (Duration::ZERO, Duration::ZERO);
    let pace = Pace { epoch, commit, publish, budget: BUDGET, until_drained, ends_log: false, peers: 2 };
    let policy = TimePolicy { lateness: 600, slack: 120, max_ahead: 86_400, max_hold: 3600 };
    let start = Start {
        run: "run".into(),
        key: 0,
        seq: 4,
        horizon: None,
        closed_before: None,
        reach: Vec::new(),
        seeds: Vec::new(),
    };
    let position = Position { partition: PARTITION, next: NextOffset(0), log_clock: None, standing: Standing::Behind };
    Pacer::new(pace, policy, 9, start, vec![Added { position, from: NextOffset(0) }], false)
}

fn answer(pacer: &mut Pacer, tick: &Tick, read: i64, uncommitted: u64, drained: bool) {
    let first = pacer.progress.position(PARTITION).map_or(NextOffset(0), |p| p.next);
    let next = NextOffset(first.0 + read);
    let log_clock = Some(1_000_000);
    let standing = if drained { Standing::Drained } else { Standing::Behind };
    let binding = Binding { partition: PARTITION, first, next, read: read as u64, log_clock, standing };
    pacer.reported(
        tick.epoch,
        Report { process: 0, uncommitted, stop: false, many_dates: false, is_crowded: false, bindings: vec![binding] },
    );
    pacer.answered_before(tick.epoch + 1, now());
}

/// Time stands still: an epoch may end as soon as it has begun.
fn now() -> Instant {
    static NOW: OnceLock<Instant> = OnceLock::new();
    *NOW.get_or_init(Instant::now)
}

fn tick(pacer: &mut Pacer) -> Option<Tick> {
    pacer.tick(now())
}

/// The first tick only says what is to be read: its epoch holds nothing.
fn begin(pacer: &mut Pacer) {
    let first = tick(pacer).unwrap();
    pacer.reported(
        first.epoch,
        Report { process: 0, uncommitted: 0, stop: false, many_dates: false, is_crowded: false, bindings: Vec::new() },
    );
    pacer.answered_before(first.epoch + 1, now());
}

#[test]
fn epochs_go_on_from_the_last_commit_and_the_first_tick_starts_the_run() {
    let mut pacer = pacer(false);
    let first = tick(&mut pacer).unwrap();
    assert_eq!((first.epoch, first.start.is_some(), first.added.len()), (10, true, 1));
    let second = tick(&mut pacer).unwrap();
    assert_eq!((second.epoch, second.start, second.added.len()), (11, None, 0));
}

#[test]
fn unanswered_epochs_are_bounded() {
    let mut pacer = pacer(false);
    let minted = std::iter::from_fn(|| tick(&mut pacer)).take(100).count();
    assert_eq!(minted as u64, OPEN_EPOCHS);
}

#[test]
fn half_a_budget_seals_and_a_spent_one_waits_for_the_commit_in_flight() {
    let mut pacer = pacer(false);
    begin(&mut pacer);
    let first = tick(&mut pacer).unwrap();
    answer(&mut pacer, &first, 10, BUDGET / 2 - 1, false);
    let second = tick(&mut pacer).unwrap();
    assert_eq!(second.seal, None, "below half of the budget");
    answer(&mut pacer, &second, 10, BUDGET / 2, false);
    let third = tick(&mut pacer).unwrap();
    assert_eq!(third.seal, Some(5), "C1: the tick names its commit");
    answer(&mut pacer, &third, 10, BUDGET - 1, false);
    let fourth = tick(&mut pacer).unwrap();
    assert_eq!(fourth.seal, None, "one commit is in flight");
    answer(&mut pacer, &fourth, 10, BUDGET, false);
    assert_eq!(tick(&mut pacer), None, "B1: spent, and a commit in flight");
    pacer.committed(5);
    assert_eq!(tick(&mut pacer).unwrap().seal, Some(6));
}

#[test]
fn a_seal_has_something_to_say() {
    let mut pacer = pacer(false);
    begin(&mut pacer);
    let first = tick(&mut pacer).unwrap();
    let second = tick(&mut pacer).unwrap();
    answer(&mut pacer, &first, 10, BUDGET / 2, false);
    let sealing = tick(&mut pacer).unwrap();
    assert_eq!(sealing.seal, Some(5));
    answer(&mut pacer, &second, 10, BUDGET / 2, false);
    answer(&mut pacer, &sealing, 10, BUDGET / 2, false);
    pacer.committed(5);
    let idle = tick(&mut pacer).unwrap();
    assert_eq!(idle.seal, None, "C1: all that was read is in the commit before");
    answer(&mut pacer, &idle, 10, BUDGET / 2, false);
    assert_eq!(tick(&mut pacer).unwrap().seal, Some(6));
}

#[test]
fn views_go_with_the_next_ticks_a_few_at_a_time_and_are_sealed() {
    let mut pacer = pacer(false);
    let command = |n: usize| ViewCommand { name: n.to_string(), definition: None };
    (0..6).for_each(|n| pacer.view(command(n)));
    let first = tick(&mut pacer).unwrap();
    assert_eq!((first.views.len(), first.seal), (6, None), "what a run begins with, all at once");
    answer(&mut pacer, &first, 0, 0, true);
    pacer.sealed_at -= Duration::from_secs(3601);
    assert_eq!(tick(&mut pacer).unwrap().seal, None, "and the lake has it already");
    (0..6).for_each(|n| pacer.view(command(n)));
    let second = tick(&mut pacer).unwrap();
    assert_eq!((second.views.len(), second.seal), (VIEWS_AN_EPOCH, Some(5)));
    let third = tick(&mut pacer).unwrap();
    assert_eq!((third.views.len(), third.seal), (2, None));
    pacer.committed(5);
    pacer.sealed_at -= Duration::from_secs(3601);
    assert_eq!(tick(&mut pacer).unwrap().seal, Some(6), "the next commit has what the first could not");
}

#[test]
fn packed_files_are_sealed_once_though_nothing_has_moved() {
    let mut pacer = pacer(false);
    begin(&mut pacer);
    pacer.sealed_at -= Duration::from_secs(3601);
    assert_eq!(tick(&mut pacer).unwrap().seal, None);
    pacer.packed();
    assert_eq!(tick(&mut pacer).unwrap().seal, Some(5));
    // It says so until its commit has been made.
    pacer.packed();
    pacer.committed(5);
    pacer.sealed_at -= Duration::from_secs(3601);
    assert_eq!(tick(&mut pacer).unwrap().seal, None, "C1");
}

#[test]
fn nothing_new_seals_nothing() {
    let mut pacer = pacer(false);
    begin(&mut pacer);
    for _ in 0..20 {
        let tick = tick(&mut pacer).unwrap();
        assert_eq!(tick.seal, None);
        let binding = Binding {
            partition: PARTITION,
            first: NextOffset(0),
            next: NextOffset(0),
            read: 0,
            log_clock: None,
            standing: Standing::Drained,
        };
        pacer.reported(
            tick.epoch,
            Report {
                process: 0,
                uncommitted: BUDGET,
                stop: false,
                many_dates: false,
                is_crowded: false,
                bindings: vec![binding],
            },
        );
        pacer.answered_before(tick.epoch + 1, now());
    }
}

#[test]
fn until_drained_seals_at_once_and_ends_when_that_is_committed() {
    let mut pacer = pacer(true);
    begin(&mut pacer);
    let first = tick(&mut pacer).unwrap();
    answer(&mut pacer, &first, 10, 1, true);
    let sealing = tick(&mut pacer).unwrap();
    assert_eq!((sealing.seal, sealing.last), (Some(5), false));
    answer(&mut pacer, &sealing, 0, 1, true);
    assert!(!tick(&mut pacer).unwrap().last, "the commit is still in flight");
    pacer.committed(5);
    let last = tick(&mut pacer).unwrap();
    assert_eq!((last.seal, last.last), (Some(6), true), "the last tick always seals");
    assert_eq!(tick(&mut pacer), None);
}

/// Lets a time between commits pass, without another look at its clock.
fn wait(pacer: &mut Pacer, seconds: u64) {
    let passed = Duration::from_secs(seconds);
    (pacer.sealed_at, pacer.published_at) = (pacer.sealed_at - passed, pacer.published_at - passed);
}

/// The next seal, which lands: its number, and whether it ends a version.
fn sealed(pacer: &mut Pacer) -> Option<(u64, bool)> {
    let tick = tick(pacer)?;
    answer(pacer, &tick, 0, 0, false);
    let seq = tick.seal?;
    pacer.committed(seq);
    Some((seq, tick.publishes))
}

#[test]
fn a_version_ends_after_its_time_and_nothing_stays_unpublished_where_nothing_comes() {
    let mut pacer = pacer(false);
    pacer.pace.publish = Duration::from_secs(3 * 3600);
    begin(&mut pacer);
    for (seq, publishes) in [(5, false), (6, false), (7, true), (8, false)] {
        let read = tick(&mut pacer).unwrap();
        answer(&mut pacer, &read, 10, 1, false);
        wait(&mut pacer, 3601);
        assert_eq!(sealed(&mut pacer), Some((seq, publishes)));
    }
    wait(&mut pacer, 3601);
    assert_eq!(sealed(&mut pacer), None, "nothing has come");
    wait(&mut pacer, 3601);
    assert_eq!(sealed(&mut pacer), Some((9, true)));
    wait(&mut pacer, 24 * 3600);
    assert_eq!(sealed(&mut pacer), None);
}

#[test]
fn half_a_time_between_commits_early_is_early_enough() {
    let mut pacer = pacer(false);
    pacer.pace.publish = pacer.pace.commit;
    begin(&mut pacer);
    for (after, publishes) in [(1799, false), (3601, true)] {
        let read = tick(&mut pacer).unwrap();
        answer(&mut pacer, &read, 10, BUDGET / 2, false);
        wait(&mut pacer, after);
        assert_eq!(sealed(&mut pacer).unwrap().1, publishes, "{after} s");
    }
}

#[test]
fn what_drains_a_log_and_the_last_seal_end_versions() {
    let mut draining = pacer(true);
    draining.pace.publish = Duration::from_secs(3 * 3600);
    begin(&mut draining);
    let first = tick(&mut draining).unwrap();
    answer(&mut draining, &first, 10, 1, true);
    assert!(tick(&mut draining).unwrap().publishes);
    let mut stopped = pacer(false);
    stopped.pace.publish = Duration::from_secs(3 * 3600);
    begin(&mut stopped);
    stopped.stopping = true;
    let last = tick(&mut stopped).unwrap();
    assert!(last.last && last.publishes);
}
