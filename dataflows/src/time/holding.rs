//! Which partitions hold the horizon, and how far back.
//!
//! Every partition holds it, except one that is drained and has never delivered, and one that is quiet. One that has
//! reached its end holds it at most `max_hold` behind the lower median log clock of those that are not quiet, so that a
//! clock that is stuck does not hold it for ever; what it delivers behind that expires. One with nothing read yet holds the
//! horizon where it is, and if none holds, it stays there too.

use crate::time::bindings::{Partition, Position, Standing};
use crate::time::{Micros, TimePolicy};

/// What holds the horizon after some epoch: a function of the positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The log clock that the horizon follows; `None` holds it where it is.
    pub clock: Option<Micros>,
    /// The partitions that hold it there.
    pub holders: Vec<Partition>,
    /// Those that are further behind than a partition may hold it: what they deliver there expires.
    pub left_behind: Vec<Partition>,
    /// The lower median log clock of the partitions that are not quiet.
    pub median: Option<Micros>,
}

impl Holding {
    /// What holds the horizon where partitions stand so.
    pub fn of(policy: TimePolicy, positions: &[Position]) -> Holding {
        let median = lower_median(positions);
        let bound = median.map(|median| median.saturating_sub(policy.max_hold));
        let held: Vec<(Partition, Option<Micros>)> =
            positions.iter().filter(|p| holds(p)).map(|p| (p.partition, held_at(p, bound))).collect();
        let Some(clock) = held.iter().map(|(_, clock)| *clock).min() else {
            return Holding { median, ..Holding::default() };
        };
        let holders = held.iter().filter(|(_, held)| *held == clock).map(|(partition, _)| *partition).collect();
        let is_behind = |p: &&Position| holds(p) && held_at(p, bound) > p.log_clock;
        let left_behind = positions.iter().filter(is_behind).map(|p| p.partition).collect();
        Holding { clock, holders, left_behind, median }
    }

    /// The horizon, which was `previous`: it never goes back.
    pub fn horizon(&self, policy: TimePolicy, previous: Option<Micros>) -> Option<Micros> {
        previous.max(self.clock.map(|clock| clock.saturating_sub(policy.lateness.saturating_add(policy.slack))))
    }
}

/// Whether a partition holds the horizon.
fn holds(position: &Position) -> bool {
    match position.standing {
        Standing::Quiet => false,
        Standing::Drained => position.log_clock.is_some(),
        Standing::Behind | Standing::CaughtUp => true,
    }
}

/// The log clock at which a partition holds it: no further back than the bound if it has reached its end.
fn held_at(position: &Position, bound: Option<Micros>) -> Option<Micros> {
    let clock = position.log_clock?;
    match position.standing {
        Standing::Behind => Some(clock),
        _ => Some(clock).max(bound),
    }
}

/// Of the log clocks of the partitions that are not quiet.
fn lower_median(positions: &[Position]) -> Option<Micros> {
    let mut clocks: Vec<Micros> =
        positions.iter().filter(|p| p.standing != Standing::Quiet).filter_map(|p| p.log_clock).collect();
    clocks.sort_unstable();
    clocks.get(clocks.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use Standing::{Behind, CaughtUp, Drained, Quiet};

    use super::*;
    use crate::time::HOUR;
    use crate::time::bindings::{NextOffset, Topic};

    const POLICY: TimePolicy = TimePolicy { lateness: 600, slack: 120, max_ahead: 86_400, max_hold: HOUR };

    fn partition(index: usize) -> Partition {
        Partition { topic: Topic::GPS, index: index as i32 }
    }

    fn holding(stand: &[(Option<Micros>, Standing)]) -> Holding {
        let position = |(index, (log_clock, standing)): (usize, &(Option<Micros>, Standing))| Position {
            partition: partition(index),
            next: NextOffset(0),
            log_clock: *log_clock,
            standing: *standing,
        };
        Holding::of(POLICY, &stand.iter().enumerate().map(position).collect::<Vec<_>>())
    }

    #[test]
    fn who_delivers_with_a_slow_clock_holds_the_horizon_drained_or_not() {
        for standing in [Behind, CaughtUp, Drained] {
            let slow = holding(&[(Some(10_000), standing), (Some(90_000), Drained), (None, Drained)]);
            assert_eq!((slow.clock, &slow.holders[..]), (Some(10_000), &[partition(0)][..]), "{standing:?}");
            assert_eq!(slow.horizon(POLICY, None), Some(10_000 - 720));
            assert_eq!(slow.horizon(POLICY, Some(50_000)), Some(50_000), "it never goes back");
        }
    }

    #[test]
    fn a_quiet_one_and_an_empty_one_hold_nothing() {
        assert_eq!(holding(&[(Some(10_000), Quiet), (Some(90_000), Drained), (None, Drained)]).clock, Some(90_000));
        for nobody in [&[][..], &[(Some(10_000), Quiet), (None, Drained)]] {
            assert_eq!(holding(nobody), Holding::default(), "it stays where it is");
        }
    }

    #[test]
    fn s1_with_nothing_read_yet_it_stays_where_it_is() {
        let unread = holding(&[(None, Behind), (Some(90_000), Drained)]);
        assert_eq!((unread.clock, &unread.holders[..]), (None, &[partition(0)][..]));
        assert_eq!(unread.horizon(POLICY, Some(7)), Some(7));
    }

    #[test]
    fn a_stuck_clock_holds_it_an_hour_behind_the_others_once_its_end_is_reached() {
        let others = [(Some(10 * HOUR), Drained), (Some(11 * HOUR), CaughtUp), (Some(70 * HOUR), Drained)];
        for standing in [CaughtUp, Drained] {
            let stuck = holding(&[&[(Some(1), standing)][..], &others].concat());
            assert_eq!(stuck.clock, Some(9 * HOUR), "an hour behind the lower median, 10 h");
            assert_eq!((&stuck.holders[..], &stuck.left_behind[..]), (&[partition(0)][..], &[partition(0)][..]));
        }
        let unread = holding(&[&[(Some(1), Behind)][..], &others].concat());
        assert_eq!((unread.clock, unread.left_behind), (Some(1), Vec::new()), "what is to be read is waited for");
    }
}
