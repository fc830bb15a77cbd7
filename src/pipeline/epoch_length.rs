//! How long an epoch is open: one of the clock's two decisions (the other is when a commit ends, [`Pacer`](super::pacer::Pacer)).
//!
//! Closing an epoch costs every worker a round of messages, so it is a small part of the epoch's length, whatever that
//! round takes. An epoch is short where nobody who has something to read can go on, and long where there is nothing to
//! read, until somebody has a record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use citystream_dataflows::time::Micros;
use citystream_dataflows::time::ticks::{Said, Word};

/// An epoch is so many times longer than its answers take.
const ANSWERS: u32 = 4;
/// An epoch that can take no more ends early, but not before this part of its length.
const EARLY: u32 = 10;
/// An epoch in which there is nothing to read is so many times longer, up to this.
const IDLE: u32 = 8;
const LONG: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub struct EpochLength {
    /// What was asked for.
    least: Duration,
    /// A longer one serves nobody.
    most: Duration,
    /// How long the answers to a tick have taken lately.
    answers: Duration,
    opened: Option<Instant>,
    /// Whether it waits for a record.
    is_idle: bool,
    /// What workers have said of the open epoch.
    said: BTreeMap<usize, Said>,
}

impl EpochLength {
    /// Epochs of at least `least`; `most` bounds what slow answers make of it.
    pub fn new(least: Duration, most: Duration) -> EpochLength {
        let most = most.max(least);
        EpochLength { least, most, answers: Duration::ZERO, opened: None, is_idle: false, said: BTreeMap::new() }
    }

    /// The next epoch opens; whether it is to wait for a record.
    pub fn open(&mut self, now: Instant, is_idle: bool) {
        self.opened = Some(now);
        self.is_idle = is_idle;
        self.said.clear();
    }

    /// All have answered a tick, so long after it.
    pub fn answered(&mut self, after: Duration) {
        self.answers = (self.answers * 3 + after) / 4;
    }

    /// A worker's word of the open epoch.
    pub fn said(&mut self, word: Word) {
        self.said.insert(word.worker, word.said);
    }

    /// Whether the open epoch waits for a record.
    pub fn is_idle(&self) -> bool {
        self.is_idle && self.said.is_empty()
    }

    /// Whether the open epoch may end. `behind` are the workers that have something to read, `limit` is the next epoch's.
    pub fn is_over(&self, now: Instant, behind: &BTreeSet<usize>, limit: Option<Micros>) -> bool {
        self.opened.is_none_or(|opened| now >= opened + self.length(behind, limit))
    }

    fn length(&self, behind: &BTreeSet<usize>, limit: Option<Micros>) -> Duration {
        let usual = self.least.max((self.answers * ANSWERS).min(self.most));
        let early = (usual / EARLY).max(self.answers.min(usual));
        if self.is_enough(behind, limit) {
            early
        } else if self.is_idle {
            usual.max((usual * IDLE).min(LONG))
        } else {
            usual
        }
    }

    /// Whether somebody has what makes an epoch, or nobody who has something to read can go on before the next one, in which
    /// somebody can.
    fn is_enough(&self, behind: &BTreeSet<usize>, limit: Option<Micros>) -> bool {
        let goes_on = |said: &Said| match *said {
            Said::Beyond(under) => limit.is_none_or(|limit| limit > under),
            Said::Record | Said::Share | Said::Limit => true,
        };
        let makes_one = |said: &Said| matches!(said, Said::Record | Said::Share);
        let all_wait = behind.iter().all(|worker| self.said.contains_key(worker)) && self.said.values().any(goes_on);
        all_wait || self.said.values().any(makes_one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long an epoch is, of which this was said.
    fn length(length: &EpochLength, behind: &[usize], limit: Micros) -> Duration {
        length.length(&behind.iter().copied().collect(), Some(limit))
    }

    #[test]
    fn it_ends_early_if_nobody_can_go_on_and_somebody_can_in_the_next() {
        let mut epoch = EpochLength::new(SECOND, SECOND);
        epoch.open(Instant::now(), false);
        assert_eq!(length(&epoch, &[0, 1], 5), SECOND);
        epoch.said(Word { worker: 1, said: Said::Limit });
        assert_eq!(length(&epoch, &[0, 1], 5), SECOND, "worker 0 goes on");
        assert_eq!(length(&epoch, &[1], 5), SECOND / EARLY, "worker 0 has nothing to read");
        epoch.said(Word { worker: 0, said: Said::Beyond(5) });
        assert_eq!(length(&epoch, &[0, 1], 5), SECOND / EARLY);
        epoch.said(Word { worker: 1, said: Said::Beyond(5) });
        assert_eq!(length(&epoch, &[0, 1], 5), SECOND, "the next one has the same limit");
        assert_eq!(length(&epoch, &[0, 1], 6), SECOND / EARLY);
        epoch.open(Instant::now(), false);
        assert_eq!(length(&epoch, &[0, 1], 6), SECOND, "nobody has said so of this one");
        epoch.said(Word { worker: 1, said: Said::Share });
        assert_eq!(length(&epoch, &[0, 1], 6), SECOND / EARLY, "enough for an epoch, whoever else goes on");
    }

    #[test]
    fn it_is_long_while_there_is_nothing_to_read_until_there_is() {
        for (least, idle) in [(SECOND / 8, SECOND), (SECOND / 4, LONG), (SECOND, LONG), (SECOND * 3, SECOND * 3)] {
            let mut epoch = EpochLength::new(least, SECOND);
            epoch.open(Instant::now(), true);
            assert_eq!(length(&epoch, &[], 5), idle);
        }
        let mut epoch = EpochLength::new(SECOND, SECOND);
        epoch.open(Instant::now(), true);
        epoch.said(Word { worker: 3, said: Said::Record });
        assert_eq!(length(&epoch, &[0], 5), SECOND / EARLY);
    }

    #[test]
    fn its_answers_take_a_quarter_of_it_at_most() {
        let mut epoch = EpochLength::new(SECOND, SECOND * 10);
        epoch.open(Instant::now(), false);
        (0..50).for_each(|_| epoch.answered(SECOND / 5));
        assert_eq!(length(&epoch, &[0], 5), SECOND);
        (0..50).for_each(|_| epoch.answered(SECOND * 2));
        let usual = length(&epoch, &[0], 5);
        assert!(usual > SECOND * 79 / 10 && usual <= SECOND * 8, "{usual:?}");
        epoch.said(Word { worker: 0, said: Said::Share });
        assert!(length(&epoch, &[0], 5) <= SECOND * 2, "early, but not before the last one has been answered");
        (0..50).for_each(|_| epoch.answered(SECOND * 60));
        epoch.open(Instant::now(), false);
        assert_eq!(length(&epoch, &[0], 5), SECOND * 10, "who stands still makes no epoch endless");
    }
}
