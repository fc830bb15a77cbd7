//! Where reading starts: a pure decision over what there is, what the lake recorded, and `--from`.
//!
//! Invariant: a partition in the lake goes on exactly where it stood, or the run stops; a partition that is new to a
//! lake with data is read from its first offset.

use std::collections::BTreeMap;

use citystream_dataflows::bindings::{NextOffset, Partition, Topic};

use super::{Available, SourceError};

/// The flag that accepts a loss.
pub const ACCEPT_FLAG: &str = "--accept-loss";

/// Where a lake without data starts: `--from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// At the first offset that can be read.
    #[default]
    Earliest,
    /// At the end.
    Latest,
    /// Where the consumer group stands; at the first offset where it has none.
    Group,
}

/// A topic as it was, or is, known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name, for people.
    pub name: String,
    /// Its identity; empty where the log has none.
    pub id: String,
}

/// What a lake with data says.
#[derive(Clone, Copy, Debug)]
pub struct Recovered<'a> {
    /// The next offset of every partition it knows.
    pub positions: &'a [(Partition, NextOffset)],
    /// The topics it knows.
    pub topics: &'a BTreeMap<Topic, Known>,
}

/// Where to start each available partition, in their order.
///
/// `recovered` is `None` until the lake's first data commit: only then `from` counts (with `group` for
/// [`From::Group`]). With `accept_loss`, what would be [`SourceError::Lost`] starts at the nearest offset there is.
pub fn start_positions(
    available: &[Available],
    recovered: Option<Recovered<'_>>,
    from: From,
    group: &[(Partition, NextOffset)],
    accept_loss: bool,
) -> Result<Vec<(Partition, NextOffset)>, SourceError> {
    if let Some(recovered) = recovered.filter(|_| !accept_loss) {
        check_topics(available, recovered)?;
        check_gone(available, recovered)?;
    }
    available
        .iter()
        .map(|a| {
            let next = match recovered {
                Some(recovered) => go_on(a, recovered, accept_loss),
                None => begin(a, from, group, accept_loss),
            };
            next.map(|next| (a.partition, next))
        })
        .collect()
}

/// Partitions that are not in `known` yet: they have appeared since, and are read from their first offset.
///
/// Fails if a known topic has another id or a known partition is gone: it was deleted under the run.
pub fn appeared(
    available: &[Available],
    recovered: Recovered<'_>,
) -> Result<Vec<(Partition, NextOffset)>, SourceError> {
    check_topics(available, recovered)?;
    check_gone(available, recovered)?;
    let new = available.iter().filter(|a| position(recovered.positions, a.partition).is_none());
    Ok(new.map(|a| (a.partition, a.low)).collect())
}

fn position(positions: &[(Partition, NextOffset)], partition: Partition) -> Option<NextOffset> {
    positions.iter().find(|(p, _)| *p == partition).map(|(_, next)| *next)
}

/// The same name with another id is another log. A log without ids is taken at its name.
fn other_topic(available: &Available, recovered: Recovered<'_>) -> bool {
    recovered
        .topics
        .get(&available.partition.topic)
        .is_some_and(|known| !known.id.is_empty() && !available.topic_id.is_empty() && known.id != available.topic_id)
}

fn check_topics(available: &[Available], recovered: Recovered<'_>) -> Result<(), SourceError> {
    let Some(other) = available.iter().find(|a| other_topic(a, recovered)) else { return Ok(()) };
    let known = &recovered.topics[&other.partition.topic];
    Err(SourceError::Lost(format!(
        "topic `{}` is another one now (id {}, the lake read {}): what the lake had not read of it is lost; \
         {ACCEPT_FLAG} reads the new one from its start",
        known.name, other.topic_id, known.id
    )))
}

fn check_gone(available: &[Available], recovered: Recovered<'_>) -> Result<(), SourceError> {
    let gone = recovered.positions.iter().find(|(p, _)| !available.iter().any(|a| a.partition == *p));
    let Some((partition, next)) = gone else { return Ok(()) };
    Err(SourceError::Lost(format!(
        "{} is gone, the lake read it up to offset {}: what it had not read is lost; {ACCEPT_FLAG} goes on without it",
        show(*partition, Some(recovered)),
        next.0
    )))
}

fn go_on(a: &Available, recovered: Recovered<'_>, accept_loss: bool) -> Result<NextOffset, SourceError> {
    match position(recovered.positions, a.partition) {
        None => Ok(a.low),
        Some(_) if other_topic(a, recovered) => Ok(a.low),
        Some(next) => within(a, next, &show(a.partition, Some(recovered)), accept_loss),
    }
}

fn begin(
    a: &Available,
    from: From,
    group: &[(Partition, NextOffset)],
    accept_loss: bool,
) -> Result<NextOffset, SourceError> {
    match from {
        From::Earliest => Ok(a.low),
        From::Latest => Ok(a.high),
        From::Group => match position(group, a.partition) {
            None => Ok(a.low),
            Some(next) => within(a, next, &show(a.partition, None), accept_loss),
        },
    }
}

