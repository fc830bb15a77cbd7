//! Which partitions a run reads: those at its start, and those that appear while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use citystream_dataflows::bindings::{Position, Topic};
use citystream_dataflows::ticks::Added;

use super::process::Process;
use crate::lake::commit::TopicName;
use crate::source::{Available, Catalog, SourceError};

/// The names and identities of the topics read so far, shared by the committer and discovery.
#[derive(Clone, Debug)]
pub struct Topics {
    names: [String; 5],
    known: Arc<Mutex<BTreeMap<Topic, TopicName>>>,
}

impl Topics {
    /// What the lake knows of the topics called `names`.
    pub fn new(names: [String; 5], known: BTreeMap<Topic, TopicName>) -> Self {
        Topics { names, known: Arc::new(Mutex::new(known)) }
    }

    /// All topics with a partition.
    pub fn names(&self) -> BTreeMap<Topic, TopicName> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes up what a catalog says.
    ///
    /// # Errors
    /// Lost, if a topic is not the one whose records the lake holds.
    pub fn learn(&self, available: &[Available]) -> Result<(), SourceError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for Available { partition, topic_id, .. } in available {
            let name = &self.names[partition.topic as usize];
            let told = TopicName { name: name.clone(), id: topic_id.clone() };
            let held = known.entry(partition.topic).or_insert(told);
            if held.id != *topic_id {
                return Err(SourceError::Lost(format!(
                    "topic {name} is not the one this lake has read (its id is {topic_id}, the lake has {}): it was \
                     deleted and made anew; use another lake for the new topic",
                    held.id
                )));
            }
        }
        Ok(())
    }
}

/// Looks for new partitions until the clock has gone.
pub async fn discover(
    process: Arc<Process>,
    catalog: Arc<dyn Catalog>,
    topics: Topics,
    interval: Duration,
    found: mpsc::Sender<Vec<Added>>,
) {
    loop {
        tokio::time::sleep(interval).await;
        let asked = Arc::clone(&catalog);
        match tokio::task::spawn_blocking(move || asked.discover()).await {
            Ok(Ok(available)) => {
                if let Err(error) = topics.learn(&available) {
                    return process.fatal.raise(error);
                }
                if found.send(available.iter().map(from_the_first).collect()).is_err() {
                    return;
                }
            }
            Ok(Err(error)) => tracing::warn!("looking for new partitions: {error}"),
            Err(_) => return,
        }
    }
}

/// A partition that appears later is read from its first offset.
fn from_the_first(available: &Available) -> Added {
    let Available { partition, low, .. } = *available;
    Added { position: Position { partition, next: low, log_clock: None, drained: false }, from: low }
}
