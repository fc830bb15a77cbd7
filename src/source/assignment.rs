//! Where reading starts: a pure decision over what there is, what the lake recorded, and `--from`.
//!
//! Invariant: a partition in the lake goes on exactly where it stood, or the run stops unless the user accepts what is
//! lost; a partition that is new to a lake with data, or of a topic made anew, is read from its first offset.

use std::collections::BTreeMap;

use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic, is_another_topic};

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

/// Where reading starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Starts {
    /// One for each available partition, in their order.
    pub partitions: Vec<Beginning>,
    /// What is lost by it and was accepted, one line each.
    pub accepted: Vec<String>,
}

/// Where one partition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The partition.
    pub partition: Partition,
    /// The first offset to read.
    pub from: NextOffset,
    /// Whether its topic is another one than the lake has read: offsets begin anew.
    pub anew: bool,
}

/// Where to start each available partition.
///
/// `recovered` is `None` until the lake's first data commit: only then `from` counts (with `group` for
/// [`From::Group`]). With `accept_loss`, what would be [`SourceError::Lost`] starts at the nearest offset there is, if
/// there is one that does not go back.
pub fn start_positions(
    available: &[Available],
    recovered: Option<Recovered<'_>>,
    from: From,
    group: &[(Partition, NextOffset)],
    accept_loss: bool,
) -> Result<Starts, SourceError> {
    not_beyond(available)?;
    let mut losses = Losses { accept: accept_loss, accepted: Vec::new() };
    if let Some(recovered) = recovered {
        other_topics(available, recovered, &mut losses)?;
        gone(available, recovered, &mut losses)?;
    }
    let partitions = available.iter().map(|a| {
        let anew = recovered.is_some_and(|r| is_other(a, r));
        let from = match recovered {
            Some(_) if anew => a.low,
            Some(recovered) => go_on(a, recovered, &mut losses)?,
            None => begin(a, from, group, &mut losses)?,
        };
        Ok(Beginning { partition: a.partition, from, anew })
    });
    let partitions = partitions.collect::<Result<_, SourceError>>()?;
    Ok(Starts { partitions, accepted: losses.accepted })
}

/// Partitions that are not in `known` yet: they have appeared since, and are read from their first offset.
///
/// Fails if a known topic has another id or a known partition is gone: it was deleted under the run, and only a new
/// start can accept that.
pub fn appeared(available: &[Available], known: Recovered<'_>) -> Result<Vec<(Partition, NextOffset)>, SourceError> {
    not_beyond(available)?;
    let mut losses = Losses { accept: false, accepted: Vec::new() };
    other_topics(available, known, &mut losses)?;
    gone(available, known, &mut losses)?;
    let new = available.iter().filter(|a| position(known.positions, a.partition).is_none());
    Ok(new.map(|a| (a.partition, a.low)).collect())
}

/// More partitions than can be told apart are refused before any of them is read.
fn not_beyond(available: &[Available]) -> Result<(), SourceError> {
    let beyond = available.iter().map(|a| a.partition).find(|p| p.index > Partition::MAX_INDEX);
    beyond.map_or(Ok(()), |partition| {
        let (topic, index) = (partition.topic.name(), partition.index);
        Err(SourceError::Mistaken(format!(
            "partition {index} of the {topic} topic is beyond {}: use a topic with fewer partitions",
            Partition::MAX_INDEX
        )))
    })
}

/// What is lost: an error, or accepted.
struct Losses {
    accept: bool,
    accepted: Vec<String>,
}

impl Losses {
    /// Takes a loss, and what the flag does about it.
    fn take(&mut self, what: &str, then: &str) -> Result<(), SourceError> {
        if !self.accept {
            return Err(SourceError::Lost(format!("{what}; {ACCEPT_FLAG} {then}")));
        }
        self.accepted.push(format!("{what}; {ACCEPT_FLAG} {then}"));
        Ok(())
    }
}

fn position(positions: &[(Partition, NextOffset)], partition: Partition) -> Option<NextOffset> {
    positions.iter().find(|(p, _)| *p == partition).map(|(_, next)| *next)
}

/// The same name with another id is another log.
fn is_other(available: &Available, recovered: Recovered<'_>) -> bool {
    let known = recovered.topics.get(&available.partition.topic);
    known.is_some_and(|known| is_another_topic(&known.id, &available.topic_id))
}

/// The topics that were deleted and made anew, once each.
fn other_topics(available: &[Available], recovered: Recovered<'_>, losses: &mut Losses) -> Result<(), SourceError> {
    let others = available.iter().filter(|a| is_other(a, recovered));
    let others: BTreeMap<Topic, &Available> = others.map(|a| (a.partition.topic, a)).collect();
    for (topic, other) in others {
        let known = &recovered.topics[&topic];
        let what = format!(
            "topic `{}` was deleted and made anew (id {}, the lake read {}): what the lake had not read of it is lost",
            known.name, other.topic_id, known.id
        );
        let then = "reads the new one from its first offset; an offset of it then names two records of the lake, told \
                    apart by their seq";
        losses.take(&what, then)?;
    }
    Ok(())
}

