//! How the partitions stand, epoch by epoch, and since when: on process 0, whose clock folds the horizon from it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::{Partition, Position, Standing};
use citystream_dataflows::time::holding::Holding;
use citystream_dataflows::time::{Micros, TimePolicy};
use serde::Serialize;

use super::cause::{Cause, Part, seconds};
use crate::lake::history::name;
use crate::units::about_time;

/// An answer where a partition ends is believed for 2 s: from so long on it is missed.
const MISSED: Duration = Duration::from_secs(3);
/// From so long on a partition that delivers nothing, while another does, is silent.
const SILENT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Standings {
    policy: TimePolicy,
    partitions: BTreeMap<Partition, Seen>,
    /// Since when there has been none, once somebody has told.
    empty: Option<Instant>,
    horizon: Option<Micros>,
    /// When the horizon was seen to move last.
    moved: Instant,
}

/// A partition as it was told last.
#[derive(Debug)]
struct Seen {
    position: Position,
    /// Since when it has been at this offset.
    at: Instant,
    /// Since when it has stood so to its end.
    stands: Instant,
}

/// Why a partition holds the horizon back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It has delivered nothing for a while, and lets go after `--idle`.
    Silent,
    /// It delivers, with a clock that is far behind.
    Slow,
    /// It has more to read than the others.
    Backlog,
    /// Nobody confirms where it ends.
    Unconfirmed,
    /// Nobody confirms where any partition ends.
    Source,
}

/// A partition that holds the horizon back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Holder {
    /// Which.
    #[serde(serialize_with = "as_name")]
    pub partition: Partition,
    /// Why.
    pub reason: Reason,
    /// For how long.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub seconds: Duration,
    /// Its log clock.
    #[serde(serialize_with = "as_time")]
    pub log_clock: Option<Micros>,
    /// How far that is behind the lower median of those that are not quiet.
    #[serde(rename = "behind_micros")]
    pub behind: Micros,
}

fn as_name<S: serde::Serializer>(partition: &Partition, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&name(*partition))
}

fn as_time<S: serde::Serializer>(time: &Option<Micros>, serializer: S) -> Result<S::Ok, S::Error> {
    time.and_then(|time| jiff::Timestamp::from_microsecond(time).ok())
        .map(|time| time.to_string())
        .serialize(serializer)
}

impl Standings {
    /// Nobody has told anything.
    pub fn new(policy: TimePolicy) -> Standings {
        Standings { policy, partitions: BTreeMap::new(), empty: None, horizon: None, moved: Instant::now() }
    }

    /// An epoch has ended: the partitions stand so, and the horizon is there.
    pub fn tell(&mut self, positions: Vec<Position>, horizon: Option<Micros>, now: Instant) {
        for position in positions {
            let seen = self.partitions.entry(position.partition).or_insert(Seen { position, at: now, stands: now });
            if seen.position.next != position.next {
                seen.at = now;
            }
            if (seen.position.standing == Standing::Behind) != (position.standing == Standing::Behind) {
                seen.stands = now;
            }
            seen.position = position;
        }
        self.empty = self.partitions.is_empty().then(|| self.empty.unwrap_or(now));
        if std::mem::replace(&mut self.horizon, horizon) != horizon {
            self.moved = now;
        }
    }

    /// The horizon, and for how long it has been there.
    pub fn horizon(&self, now: Instant) -> (Option<Micros>, Duration) {
        (self.horizon, now.duration_since(self.moved))
    }

    /// For how long there has been no partition.
    pub fn empty(&self, now: Instant) -> Option<Duration> {
        self.empty.map(|since| now.duration_since(since))
    }

    /// The partitions that hold the horizon back: further than is usual, or while others go on.
    pub fn holders(&self, now: Instant) -> Vec<Holder> {
        let positions: Vec<Position> = self.partitions.values().map(|seen| seen.position).collect();
        let holding = Holding::of(self.policy, &positions);
        let latest = self.partitions.values().map(|seen| seen.at).max().unwrap_or(now);
        let is_lost = |seen: &Seen| seen.position.standing == Standing::Behind && now.duration_since(seen.at) >= MISSED;
        let is_source = !self.partitions.is_empty() && self.partitions.values().all(is_lost);
        let holders = holding.holders.iter().filter_map(|partition| self.partitions.get(partition));
        let mut found: Vec<Holder> = holders
            .filter_map(|seen| seen.held((latest, now), holding.median, self.policy))
            .map(|holder| Holder { reason: if is_source { Reason::Source } else { holder.reason }, ..holder })
            .collect();
        found.sort_by_key(|holder| std::cmp::Reverse(holder.seconds));
        found
    }
}

impl Seen {
    /// Whether, and why, it holds back what others allow; `latest` is when any partition has delivered last.
    fn held(&self, (latest, now): (Instant, Instant), median: Option<Micros>, policy: TimePolicy) -> Option<Holder> {
        let Position { partition, log_clock, standing, .. } = self.position;
        let behind = median.zip(log_clock).map_or(0, |(median, clock)| (median - clock).max(0));
        let (still, stands) = (now.duration_since(self.at), now.duration_since(self.stands));
        let is_behind = standing == Standing::Behind;
        let (reason, seconds) = if is_behind && still >= MISSED {
            (Reason::Unconfirmed, still.min(stands))
        } else if !is_behind && still >= SILENT {
            // Where nobody delivers, nobody is waited for.
            return (latest.duration_since(self.at) >= SILENT).then_some(Holder {
                partition,
                reason: Reason::Silent,
                seconds: still,
                log_clock,
                behind,
            });
        } else if behind > policy.lateness {
            (if is_behind { Reason::Backlog } else { Reason::Slow }, stands)
        } else {
            return None;
        };
        Some(Holder { partition, reason, seconds, log_clock, behind })
    }
}

