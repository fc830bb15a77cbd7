//! What goes wrong between a device and the log. A record has one trouble at most, so each can be counted.
//!
//! Times are bound to the pipeline's lateness L, so that what is to be in time is in time, and what is to be late is late.

use citystream_wire::Topic;
use serde::Serialize;

use crate::draw::Draw;
use crate::malformed::Defect;
use crate::refusal::OptionsError;
use crate::topics;

/// What goes wrong, as shares from 0 to 1: of records, of vehicles, or of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trouble {
    /// Records sent after later ones: by up to L / 20.
    pub out_of_order: f64,
    /// Records delayed by L / 10 to L / 2: still in time.
    pub delayed: f64,
    /// Records delayed beyond L.
    pub late: f64,
    /// How far beyond L on average, in milliseconds: a Lomax distribution of shape 2, which has a long tail, cut at 6 h.
    pub late_mean_ms: i64,
    /// Records sent twice, the second time within L / 20.
    pub duplicates: f64,
    /// Records that cannot be read, with all defects there are.
    pub malformed: f64,
    /// Vehicles whose clock is wrong by up to `skew_ms`, and by L / 4 at most.
    pub skewed: f64,
    /// How wrong such a clock is at most, in milliseconds.
    pub skew_ms: i64,
    /// Vehicles that live in the future. Three of four by 1 to 12 h (half of max-ahead at most), the fourth by 1 to 12 h more
    /// than max-ahead: all it sends are dead letters.
    pub ahead: f64,
    /// Time in which the connection is down, once in each stretch of L: what is reported then is sent at its end, all at
    /// once. A quarter of the time at most.
    pub bursts: f64,
    /// Time in which a topic is silent, each topic at its own place in every half hour: nothing is sent then.
    /// Half of the time at most.
    pub silent: f64,
    /// Vehicles that all move about in one H3 cell of resolution 8.
    pub hot_cell: f64,
}

const HOUR: i64 = 3_600_000;
/// The stretch in which each topic is silent once.
const SILENCE_MS: i64 = HOUR / 2;
/// The most that a late record is later than L.
const LATEST_MS: i64 = 6 * HOUR;

impl Default for Trouble {
    fn default() -> Self {
        Trouble {
            out_of_order: 0.0,
            delayed: 0.0,
            late: 0.0,
            late_mean_ms: 300_000,
            duplicates: 0.0,
            malformed: 0.0,
            skewed: 0.0,
            skew_ms: 60_000,
            ahead: 0.0,
            bursts: 0.0,
            silent: 0.0,
            hot_cell: 0.0,
        }
    }
}

/// What goes wrong with a record: one thing at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    Skewed,
    Ahead,
    TooFarAhead,
    InBurst,
    OutOfOrder,
    Delayed,
    Late,
    Again,
    Malformed,
}

/// What becomes of a record; times are when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Silenced,
    Sent(Mishap),
    Held(Mishap, i64),
    /// Sent now, and once more then.
    Twice(Mishap, i64),
    Spoiled(Defect),
}

/// A record as it is reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) at_ms: i64,
    pub(crate) event_us: i64,
    pub(crate) topic: Topic,
    /// What is wrong with the device's clock.
    pub(crate) clock: Mishap,
    pub(crate) draw: Draw,
}

impl Trouble {
    /// Refuses shares that are none.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let of_records = [self.out_of_order, self.delayed, self.late, self.duplicates, self.malformed];
        let names = ["out-of-order", "delayed", "late", "duplicates", "malformed"];
        let others = [("skewed", self.skewed), ("ahead", self.ahead), ("hot-cell", self.hot_cell)];
        let shares = names.into_iter().zip(of_records).chain(others).map(|(name, share)| (name, share, 1.0));
        for (name, share, most) in shares.chain([("bursts", self.bursts, 0.25), ("silent", self.silent, 0.5)]) {
            if !(0.0..=most).contains(&share) {
                return Err(OptionsError::Share { name, most });
            }
        }
        if of_records.iter().sum::<f64>() > 1.0 { Err(OptionsError::Shares) } else { Ok(()) }
    }

    /// Whether anything depends on L.
    pub(crate) fn needs_lateness(&self) -> bool {
        [self.out_of_order, self.delayed, self.late, self.duplicates, self.skewed, self.bursts].iter().any(|s| *s > 0.0)
    }

    /// What is wrong with a vehicle's clock, and by how many milliseconds it is ahead.
    pub(crate) fn clock(&self, draw: Draw, lateness_ms: i64, max_ahead_ms: i64) -> (Mishap, i64) {
        let (share, by) = (draw.of(0).unit(), draw.of(1));
        let most = self.skew_ms.min(lateness_ms / 4);
        match share {
            k if k < self.ahead * 0.75 => (Mishap::Ahead, by.between(HOUR, 12 * HOUR).min(max_ahead_ms / 2)),
            k if k < self.ahead => (Mishap::TooFarAhead, max_ahead_ms + by.between(HOUR, 12 * HOUR)),
            k if k < self.ahead + self.skewed => (Mishap::Skewed, by.between(-most, most)),
            _ => (Mishap::None, 0),
        }
    }

    /// What becomes of a record.
    pub(crate) fn fate(&self, report: &Report, lateness_ms: i64) -> Fate {
        let Report { at_ms, event_us, topic, clock, draw } = *report;
        if self.is_silent(topic, at_ms) {
            return Fate::Silenced;
        }
        if matches!(clock, Mishap::Ahead | Mishap::TooFarAhead) {
            return Fate::Sent(clock);
        }
        if let Some(end_ms) = self.burst_at(at_ms, lateness_ms) {
            return Fate::Held(Mishap::InBurst, end_ms);
        }
        let mut left = draw.of(0).unit();
        let mut is = |share: f64| {
            left -= share;
            left < 0.0
        };
        let later = |low, high| at_ms + draw.of(1).between(low, high).max(1);
        if is(self.out_of_order) {
            Fate::Held(Mishap::OutOfOrder, later(1, lateness_ms / 20))
        } else if is(self.delayed) {
            Fate::Held(Mishap::Delayed, later(lateness_ms / 10, lateness_ms / 2))
        } else if is(self.late) {
            let beyond = (self.late_mean_ms as f64 * (1.0 / (1.0 - draw.of(1).unit()).sqrt() - 1.0)) as i64;
            Fate::Held(
                Mishap::Late,
                (event_us.div_euclid(1000) + lateness_ms + 2 + beyond.min(LATEST_MS)).max(at_ms + 1),
            )
        } else if is(self.duplicates) {
            Fate::Twice(clock, later(1, lateness_ms / 20))
        } else if is(self.malformed) {
            Fate::Spoiled(Defect::of(draw.of(1)))
        } else {
            Fate::Sent(clock)
        }
    }

    fn is_silent(&self, topic: Topic, at_ms: i64) -> bool {
        let into = (at_ms - topic.index() as i64 * SILENCE_MS / topics::TOPICS.len() as i64).rem_euclid(SILENCE_MS);
        into < (self.silent * SILENCE_MS as f64) as i64
    }

    /// When the connection that is down at a time comes back.
    fn burst_at(&self, at_ms: i64, lateness_ms: i64) -> Option<i64> {
        let length = (self.bursts * lateness_ms as f64) as i64;
        let began = at_ms - at_ms.rem_euclid(lateness_ms.max(1));
        (at_ms < began + length).then_some(began + length)
    }
}

