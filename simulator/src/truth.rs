//! What has been sent, counted as it is sent, and what the pipeline's tables must hold of it.

use std::collections::BTreeMap;
use std::fmt;

use citystream_wire::{PerTopic, Place, Topic};
use serde::Serialize;

use crate::malformed::Defect;
use crate::options::Options;
use crate::topics;
use crate::trouble::Mishap;

/// The truth about what has been sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// What the records are a function of.
    pub options: Options,
    /// Records sent.
    pub records: u64,
    /// The last log time, in milliseconds since 1970.
    pub until_ms: i64,
    /// Records that were held back and not yet sent at the end.
    pub held_back: u64,
    /// What went wrong, in records.
    pub injected: Injected,
    /// What must be in the table of each topic's records, and of its dead letters.
    pub topics: BTreeMap<&'static str, Expected>,
    /// Rows of `enriched_pings`, and the sum of `traffic_5m.pings`: the pings on time.
    pub pings: u64,
    /// The incidents of which statuses are on time: each has one row in `incidents`.
    pub incidents: Vec<Happened>,
}

/// Records that were sent, by what went wrong with them: each is counted once at most, but for `hot_cell`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Injected {
    /// Sent after later ones.
    pub out_of_order: u64,
    /// Delayed, but in time.
    pub delayed: u64,
    /// Delayed beyond the lateness.
    pub late: u64,
    /// Sent a second time.
    pub duplicates: u64,
    /// Not readable.
    pub malformed: u64,
    /// From the future, but not too far.
    pub ahead: u64,
    /// From too far in the future.
    pub too_far_ahead: u64,
    /// Held back while the connection was down.
    pub in_bursts: u64,
    /// From devices whose clock is somewhat wrong, and otherwise right.
    pub skewed: u64,
    /// Never sent, since their topic was silent: not among the records.
    pub silenced: u64,
    /// From the vehicles in the one cell, whatever else is wrong.
    pub hot_cell: u64,
}

/// What the tables must hold of a topic's records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Rows on time.
    pub on_time: u64,
    /// Rows that are late.
    pub late: u64,
    /// Rows that repeat others.
    pub duplicate: u64,
    /// Dead letters by reason.
    pub dead_letters: BTreeMap<&'static str, u64>,
}

/// An incident that has been reported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Happened {
    /// Its id.
    pub id: String,
    /// Where it happened; those who report it are up to 500 m away.
    pub lat: f64,
    /// Where it happened.
    pub lon: f64,
    /// `Low`, `Medium` or `High`.
    pub severity: &'static str,
    /// When it happened, in milliseconds since 1970.
    pub active_ms: i64,
    /// When help came.
    pub responding_ms: i64,
    /// When it was over.
    pub resolved_ms: i64,
    /// Its statuses on time.
    pub statuses: u64,
}

/// What is known of a record on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter {
    pub(crate) topic: Topic,
    pub(crate) vehicle: u32,
    pub(crate) event_us: i64,
    pub(crate) incident: Option<u64>,
    pub(crate) in_crowd: bool,
    pub(crate) mishap: Mishap,
}

/// What a record that is sent becomes in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    OnTime,
    Late,
    Duplicate,
    Dead(&'static str),
}

/// The account, kept while records are sent.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) records: u64,
    pub(crate) injected: Injected,
    topics: PerTopic<[u64; 3]>,
    dead: PerTopic<BTreeMap<&'static str, u64>>,
    /// Statuses on time, by the number of the incident.
    pub(crate) statuses: BTreeMap<u64, u64>,
}

impl Account {
    /// Counts a record that is sent.
    pub(crate) fn sent(&mut self, letter: &Letter, outcome: Outcome) {
        self.records += 1;
        self.injected.count(letter.mishap);
        self.injected.hot_cell += u64::from(letter.in_crowd);
        let rows = &mut self.topics[letter.topic];
        match outcome {
            Outcome::OnTime => rows[0] += 1,
            Outcome::Late => rows[1] += 1,
            Outcome::Duplicate => rows[2] += 1,
            Outcome::Dead(reason) => *self.dead[letter.topic].entry(reason).or_default() += 1,
        }
        let status = letter.incident.filter(|_| outcome == Outcome::OnTime && letter.topic == Topic::EMERGENCY);
        if let Some(number) = status {
            *self.statuses.entry(number).or_default() += 1;
        }
    }

    /// What the tables must hold, by topic.
    pub(crate) fn expected(&self) -> BTreeMap<&'static str, Expected> {
        let expected = |topic: Topic| {
            let [on_time, late, duplicate] = self.topics[topic];
            Expected { on_time, late, duplicate, dead_letters: self.dead[topic].clone() }
        };
        topics::TOPICS.iter().map(|topic| (topic.name(), expected(*topic))).collect()
    }
}

impl Injected {
    fn count(&mut self, mishap: Mishap) {
        let count = match mishap {
            Mishap::None => return,
            Mishap::Skewed => &mut self.skewed,
            Mishap::Ahead => &mut self.ahead,
            Mishap::TooFarAhead => &mut self.too_far_ahead,
            Mishap::InBurst => &mut self.in_bursts,
            Mishap::OutOfOrder => &mut self.out_of_order,
            Mishap::Delayed => &mut self.delayed,
            Mishap::Late => &mut self.late,
            Mishap::Again => &mut self.duplicates,
            Mishap::Malformed => &mut self.malformed,
        };
        *count += 1;
    }
}

impl Happened {
    pub(crate) fn new(incident: &crate::incidents::Incident, statuses: u64) -> Happened {
        let Place { lat, lon } = incident.place;
        Happened {
            id: incident.id().to_owned(),
            lat,
            lon,
            severity: incident.severity().word(),
            active_ms: incident.active_ms,
            responding_ms: incident.responding_ms,
            resolved_ms: incident.resolved_ms,
            statuses,
        }
    }
}

impl Truth {
    /// The truth as seen through a directory of lines: a zero byte makes a line of it that is no JSON.
    pub fn through_lines(mut self) -> Truth {
        for expected in self.topics.values_mut() {
            if let Some(number) = expected.dead_letters.remove(Defect::Confluent.reason()) {
                *expected.dead_letters.entry(Defect::Torn.reason()).or_default() += number;
            }
        }
        self
    }

    fn sum(&self, of: impl Fn(&Expected) -> u64) -> u64 {
        self.topics.values().map(of).sum()
    }
}

/// A few lines for people.
impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let i = &self.injected;
        let dead = self.sum(|topic| topic.dead_letters.values().sum());
        writeln!(f, "{} records sent", self.records)?;
        writeln!(
            f,
            "  injected: {} out of order, {} delayed, {} late, {} duplicates, {} malformed, {} ahead, {} too far ahead, \
             {} skewed, {} in bursts; {} silenced",
            i.out_of_order,
            i.delayed,
            i.late,
            i.duplicates,
            i.malformed,
            i.ahead,
            i.too_far_ahead,
            i.skewed,
            i.in_bursts,
            i.silenced,
        )?;
        writeln!(
            f,
            "  the tables must hold: {} on time, {} late, {} duplicates, {dead} dead letters; {} enriched pings, {} incidents",
            self.sum(|topic| topic.on_time),
            self.sum(|topic| topic.late),
            self.sum(|topic| topic.duplicate),
            self.pings,
            self.incidents.len(),
        )
    }
}
