//! When an epoch closes and when a commit ends: the clock's decisions, apart from its operator. How long an epoch is stands
//! in [`EpochLength`].
//!
//! Bounded by construction: at most `OPEN_EPOCHS` epochs are unanswered, one commit is in flight, and with a
//! spent budget nothing is minted until that commit has landed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::{Position, Standing};
use citystream_dataflows::time::progress::Progress;
use citystream_dataflows::time::ticks::{Added, Report, Start, Tick, ViewCommand, Word};
use citystream_dataflows::time::{Epoch, Micros, TimePolicy};

use super::epoch_length::EpochLength;

/// Epochs minted and not yet answered by every worker.
const OPEN_EPOCHS: u64 = 8;
/// Of standing views so many begin with one epoch, as each looks at a whole collection then.
const VIEWS_AN_EPOCH: usize = 4;
/// Slow answers make no epoch longer than this part of the time between commits, and than this.
const OF_COMMIT: u32 = 2;
const LONGEST: Duration = Duration::from_secs(5);

/// How often epochs and commits end.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The length of an epoch, at least.
    pub epoch: Duration,
    /// The time between commits.
    pub commit: Duration,
    /// The byte budget of one process.
    pub budget: u64,
    /// End when everything that is there has been read and committed.
    pub until_drained: bool,
    /// And say then that the log has ended.
    pub ends_log: bool,
    /// The workers of all processes.
    pub peers: usize,
}

/// The state of the clock.
#[derive(Debug)]
pub struct Pacer {
    pace: Pace,
    progress: Progress,
    start: Option<Start>,
    added: Vec<Added>,
    /// Standing views that are to come and go.
    views: VecDeque<ViewCommand>,
    /// Minted and not yet answered, and when.
    open: VecDeque<(Tick, Instant)>,
    reports: BTreeMap<Epoch, Vec<Report>>,
    next: Epoch,
    /// The last commit that landed.
    seq: u64,
    sealing: bool,
    sealed_at: Instant,
    length: EpochLength,
    /// Nobody has read anything in the last epoch that was answered.
    is_idle: bool,
    /// The workers that have something to read, after that epoch.
    behind: BTreeSet<usize>,
    /// Offsets or the horizon have moved since the last seal, as far as answers have come.
    changed: bool,
    /// The last epoch that was sealed.
    sealed_epoch: Option<Epoch>,
    uncommitted: BTreeMap<usize, u64>,
    /// The last epoch after which a worker waits for a seal, as its rows are of many dates.
    many_dates: Option<Epoch>,
    /// The last epoch after which state in some process was at its bound.
    crowded: Option<Epoch>,
    stopping: bool,
    ended: bool,
}

impl Pacer {
    /// A clock that goes on after epoch `last` with the partitions `added`; `unrecorded` if the lake does not hold them yet.
    pub fn new(pace: Pace, policy: TimePolicy, last: Epoch, start: Start, added: Vec<Added>, unrecorded: bool) -> Self {
        Pacer {
            pace,
            progress: Progress::new(policy),
            seq: start.seq,
            start: Some(start),
            added,
            views: VecDeque::new(),
            open: VecDeque::new(),
            reports: BTreeMap::new(),
            next: last + 1,
            sealing: false,
            sealed_at: Instant::now(),
            length: EpochLength::new(pace.epoch, (pace.commit / OF_COMMIT).min(LONGEST)),
            is_idle: false,
            behind: BTreeSet::new(),
            changed: unrecorded,
            sealed_epoch: None,
            uncommitted: BTreeMap::new(),
            many_dates: None,
            crowded: None,
            stopping: false,
            ended: false,
        }
    }

    /// Takes partitions that have appeared.
    pub fn discovered(&mut self, found: Vec<Added>) {
        self.added.extend(found);
    }

    /// Takes what is to become of a standing view; before the first tick, what the run begins with.
    pub fn view(&mut self, command: ViewCommand) {
        self.views.push_back(command);
    }

    /// Takes one worker's answer.
    pub fn reported(&mut self, epoch: Epoch, report: Report) {
        self.stopping |= report.stop;
        if report.many_dates {
            self.many_dates = self.many_dates.max(Some(epoch));
        }
        if report.is_crowded {
            self.crowded = self.crowded.max(Some(epoch));
        }
        self.uncommitted.insert(report.process, report.uncommitted);
        self.reports.entry(epoch).or_default().push(report);
    }

    /// Takes one worker's word of an epoch.
    pub fn said(&mut self, epoch: Epoch, word: Word) {
        if epoch == self.next {
            self.length.said(word);
        }
    }

    /// All answers to the epochs before `epoch` have been taken; whether there were any that are new.
    pub fn answered_before(&mut self, epoch: Epoch, now: Instant) -> bool {
        let before = self.open.len();
        while self.open.front().is_some_and(|(tick, _)| tick.epoch < epoch) {
            let Some((tick, minted)) = self.open.pop_front() else { break };
            self.length.answered(now.duration_since(minted));
            let reports = self.reports.remove(&tick.epoch).unwrap_or_default();
            let horizon = self.progress.horizon();
            let mut bindings = reports.iter().flat_map(|r| &r.bindings);
            let read = bindings.any(|b| b.next != b.first);
            self.progress.advance(&tick, reports.iter().flat_map(|r| &r.bindings));
            let moved = tick.start.is_none() && horizon != self.progress.horizon();
            // What a seal has taken is no reason for another: that one would have nothing to say (C1).
            self.changed |= (read || moved) && self.sealed_epoch.is_none_or(|sealed| tick.epoch > sealed);
            self.is_idle = !read && tick.start.is_none();
            self.behind = self.behind();
        }
        self.open.len() < before
    }