impl Holder {
    /// As a cause, one of so many.
    pub fn cause(&self, of: usize) -> Cause {
        let (partition, seconds) = (name(self.partition), about_time(self.seconds));
        let others = if of > 1 { format!(", and so do {} more", of - 1) } else { String::new() };
        let behind = about_time(Duration::from_micros(self.behind.max(0) as u64));
        let (part, name, says) = match self.reason {
            Reason::Silent => (
                Part::Horizon,
                "silent",
                format!(
                    "{partition} holds the horizon back{others}: it has delivered nothing for {seconds}, and lets go after --idle"
                ),
            ),
            Reason::Slow => (
                Part::Horizon,
                "slow",
                format!(
                    "{partition} holds the horizon back{others}: it delivers with a clock {behind} behind the others"
                ),
            ),
            Reason::Backlog => (
                Part::Horizon,
                "backlog",
                format!(
                    "{partition} holds the horizon back{others}: it has to be read first, {behind} behind the others"
                ),
            ),
            Reason::Unconfirmed => (
                Part::Horizon,
                "unconfirmed",
                format!(
                    "{partition} holds the horizon back{others}: for {seconds} nothing comes, and nobody has confirmed that it is read to its end"
                ),
            ),
            Reason::Source => (
                Part::Reading,
                "source",
                format!(
                    "the source does not answer: for {seconds} nobody has confirmed where any partition ends, {partition} among them"
                ),
            ),
        };
        Cause { part, name, says, seconds: self.seconds, grave: false }
    }
}

#[cfg(test)]
mod tests {
    use citystream_dataflows::time::bindings::{NextOffset, Topic};

    use super::*;

    const SECOND: Micros = 1_000_000;

    /// Partitions of pings: offset, log clock in seconds, standing.
    fn tell(standings: &mut Standings, all: &[(i64, i64, Standing)], now: Instant) {
        let position = |(index, (next, clock, standing)): (usize, &(i64, i64, Standing))| Position {
            partition: Partition { topic: Topic::GPS, index: index as i32 },
            next: NextOffset(*next),
            log_clock: Some(clock * SECOND),
            standing: *standing,
        };
        standings.tell(all.iter().enumerate().map(position).collect(), Some(7), now);
    }

    #[test]
    fn a_holder_is_told_with_its_reason_and_since_when() {
        use Standing::{Behind, Drained};
        let policy = TimePolicy { lateness: 600 * SECOND, slack: 120 * SECOND, max_ahead: 0, max_hold: 3600 * SECOND };
        let (start, mut standings) = (Instant::now(), Standings::new(policy));
        let after = |seconds| start + Duration::from_secs(seconds);
        let held = |standings: &Standings, now| {
            let told = |holder: Holder| (holder.partition.index, holder.reason, holder.seconds.as_secs());
            standings.holders(now).into_iter().map(told).collect::<Vec<_>>()
        };
        tell(&mut standings, &[], start);
        tell(&mut standings, &[], after(1));
        assert_eq!(standings.empty(after(2)), Some(Duration::from_secs(2)));
        tell(&mut standings, &[(1, 1000, Drained), (1, 1000, Drained), (1, 1000, Drained)], start);
        assert_eq!(standings.empty(after(2)), None);
        assert_eq!(held(&standings, after(20)), [], "nobody delivers, and nobody is waited for");
        tell(&mut standings, &[(1, 1000, Drained), (2, 1006, Drained), (2, 1006, Drained)], after(6));
        assert_eq!(held(&standings, after(6)), [(0, Reason::Silent, 6)]);
        assert!(standings.holders(after(6))[0].cause(1).says.starts_with("gps/0 holds the horizon back: it has"));
        tell(&mut standings, &[(2, 1001, Drained), (3, 1007, Drained), (3, 1007, Drained)], after(7));
        assert_eq!(held(&standings, after(7)), [], "it delivers");
        tell(&mut standings, &[(3, 1002, Drained), (4, 1700, Drained), (4, 1700, Drained)], after(8));
        assert_eq!(held(&standings, after(8)), [(0, Reason::Slow, 8)], "more than the lateness behind");
        assert!(standings.holders(after(8))[0].cause(1).says.ends_with("a clock 12 minutes behind the others"));
        tell(&mut standings, &[(3, 1002, Behind), (5, 1701, Drained), (5, 1701, Drained)], after(9));
        assert_eq!(held(&standings, after(10)), [(0, Reason::Backlog, 1)]);
        assert_eq!(held(&standings, after(12)), [(0, Reason::Unconfirmed, 3)]);
        tell(&mut standings, &[(3, 1002, Behind), (5, 1701, Behind), (5, 1701, Behind)], after(13));
        assert_eq!(held(&standings, after(14))[0].1, Reason::Source, "all at once");
        assert_eq!(standings.horizon(after(14)), (Some(7), Duration::from_secs(14)));
    }
}
