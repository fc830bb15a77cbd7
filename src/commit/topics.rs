//! Which topics a lake has read: their names and identities, told by discovery, recorded by every commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use citystream_dataflows::bindings::Topic;

use crate::lake::commit::TopicName;
use crate::source::{Available, SourceError};

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
