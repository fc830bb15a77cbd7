//! Which topics a lake has read: their names and identities, told by discovery, recorded by every commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use citystream_wire::{PerTopic, Topic};

use crate::lake::history::commit::TopicName;
use crate::source::Available;
use crate::source::assignment::Known;

/// The names and identities of the topics read so far, shared by the committer and discovery.
#[derive(Clone, Debug)]
pub struct Topics {
    names: PerTopic<String>,
    known: Arc<Mutex<BTreeMap<Topic, TopicName>>>,
}

impl Topics {
    /// What the lake knows of the topics called `names`.
    pub fn new(names: PerTopic<String>, known: BTreeMap<Topic, TopicName>) -> Self {
        Topics { names, known: Arc::new(Mutex::new(known)) }
    }

    /// All topics with a partition.
    pub fn names(&self) -> BTreeMap<Topic, TopicName> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, for a decision about what to read.
    pub fn known(&self) -> BTreeMap<Topic, Known> {
        self.names().into_iter().map(|(topic, TopicName { name, id })| (topic, Known { name, id })).collect()
    }

    /// Takes up what a catalog says. That these are the topics to read was decided in
    /// [`assignment`](crate::source::assignment).
    pub fn learn(&self, available: &[Available]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for Available { partition, topic_id, .. } in available {
            let held = known.entry(partition.topic).or_default();
            held.name.clone_from(&self.names[partition.topic]);
            if !topic_id.is_empty() {
                held.id.clone_from(topic_id);
            }
        }
    }
}