/// The partitions that are no more, of topics that are still the same.
fn gone(available: &[Available], recovered: Recovered<'_>, losses: &mut Losses) -> Result<(), SourceError> {
    for (partition, next) in recovered.positions {
        let there = available.iter().any(|a| a.partition == *partition);
        if there || available.iter().any(|a| a.partition.topic == partition.topic && is_other(a, recovered)) {
            continue;
        }
        let shown = show(*partition, Some(recovered));
        let what = format!("{shown} is gone, the lake read it up to offset {}: what it had not read is lost", next.0);
        losses.take(&what, "goes on without it")?;
    }
    Ok(())
}

fn go_on(a: &Available, recovered: Recovered<'_>, losses: &mut Losses) -> Result<NextOffset, SourceError> {
    let Some(next) = position(recovered.positions, a.partition) else { return Ok(a.low) };
    let shown = show(a.partition, Some(recovered));
    if next > a.high {
        // Going on at the end would give offsets that the lake holds to other records: no flag can accept that.
        return Err(SourceError::Lost(format!(
            "{shown}: the log ends at offset {}, the lake has read up to {}: it was truncated; use another lake",
            a.high.0, next.0
        )));
    }
    not_before(a, next, &shown, losses)
}

fn begin(
    a: &Available,
    from: From,
    group: &[(Partition, NextOffset)],
    losses: &mut Losses,
) -> Result<NextOffset, SourceError> {
    let next = match from {
        From::Earliest => return Ok(a.low),
        From::Latest => return Ok(a.high),
        From::Group => position(group, a.partition).unwrap_or(a.low),
    };
    let shown = show(a.partition, None);
    if next > a.high {
        let (high, next) = (a.high.0, next.0);
        let what = format!("{shown}: the log ends at offset {high}, the group stands at {next}: it was made anew");
        losses.take(&what, &format!("goes on at {high}"))?;
        return Ok(a.high);
    }
    not_before(a, next, &shown, losses)
}

fn not_before(a: &Available, next: NextOffset, shown: &str, losses: &mut Losses) -> Result<NextOffset, SourceError> {
    if next < a.low {
        let (low, lost) = (a.low.0, a.low.0 - next.0);
        let next = next.0;
        let what = format!(
            "{shown}: up to {lost} records are lost: the log starts at offset {low}, the next to read is {next}"
        );
        losses.take(&what, &format!("goes on at {low}"))?;
    }
    Ok(next.max(a.low))
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

    const GPS0: Partition = Partition { topic: Topic::GPS, index: 0 };
    const GPS1: Partition = Partition { topic: Topic::GPS, index: 1 };
    const GPS2: Partition = Partition { topic: Topic::GPS, index: 2 };

    fn available(partition: Partition, id: &str, low: i64, high: i64) -> Available {
        Available { partition, topic_id: id.into(), low: NextOffset(low), high: NextOffset(high) }
    }

    fn topics(id: &str) -> BTreeMap<Topic, Known> {
        BTreeMap::from([(Topic::GPS, Known { name: "gps_data".into(), id: id.into() })])
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
            Ok(starts) => {
                assert!(accept || starts.accepted.is_empty(), "{starts:?}");
                Ok(starts.partitions.into_iter().map(|b| b.from.0).collect())
            }
            Err(SourceError::Lost(text)) => Err(text),
            Err(other) => panic!("not Lost: {other}"),
        }
    }

    #[test]
    fn a_partition_beyond_16_bits_is_refused() {
        let at = |index| available(Partition { topic: Topic::GPS, index }, "a", 0, 1);
        assert!(start_positions(&[at(Partition::MAX_INDEX)], None, From::Earliest, &[], false).is_ok());
        let beyond = [at(Partition::MAX_INDEX + 1)];
        let refused = start_positions(&beyond, None, From::Earliest, &[], false).unwrap_err();
        assert!(refused.to_string().contains("beyond 65535"), "{refused}");
        let known = Recovered { positions: &[], topics: &topics("a") };
        assert!(appeared(&beyond, known).is_err());
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
        let high = start(&logs, Some(21), "a", From::Latest, true).unwrap_err();
        assert!(high.contains("another lake"), "an offset never goes back in the same topic: {high}");
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
        assert_eq!(
            start(&logs, Some(21), "a", From::Earliest, true).unwrap(),
            [0],
            "the end of the new one is no bound"
        );
    }

    #[test]
    fn what_is_accepted_is_said_once_a_topic_and_begins_anew() {
        let topics = topics("a");
        let positions = [(GPS0, NextOffset(12)), (GPS1, NextOffset(3)), (GPS2, NextOffset(4))];
        let recovered = Some(Recovered { positions: &positions, topics: &topics });
        let anew = [available(GPS0, "b", 1, 20), available(GPS1, "b", 0, 2)];
        let starts = start_positions(&anew, recovered, From::Latest, &[], true).unwrap();
        let began: Vec<_> = starts.partitions.iter().map(|b| (b.from.0, b.anew)).collect();
        assert_eq!(began, [(1, true), (0, true)], "from the first offset, whatever --from says");
        let [said] = &starts.accepted[..] else { panic!("{:?}", starts.accepted) };
        assert!(said.contains("made anew") && said.contains("seq") && said.contains(ACCEPT_FLAG), "{said}");

        let same = [available(GPS0, "a", 15, 20), available(GPS1, "a", 0, 3)];
        let starts = start_positions(&same, recovered, From::Latest, &[], true).unwrap();
        let began: Vec<_> = starts.partitions.iter().map(|b| (b.from.0, b.anew)).collect();
        assert_eq!((began, starts.accepted.len()), (vec![(15, false), (3, false)], 2), "a gap and a partition gone");
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
