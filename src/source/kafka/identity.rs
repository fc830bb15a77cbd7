//! Whether the topics being read are still the topics that were found.
//!
//! librdkafka goes on silently in a topic that was deleted and made anew under its name, wherever the new one holds
//! the offset. So their ids are compared here; what has been found lost stays lost.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::{Topic, is_another_topic};
use rdkafka::error::RDKafkaErrorCode;

use super::super::SourceError;
use super::super::assignment::ACCEPT_FLAG;
use super::topic_id::Described;

/// How long a topic must be unknown before it is gone: a broker that has just started may not know it yet.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// The ids that were found first, and what was found wrong since.
#[derive(Default)]
pub(super) struct Identities {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ids: BTreeMap<Topic, String>,
    missing_since: BTreeMap<Topic, Instant>,
    lost: Option<String>,
}

impl Identities {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the id of a topic unless one is known. Brokers older than ids have an empty one: nothing is noted.
    pub(super) fn first(&self, topic: Topic, id: &str) {
        if !id.is_empty() {
            self.state().ids.entry(topic).or_insert_with(|| id.to_string());
        }
    }

    /// Compares a topic as described at `now` with what is known.
    pub(super) fn compare(&self, topic: Topic, described: &Described, now: Instant) {
        let state = &mut *self.state();
        if described.error == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
            let since = *state.missing_since.entry(topic).or_insert(now);
            if now.duration_since(since) >= GONE_AFTER {
                state.lost.get_or_insert(format!(
                    "kafka: topic `{}` is gone: what was not read of it is lost; where it was deleted, make it anew and start \
                     with {ACCEPT_FLAG}",
                    described.name
                ));
            }
            return;
        }
        if described.error.is_some() {
            return;
        }
        state.missing_since.remove(&topic);
        let known = state.ids.entry(topic).or_default();
        if known.is_empty() {
            known.clone_from(&described.id);
        }
        if is_another_topic(known, &described.id) {
            state.lost.get_or_insert(format!(
                "kafka: topic `{}` was deleted and made anew (id {}, read until now {known}): what was not read of it is lost; \
                 a start with {ACCEPT_FLAG} reads the new one from its first offset",
                described.name, described.id
            ));
        }
    }

    /// Fails for ever once a topic has been found lost.
    pub(super) fn check(&self) -> Result<(), SourceError> {
        self.state().lost.clone().map_or(Ok(()), |text| Err(SourceError::Lost(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(id: &str, error: Option<RDKafkaErrorCode>) -> Described {
        Described { name: "gps".into(), id: id.into(), partitions: Vec::new(), error }
    }

    #[test]
    fn another_id_is_lost_at_once_and_for_ever() {
        let (identities, now) = (Identities::default(), Instant::now());
        identities.compare(Topic::GPS, &described("a", None), now);
        identities.compare(Topic::GPS, &described("", None), now);
        assert!(identities.check().is_ok());
        identities.compare(Topic::GPS, &described("b", None), now);
        assert!(identities.check().is_err_and(|e| e.to_string().contains("made anew")));
        identities.compare(Topic::GPS, &described("a", None), now);
        assert!(identities.check().is_err(), "stays lost");
    }

    #[test]
    fn unknown_for_a_moment_is_not_gone() {
        let (identities, now) = (Identities::default(), Instant::now());
        let gone = described("", Some(RDKafkaErrorCode::UnknownTopicOrPartition));
        identities.first(Topic::GPS, "a");
        identities.compare(Topic::GPS, &gone, now);
        identities.compare(Topic::GPS, &gone, now + Duration::from_millis(4900));
        identities.compare(Topic::GPS, &described("a", None), now + Duration::from_secs(5));
        identities.compare(Topic::GPS, &gone, now + Duration::from_secs(6));
        assert!(identities.check().is_ok());
        identities.compare(Topic::GPS, &described("", Some(RDKafkaErrorCode::LeaderNotAvailable)), now);
        identities.compare(Topic::GPS, &gone, now + Duration::from_secs(11));
        assert!(identities.check().is_err_and(|e| e.to_string().contains("gone")));
    }
}