    /// How the partitions stand after the last epoch that was answered, and the horizon.
    pub fn standings(&self) -> (Vec<Position>, Option<Micros>) {
        (self.progress.positions(), self.progress.horizon())
    }

    fn behind(&self) -> BTreeSet<usize> {
        let positions = self.progress.positions();
        let behind = positions.iter().filter(|position| position.standing == Standing::Behind);
        behind.map(|position| position.partition.owner(self.pace.peers)).collect()
    }

    /// Commit `seq` has landed.
    pub fn committed(&mut self, seq: u64) {
        self.seq = seq;
        self.sealing = false;
    }

    /// Whether the last tick has been minted.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing is due until somebody has a record, or an idle epoch is over.
    pub fn is_idle(&self) -> bool {
        self.length.is_idle()
    }

    /// The tick that is due, if one is.
    pub fn tick(&mut self, now: Instant) -> Option<Tick> {
        let behind = self.open.len() as u64 >= OPEN_EPOCHS;
        // A bounded run that has read everything does not wait for the time to pass.
        let hurry = !self.sealing && self.is_drained();
        let is_over = hurry || !self.views.is_empty() || self.length.is_over(now, &self.behind, self.limit());
        if self.ended || behind || !is_over {
            return None;
        }
        // Who asks for a view is answered at once, and the next commit records it.
        self.changed |= self.start.is_none() && !self.views.is_empty();
        let used = self.uncommitted.values().max().copied().unwrap_or(0);
        let last = !self.sealing && self.start.is_none() && (self.stopping || self.is_done());
        if self.sealing && used >= self.pace.budget {
            return None;
        }
        let is_waited_for = self.many_dates > self.sealed_epoch;
        let is_half_full = used >= self.pace.budget / 2;
        let due = now >= self.sealed_at + self.pace.commit || is_half_full || is_waited_for || self.is_drained();
        let seal = (last || (due && self.changed && !self.sealing)).then_some(self.seq + 1);
        Some(self.mint(seal, last, now))
    }

    fn mint(&mut self, seal: Option<u64>, last: bool, now: Instant) -> Tick {
        let most_views = if self.start.is_some() { self.views.len() } else { VIEWS_AN_EPOCH };
        let tick = Tick {
            views: self.views.drain(..most_views.min(self.views.len())).collect(),
            epoch: self.next,
            seal,
            limit: self.limit(),
            added: std::mem::take(&mut self.added),
            start: self.start.take(),
            last,
            is_idle: self.is_idle && !self.changed && !self.pace.until_drained,
            ends_log: last && self.pace.ends_log && self.is_drained(),
        };
        if seal.is_some() {
            self.sealing = true;
            self.sealed_at = now;
            self.sealed_epoch = Some(self.next);
            self.changed = false;
        }
        self.ended = last;
        self.length.open(now, tick.is_idle);
        self.next += 1;
        self.open.push_back((tick.clone(), now));
        tick
    }

    /// How far partitions may be read: as long as state was at its bound in the last epochs, only who is furthest behind.
    fn limit(&self) -> Option<Micros> {
        let is_crowded = self.crowded.is_some_and(|epoch| epoch + OPEN_EPOCHS >= self.next);
        if is_crowded { self.progress.narrow_limit() } else { self.progress.limit() }
    }

    /// With `until_drained`: everything there was has been read.
    fn is_drained(&self) -> bool {
        let positions = self.progress.positions();
        self.pace.until_drained && !positions.is_empty() && positions.iter().all(|p| p.standing.is_drained())
    }

    /// With `until_drained`: and committed.
    fn is_done(&self) -> bool {
        !self.changed && self.is_drained()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::OnceLock;

    use citystream_dataflows::time::bindings::{Binding, NextOffset, Partition, Position, Standing, Topic};

    use super::*;

    const PARTITION: Partition = Partition { topic: Topic::GPS, index: 0 };
    const BUDGET: u64 = 1000;

    fn pacer(until_drained: bool) -> Pacer {
        let commit = Duration::from_secs(3600);
        let pace = Pace { epoch: Duration::ZERO, commit, budget: BUDGET, until_drained, ends_log: false, peers: 2 };
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
        let position =
            Position { partition: PARTITION, next: NextOffset(0), log_clock: None, standing: Standing::Behind };
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
            Report {
                process: 0,
                uncommitted,
                stop: false,
                many_dates: false,
                is_crowded: false,
                bindings: vec![binding],
            },
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
            Report {
                process: 0,
                uncommitted: 0,
                stop: false,
                many_dates: false,
                is_crowded: false,
                bindings: Vec::new(),
            },
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
}