#[cfg(test)]
mod tests {
    use citystream_wire::PerTopic;

    use super::*;

    const L: i64 = 600_000;

    fn report(number: u64) -> Report {
        let at_ms = 1_767_594_600_000 + number as i64 * 777;
        Report { at_ms, event_us: at_ms * 1000, topic: Topic::GPS, clock: Mishap::None, draw: Draw::new(number) }
    }

    #[test]
    fn each_trouble_keeps_its_bounds_and_its_share() {
        let trouble = Trouble {
            out_of_order: 0.1,
            delayed: 0.1,
            late: 0.1,
            duplicates: 0.1,
            malformed: 0.1,
            ..Trouble::default()
        };
        let mut counts = [0_u32; 6];
        let mut beyond = 0;
        for number in 0..100_000 {
            let report = report(number);
            let after = |at: i64| at - report.at_ms;
            let kind = match trouble.fate(&report, L) {
                Fate::Held(Mishap::OutOfOrder, at) if (1..=L / 20).contains(&after(at)) => 0,
                Fate::Held(Mishap::Delayed, at) if (L / 10..=L / 2).contains(&after(at)) => 1,
                Fate::Held(Mishap::Late, at) if after(at) > L + 1 && after(at) <= L + 2 + LATEST_MS => {
                    beyond += after(at) - L;
                    2
                }
                Fate::Twice(Mishap::None, at) if (1..=L / 20).contains(&after(at)) => 3,
                Fate::Spoiled(_) => 4,
                Fate::Sent(Mishap::None) => 5,
                other => panic!("{other:?}"),
            };
            counts[kind] += 1;
        }
        assert!(counts[..5].iter().all(|n| (9_600..10_400).contains(n)), "{counts:?}");
        let mean = beyond / i64::from(counts[2]);
        assert!((240_000..330_000).contains(&mean), "{mean} ms beyond L");
    }

    #[test]
    fn topics_are_silent_in_turn_and_the_connection_is_down_once_in_l() {
        let trouble = Trouble { silent: 0.1, bursts: 0.2, ..Trouble::default() };
        let mut silent = PerTopic::new(|_| 0);
        for second in 0..1800 {
            let at_ms = 1_767_594_600_000 + second * 1000;
            let now: Vec<Topic> = Topic::all().filter(|topic| trouble.is_silent(*topic, at_ms)).collect();
            assert!(now.len() <= 1);
            now.into_iter().for_each(|topic| silent[topic] += 1);
            let end = trouble.burst_at(at_ms, L);
            assert_eq!(end.is_some(), second % 600 < 120);
            assert!(end.is_none_or(|end| end > at_ms && end - at_ms <= L / 5));
        }
        assert!(silent.values().iter().all(|seconds| *seconds == 180), "{silent:?}");
    }

    #[test]
    fn clocks_are_wrong_by_what_is_said() {
        let trouble = Trouble { ahead: 0.2, skewed: 0.2, skew_ms: 10 * L, ..Trouble::default() };
        let max_ahead = 24 * HOUR;
        let mut counts = [0; 4];
        for number in 0..10_000 {
            let (clock, ahead) = trouble.clock(Draw::new(number), L, max_ahead);
            counts[clock as usize] += 1;
            let bounds = match clock {
                Mishap::None => 0..=0,
                Mishap::Skewed => -L / 4..=L / 4,
                Mishap::Ahead => HOUR..=12 * HOUR,
                Mishap::TooFarAhead => max_ahead + HOUR..=max_ahead + 12 * HOUR,
                other => panic!("{other:?}"),
            };
            assert!(bounds.contains(&ahead), "{clock:?} {ahead}");
        }
        assert!(counts.iter().zip([6000, 2000, 1500, 500]).all(|(n, want)| n * 10 > want * 9 && n * 10 < want * 11));
    }
}
