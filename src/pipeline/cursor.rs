//! One partition as its worker reads it: what the open epoch has taken, and how it stands to the end of its log.

use std::time::{Duration, Instant};

use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::{Binding, NextOffset, Partition, Standing};
use citystream_dataflows::time::ticks::Added;
use prometheus::IntGauge;

use crate::process::metrics::Metrics;
use crate::source::Reader;

/// Two looks further apart than this confirm nothing of the time between them.
const UNBROKEN: Duration = Duration::from_secs(2);

/// One partition of a worker, and what the open epoch has taken of it.
pub struct PartitionCursor {
    /// The partition.
    pub partition: Partition,
    /// The log clock, after all that was taken.
    pub log_clock: Option<Micros>,
    first: NextOffset,
    next: NextOffset,
    /// Up to where its progress has been shown.
    shown: NextOffset,
    read: u64,
    /// Whether it may be far from others, as nobody has told a limit since it was added.
    is_new: bool,
    idle: Idle,
    /// Shown once the end is known.
    lag: Option<IntGauge>,
}

impl PartitionCursor {
    /// At the place where a partition is to be read from.
    pub fn new(added: &Added) -> PartitionCursor {
        PartitionCursor {
            partition: added.position.partition,
            log_clock: added.position.log_clock,
            first: added.position.next,
            next: added.from,
            shown: added.from,
            read: 0,
            is_new: true,
            idle: Idle::default(),
            lag: None,
        }
    }

    /// Takes a record, after which the log clock is this.
    pub fn take(&mut self, next: NextOffset, log_clock: Option<Micros>) {
        self.log_clock = log_clock;
        self.next = next;
        self.read += 1;
    }

    /// Looks, and tells, whether it is drained; between two closes too, as quiet is what was drained without a break.
    pub fn look(&mut self, reader: &mut dyn Reader, now: Instant) -> bool {
        let is_drained = reader.drained(self.partition);
        self.idle.look(is_drained && self.read == 0, now);
        is_drained
    }

    /// How much it may give now, of `share`: nothing beyond the limit; a share an epoch while it is new, so that all partitions
    /// of a backlog begin together.
    pub fn quota(&self, limit: Option<Micros>, share: usize) -> usize {
        let left = if self.is_new { share.saturating_sub(self.read as usize) } else { share };
        if self.is_beyond(limit) { 0 } else { left }
    }

    /// Whether it has to wait for others.
    pub fn is_beyond(&self, limit: Option<Micros>) -> bool {
        self.log_clock.zip(limit).is_some_and(|(clock, limit)| clock > limit)
    }

    /// An epoch opens under this limit.
    pub fn open(&mut self, limit: Option<Micros>) {
        self.is_new &= limit.is_none();
    }

    /// What the open epoch has taken, as it closes; the next one begins where it ends.
    pub fn close(&mut self, reader: &mut dyn Reader, quiet_after: Duration, now: Instant) -> Binding {
        let standing = if self.look(reader, now) {
            let is_quiet = self.idle.since.is_some_and(|since| now.duration_since(since) >= quiet_after);
            if is_quiet { Standing::Quiet } else { Standing::Drained }
        } else if reader.caught_up(self.partition) {
            Standing::CaughtUp
        } else {
            Standing::Behind
        };
        // What lies between the last record and the end are markers and aborted records. They are passed for good: once
        // retention has taken them, a start at the last record would look like a loss.
        if let Some(passed) = reader.passed(self.partition).filter(|_| standing.is_drained()) {
            self.next = self.next.max(passed);
        }
        self.is_new &= standing == Standing::Behind;
        let PartitionCursor { partition, first, next, read, log_clock, .. } = *self;
        (self.first, self.read) = (next, 0);
        Binding { partition, first, next, read, log_clock, standing }
    }

    /// Shows how far the partition is read. What is left in a drained one are markers and aborted records.
    pub fn show_lag(&mut self, end: Option<NextOffset>, is_drained: bool, metrics: &Metrics) {
        metrics.pass((self.next.0 - std::mem::replace(&mut self.shown, self.next).0).max(0) as u64);
        let Some(end) = end else { return };
        let gauge = self.lag.get_or_insert_with(|| metrics.lag(self.partition));
        gauge.set(if is_drained { 0 } else { (end.0 - self.next.0).max(0) });
    }
}

/// Since when a partition has been drained, without a break and without a record.
#[derive(Debug, Default)]
struct Idle {
    since: Option<Instant>,
    looked: Option<Instant>,
}

impl Idle {
    /// Takes that it is idle now, or is not.
    fn look(&mut self, is_idle: bool, now: Instant) {
        let unbroken = self.looked.is_some_and(|looked| now.duration_since(looked) <= UNBROKEN);
        self.looked = Some(now);
        self.since = self.since.filter(|_| unbroken).or(Some(now)).filter(|_| is_idle);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use citystream_dataflows::time::TimePolicy;
    use citystream_dataflows::time::bindings::{Position, Topic};

    use super::*;

    #[test]
    fn idle_is_what_was_drained_without_a_break() {
        let (start, mut idle) = (Instant::now(), Idle::default());
        let mut look = |ms, is_idle| {
            let now = start + Duration::from_millis(ms);
            idle.look(is_idle, now);
            idle.since.map_or(0, |since| now.duration_since(since).as_millis())
        };
        assert_eq!([look(0, true), look(500, true), look(2400, true)], [0, 500, 2400]);
        assert_eq!([look(2500, false), look(2600, true), look(3000, true)], [0, 0, 400], "a record came");
        assert_eq!([look(5001, true), look(6001, true)], [0, 1000], "nobody has looked for more than 2 s");
    }

    #[test]
    fn lag_is_shown_once_the_end_is_known_and_markers_are_none() {
        let partition = Partition { topic: Topic::GPS, index: 0 };
        let position = Position { partition, next: NextOffset(40), log_clock: None, standing: Standing::Behind };
        let mut cursor = PartitionCursor::new(&Added { position, from: NextOffset(40) });
        let policy = TimePolicy { lateness: 1, slack: 1, max_ahead: 1, max_hold: 1 };
        let metrics = Metrics::new(policy, Duration::ZERO).unwrap();
        cursor.show_lag(None, false, &metrics);
        assert!(cursor.lag.is_none(), "nobody has said where it ends");
        for (end, drained, lag) in [(100, false, 60), (41, false, 1), (41, true, 0), (39, false, 0)] {
            cursor.show_lag(Some(NextOffset(end)), drained, &metrics);
            assert_eq!(metrics.lag(partition).get(), lag, "end {end}, drained {drained}");
        }
        cursor.take(NextOffset(70), None);
        cursor.show_lag(Some(NextOffset(100)), false, &metrics);
        assert_eq!((metrics.passed(), metrics.left()), (30, 30));
    }
}
