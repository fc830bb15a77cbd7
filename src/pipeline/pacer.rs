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
    /// The time between versions of the tables; zero: each commit is one.
    pub publish: Duration,
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
    /// Whether the commit in flight ends a version, and whether one before it is in none yet.
    publishing: bool,
    is_unpublished: bool,
    /// When the last commit that ended a version was sealed.
    published_at: Instant,
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
            publishing: false,
            is_unpublished: false,
            published_at: Instant::now(),
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

    /// Files were packed: a seal has something to say, though nothing has moved.
    pub fn packed(&mut self) {
        self.changed |= !self.sealing;
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

    /// Commit `seq` has landed; the one before it, if there was nothing to say.
    pub fn committed(&mut self, seq: u64) {
        if self.publishing {
            self.published_at = self.sealed_at;
        }
        self.is_unpublished = !self.publishing && (self.is_unpublished || seq > self.seq);
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
        // Nothing may come for long, and readers would miss the last commits all the while.
        self.changed |= self.is_unpublished && !self.sealing && now >= self.published_at + self.pace.publish;
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
            publishes: seal.is_some() && (last || self.is_publishing_due(now)),
            limit: self.limit(),
            added: std::mem::take(&mut self.added),
            start: self.start.take(),
            last,
            is_idle: self.is_idle && !self.changed && !self.is_unpublished && !self.pace.until_drained,
            ends_log: last && self.pace.ends_log && self.is_drained(),
        };
        if seal.is_some() {
            self.sealing = true;
            self.publishing = tick.publishes;
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

    /// Whether what is sealed now ends a version: half a time between commits early is early enough, so that where both times
    /// are the same each commit is one.
    fn is_publishing_due(&self, now: Instant) -> bool {
        self.is_drained() || now + self.pace.commit / 2 >= self.published_at + self.pace.publish
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
#[path = "pacer_tests.rs"]
mod tests;