fn within(a: &Available, next: NextOffset, shown: &str, accept_loss: bool) -> Result<NextOffset, SourceError> {
    if accept_loss {
        return Ok(next.clamp(a.low, a.high));
    }
    if next < a.low {
        return Err(SourceError::Lost(format!(
            "{shown}: up to {} records are lost: the log starts at offset {}, the next to read is {}; {ACCEPT_FLAG} goes on \
             at {}",
            a.low.0 - next.0,
            a.low.0,
            next.0,
            a.low.0
        )));
    }
    if next > a.high {
        return Err(SourceError::Lost(format!(
            "{shown}: the log ends at offset {}, the next to read is {}: it was truncated or made anew; {ACCEPT_FLAG} goes on \
             at {}",
            a.high.0, next.0, a.high.0
        )));
    }
    Ok(next)
}

fn show(partition: Partition, recovered: Option<Recovered<'_>>) -> String {
    let known = recovered.and_then(|r| r.topics.get(&partition.topic));
    let name = known.map_or(partition.topic.name(), |k| k.name.as_str());
    format!("partition {name}/{}", partition.index)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GPS0: Partition = Partition { topic: Topic::Gps, index: 0 };
    const GPS1: Partition = Partition { topic: Topic::Gps, index: 1 };

    fn available(partition: Partition, id: &str, low: i64, high: i64) -> Available {
        Available { partition, topic_id: id.into(), low: NextOffset(low), high: NextOffset(high) }
    }

    fn topics(id: &str) -> BTreeMap<Topic, Known> {
        BTreeMap::from([(Topic::Gps, Known { name: "gps_data".into(), id: id.into() })])
    }

    fn start(
        available: &[Available],
        recorded: Option<i64>,
        id: &str,
        from: From,
        accept: bool,
    ) -> Result<Vec<i64>, String> {
        let topics = topics(id);
        let positions: Vec<_> = recorded.iter().map(|n| (GPS0, NextOffset(*n))).collect();
        let recovered = recorded.map(|_| Recovered { positions: &positions, topics: &topics });
        let group = [(GPS0, NextOffset(15))];
        match start_positions(available, recovered, from, &group, accept) {
            Ok(starts) => Ok(starts.into_iter().map(|(_, n)| n.0).collect()),
            Err(SourceError::Lost(text)) => Err(text),
            Err(other) => panic!("not Lost: {other}"),
        }
    }

    #[test]
    fn from_counts_only_for_a_lake_without_data() {
        let logs = [available(GPS0, "a", 10, 20), available(GPS1, "a", 0, 5)];
        assert_eq!(start(&logs, None, "a", From::Earliest, false).unwrap(), [10, 0]);
        assert_eq!(start(&logs, None, "a", From::Latest, false).unwrap(), [20, 5]);
        assert_eq!(start(&logs, None, "a", From::Group, false).unwrap(), [15, 0]);
        for from in [From::Earliest, From::Latest, From::Group] {
            assert_eq!(start(&logs, Some(12), "a", from, false).unwrap(), [12, 0], "new partitions from their first");
        }
    }

    #[test]
    fn both_ends_of_the_log_are_good_starts_and_beyond_them_is_lost() {
        let logs = [available(GPS0, "a", 10, 20)];
        for good in [10, 20] {
            assert_eq!(start(&logs, Some(good), "a", From::Latest, false).unwrap(), [good]);
        }
        let low = start(&logs, Some(7), "a", From::Latest, false).unwrap_err();
        assert!(low.contains("3 records") && low.contains("gps_data/0") && low.contains(ACCEPT_FLAG), "{low}");
        let high = start(&logs, Some(21), "a", From::Latest, false).unwrap_err();
        assert!(high.contains("20") && high.contains("21"), "{high}");
        assert_eq!(start(&logs, Some(7), "a", From::Latest, true).unwrap(), [10]);
        assert_eq!(start(&logs, Some(21), "a", From::Latest, true).unwrap(), [20]);
    }

    #[test]
    fn a_group_offset_that_is_gone_is_lost_too() {
        let logs = [available(GPS0, "a", 16, 20)];
        assert!(start(&logs, None, "a", From::Group, false).unwrap_err().contains("1 records"));
    }

    #[test]
    fn another_id_is_another_log() {
        let logs = [available(GPS0, "b", 0, 20)];
        let error = start(&logs, Some(12), "a", From::Earliest, false).unwrap_err();
        assert!(error.contains("gps_data") && error.contains(ACCEPT_FLAG) && !error.contains('\n'), "{error}");
        assert_eq!(start(&logs, Some(12), "a", From::Earliest, true).unwrap(), [0]);
        assert_eq!(start(&logs, Some(12), "", From::Earliest, false).unwrap(), [12], "no id recorded, no claim");
    }

    #[test]
    fn a_partition_that_is_gone_is_lost() {
        let logs = [available(GPS1, "a", 0, 20)];
        assert!(start(&logs, Some(12), "a", From::Earliest, false).unwrap_err().contains("gps_data/0"));
        assert_eq!(start(&logs, Some(12), "a", From::Earliest, true).unwrap(), [0]);
    }

    #[test]
    fn what_appears_while_running_starts_at_its_first_offset() {
        let topics = topics("a");
        let positions = [(GPS0, NextOffset(3))];
        let known = Recovered { positions: &positions, topics: &topics };
        let logs = [available(GPS0, "a", 0, 9), available(GPS1, "a", 2, 9)];
        assert_eq!(appeared(&logs, known).unwrap(), [(GPS1, NextOffset(2))]);
        assert!(appeared(&logs[1..], known).is_err(), "gone");
        assert!(appeared(&[available(GPS0, "b", 0, 9)], known).is_err(), "made anew");
    }
}
