//! Where a partition ended, as its owner has said lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How old an answer may be, counted from the question. Older only over a link so slow that the next answer cannot be
/// there by then.
const FRESH: Duration = Duration::from_secs(2);
/// Answers closer together than this are kept as one.
const APART: Duration = Duration::from_millis(100);

/// An end, and when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The end.
    pub at: i64,
    /// When the question was sent.
    pub asked: Instant,
    /// When the answer came.
    pub answered: Instant,
}

impl End {
    /// Whether it was told lately: the question is at most 2 s old, or three times as old as its answer took.
    pub fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.asked) <= FRESH.max(3 * self.answered.duration_since(self.asked))
    }
}

/// The ends of one partition that were told lately, and the latest one.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    latest: Option<End>,
    /// In the order of the questions.
    recent: VecDeque<End>,
}

impl Ends {
    /// Takes an answer.
    pub fn tell(&mut self, end: End) {
        self.latest = Some(end);
        if self.recent.back().is_none_or(|last| end.asked.duration_since(last.asked) >= APART) {
            self.recent.push_back(end);
        }
        while self.recent.front().is_some_and(|first| !first.is_fresh(end.answered)) {
            self.recent.pop_front();
        }
    }

    /// The latest answer.
    pub fn latest(&self) -> Option<End> {
        self.latest
    }

    /// Whether a position has reached an end that was told lately.
    pub fn reached(&self, position: i64, now: Instant) -> bool {
        self.recent.iter().any(|end| end.is_fresh(now) && position >= end.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_told_lately_is_reached_though_more_has_come() {
        let (start, mut ends) = (Instant::now(), Ends::default());
        let after = |ms| start + Duration::from_millis(ms);
        assert!(!ends.reached(100, start), "nobody has said where it ends");
        for (ms, at) in [(0, 10), (50, 11), (1000, 20), (1900, 30)] {
            ends.tell(End { at, asked: after(ms), answered: after(ms + 5) });
        }
        assert_eq!(ends.latest().map(|end| end.at), Some(30));
        assert!(ends.reached(10, after(1900)) && !ends.reached(9, after(1900)));
        assert!(!ends.reached(19, after(2100)), "the first answer is too old");
        assert!(ends.reached(20, after(2100)) && !ends.reached(99, after(4000)));
    }

    #[test]
    fn over_a_slow_link_an_answer_counts_until_the_next_can_be_there() {
        let (start, mut ends) = (Instant::now(), Ends::default());
        let after = |ms| start + Duration::from_millis(ms);
        for question in [0, 3200, 6400] {
            ends.tell(End { at: 10, asked: after(question), answered: after(question + 3000) });
            assert!(ends.reached(10, after(question + 3000)) && ends.reached(10, after(question + 6200)));
        }
        assert!(!ends.reached(10, after(6400 + 9001)), "no answer since");
    }
}
