//! Which partitions a run reads: those at its start, and those that appear while it runs.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::{NextOffset, Partition, Position, Standing};
use citystream_dataflows::time::ticks::Added;

use crate::error::RunError;
use crate::process::Fatal;
use crate::sink::commit::Topics;
use crate::source::assignment::{Recovered, appeared};
use crate::source::{Available, Catalog, SourceError};

/// What a run reads, compared with what there is.
#[derive(Debug)]
pub struct Watch {
    topics: Topics,
    /// The partitions read, and where they began.
    read: Vec<(Partition, NextOffset)>,
    /// Partitions of the lake that were gone at the start, which was accepted: not read before the next start.
    given_up: Vec<Partition>,
}

impl Watch {
    /// Reads `added`, of a lake that knows the partitions `recorded`.
    pub fn new(topics: Topics, added: &[Added], recorded: &[Position]) -> Self {
        let read: Vec<_> = added.iter().map(|a| (a.position.partition, a.from)).collect();
        let is_read = |partition| read.iter().any(|(p, _)| *p == partition);
        let given_up = recorded.iter().map(|p| p.partition).filter(|p| !is_read(*p)).collect();
        Watch { topics, read, given_up }
    }

    /// The partitions that have appeared, to be read from their first offset.
    ///
    /// # Errors
    /// Lost, if a topic is another one now or a partition is gone.
    fn look(&mut self, mut available: Vec<Available>) -> Result<Vec<Added>, SourceError> {
        available.retain(|a| !self.given_up.contains(&a.partition));
        let new = appeared(&available, Recovered { positions: &self.read, topics: &self.topics.known() })?;
        self.topics.learn(&available);
        self.read.extend(&new);
        Ok(new.into_iter().map(from_the_first).collect())
    }
}

/// A partition that appears later is read from its first offset.
fn from_the_first((partition, low): (Partition, NextOffset)) -> Added {
    Added { position: Position { partition, next: low, log_clock: None, standing: Standing::Behind }, from: low }
}

/// How long a run that has nothing to read waits, and for what.
#[derive(Clone, Debug)]
pub struct GiveUp {
    /// How long.
    pub after: Duration,
    /// The topics.
    pub topics: String,
}

/// Looks for new partitions until the clock has gone.
pub async fn discover(
    fatal: Fatal,
    catalog: Arc<dyn Catalog>,
    mut watch: Watch,
    (interval, give_up): (Duration, Option<GiveUp>),
    found: mpsc::Sender<Vec<Added>>,
) {
    let begun = Instant::now();
    // Once is enough, until it works again.
    let mut is_told = false;
    if let Some(GiveUp { after, topics }) = give_up.as_ref().filter(|_| watch.read.is_empty()) {
        tracing::warn!("nothing to read yet: waiting {} s for a partition of {topics}", after.as_secs_f64());
    }
    loop {
        let give_up = give_up.as_ref().filter(|_| watch.read.is_empty());
        let left = give_up.map_or(Duration::MAX, |give_up| give_up.after.saturating_sub(begun.elapsed()));
        if let Some(GiveUp { after, topics }) = give_up.filter(|_| left.is_zero()) {
            let waited = after.as_secs_f64();
            return fatal.raise(RunError::TimedOut(format!(
                "no partition of {topics} appeared within {waited} s (--connect-timeout), so nothing can be drained"
            )));
        }
        tokio::time::sleep(interval.min(left)).await;
        let asked = Arc::clone(&catalog);
        match tokio::task::spawn_blocking(move || asked.discover()).await {
            Ok(Ok(available)) => match watch.look(available).map(|added| found.send(added)) {
                Ok(Ok(())) => is_told = false,
                Ok(Err(_)) => return,
                Err(error) => return fatal.raise(error),
            },
            Ok(Err(error)) if is_told => tracing::debug!("looking for new partitions: {error}"),
            Ok(Err(error)) => {
                is_told = true;
                tracing::warn!("looking for new partitions: {error}");
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use citystream_dataflows::time::bindings::Topic;
    use citystream_wire::PerTopic;

    use super::*;
    use crate::lake::history::commit::TopicName;

    fn partition(index: i32) -> Partition {
        Partition { topic: Topic::GPS, index }
    }

    fn available(index: i32, id: &str) -> Available {
        Available { partition: partition(index), topic_id: id.into(), low: NextOffset(7), high: NextOffset(9) }
    }

    fn watch() -> Watch {
        let names = PerTopic::new(|topic| topic.name().to_owned());
        let known = BTreeMap::from([(Topic::GPS, TopicName { name: "gps".into(), id: "a".into() })]);
        let added = [from_the_first((partition(0), NextOffset(0)))];
        let recorded = [partition(0), partition(2)].map(|p| from_the_first((p, NextOffset(5))).position);
        Watch::new(Topics::new(names, known), &added, &recorded)
    }

    #[test]
    fn what_appears_is_told_once_and_what_was_given_up_stays_so() {
        let mut watch = watch();
        let there: Vec<_> = (0..3).map(|index| available(index, "a")).collect();
        let added = watch.look(there.clone()).unwrap();
        assert_eq!(added, [from_the_first((partition(1), NextOffset(7)))]);
        assert_eq!(watch.look(there).unwrap(), []);
    }

    #[test]
    fn a_partition_that_goes_and_a_topic_made_anew_end_the_run() {
        let mut watch = watch();
        watch.look(vec![available(0, "a"), available(1, "a")]).unwrap();
        let gone = watch.look(vec![available(0, "a")]).unwrap_err();
        assert!(matches!(&gone, SourceError::Lost(text) if text.contains("gps/1 is gone")), "{gone}");
        let anew = watch.look(vec![available(0, "b"), available(1, "b")]).unwrap_err();
        assert!(matches!(&anew, SourceError::Lost(text) if text.contains("--accept-loss")), "{anew}");
        assert_eq!(watch.topics.names()[&Topic::GPS].id, "a", "nothing was recorded");
    }
}
