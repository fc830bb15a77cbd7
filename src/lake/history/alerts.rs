//! Alerts in the history: what was decided at the seal of a commit is in the commit, so that after a crash the same is told again,
//! and never something else.

use std::collections::BTreeMap;

use citystream_dataflows::time::Micros;
use serde::{Deserialize, Serialize};

/// What has become of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its condition holds, not yet for as long as it has to. Nobody is told.
    Pending,
    /// It no longer does. Nobody is told.
    Dropped,
    /// It has held for as long as it has to.
    Raised,
    /// It is over.
    Cleared,
}

/// One step of one alert: of each alert and key there is one at most in a commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The alert.
    pub alert: String,
    /// The view that it is about.
    pub view: String,
    /// The key of the row there.
    pub key: String,
    /// What has become of it.
    pub phase: Phase,
    /// The horizon when its condition began to hold.
    pub since: Micros,
    /// The horizon of the commit.
    pub at: Micros,
    /// What was measured.
    pub value: Option<f64>,
    /// Why it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Event {
    /// What names the alert of a key.
    pub fn name(&self) -> (String, String) {
        (self.alert.clone(), self.key.clone())
    }

    /// Whether somebody is to be told.
    pub fn is_told(&self) -> bool {
        matches!(self.phase, Phase::Raised | Phase::Cleared)
    }
}

/// So many of those that are over are remembered.
const RECENT: usize = 50;

/// What all events of a history add up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alerts {
    /// Those that are raised, or pending, by alert and key, with their last event.
    open: BTreeMap<String, BTreeMap<String, Event>>,
    /// Those that were cleared last, the last one at the end.
    recent: Vec<Event>,
    /// What somebody is to be told, and was not yet when the last commit was made, each with its commit.
    untold: Vec<(u64, Event)>,
}

impl Alerts {
    /// Whether there never was one.
    pub fn is_empty(&self) -> bool {
        *self == Alerts::default()
    }

    /// All that are raised or pending.
    pub fn open(&self) -> impl Iterator<Item = &Event> {
        self.open.values().flat_map(BTreeMap::values)
    }

    /// Those that were cleared last.
    pub fn recent(&self) -> &[Event] {
        &self.recent
    }

    /// What is to be told.
    pub fn untold(&self) -> &[(u64, Event)] {
        &self.untold
    }

    /// After the events of a commit, made when all events up to commit `told` had been told.
    pub fn apply(&mut self, seq: u64, events: &[Event], told: Option<u64>) {
        self.untold.retain(|(of, _)| told.is_none_or(|told| *of > told));
        for event in events {
            let (alert, key) = event.name();
            match event.phase {
                Phase::Pending | Phase::Raised => drop(self.open.entry(alert).or_default().insert(key, event.clone())),
                Phase::Dropped | Phase::Cleared => {
                    if let Some(keys) = self.open.get_mut(&alert) {
                        keys.remove(&key);
                        if keys.is_empty() {
                            self.open.remove(&alert);
                        }
                    }
                }
            }
            if event.phase == Phase::Cleared {
                self.recent.push(event.clone());
            }
            if event.is_told() {
                self.untold.push((seq, event.clone()));
            }
        }
        let over = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(key: &str, phase: Phase) -> Event {
        let (alert, view, key) = ("jam".to_owned(), "clusters".to_owned(), key.to_owned());
        Event { alert, view, key, phase, since: 0, at: 1, value: None, why: None }
    }

    #[test]
    fn what_was_not_told_stays_until_a_commit_says_that_it_was() {
        let mut alerts = Alerts::default();
        alerts.apply(1, &[event("a", Phase::Pending), event("b", Phase::Raised)], None);
        assert_eq!((alerts.open().count(), alerts.untold().len()), (2, 1));
        alerts.apply(2, &[event("a", Phase::Raised), event("b", Phase::Cleared)], None);
        let untold: Vec<(u64, Phase)> = alerts.untold().iter().map(|(seq, event)| (*seq, event.phase)).collect();
        assert_eq!(untold, [(1, Phase::Raised), (2, Phase::Raised), (2, Phase::Cleared)]);
        alerts.apply(3, &[event("c", Phase::Pending)], Some(1));
        assert_eq!((alerts.untold().len(), alerts.open().count(), alerts.recent().len()), (2, 2, 1));
        alerts.apply(4, &[event("c", Phase::Dropped), event("a", Phase::Cleared)], Some(2));
        assert_eq!((alerts.untold().len(), alerts.open().count(), alerts.recent().len()), (1, 0, 2));
    }
}
