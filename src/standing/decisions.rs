//! What becomes of alerts at a seal: a function of the rows that have changed since the last one, of what was decided until then,
//! of the horizon, and of how far it is behind the log. No clock.

use std::collections::BTreeMap;

use citystream_dataflows::time::Micros;
use citystream_live::rows::Row;

use super::rule::Rule;
use crate::lake::history::alerts::{Event, Phase};

/// Alerts that have begun, with those that only may, at one time.
const MOST_OPEN: usize = 10_000;

/// A row that has come, changed, or gone: which rule, the row's key as people see it, and the row.
pub type Touched = (usize, String, Option<Row>);

/// See the module.
#[derive(Debug)]
pub struct Decisions {
    rules: Vec<Rule>,
    open: BTreeMap<(usize, String), Open>,
    /// Those that no rule is about any more: over at the next seal.
    let_go: Vec<Event>,
    /// By how much the log is ahead of the horizon, at least.
    log_ahead: Micros,
}

/// An alert that has begun.
#[derive(Clone, Copy, Debug)]
struct Open {
    is_raised: bool,
    /// The horizon when its condition began to hold.
    since: Micros,
    /// And when it was raised.
    at: Micros,
    value: Option<i64>,
}

impl Decisions {
    /// Goes on from the alerts that a history leaves open. One that no rule is about any more is over. The log is ahead of the
    /// horizon by `log_ahead` at least.
    pub fn new<'a>(rules: Vec<Rule>, log_ahead: Micros, open: impl Iterator<Item = &'a Event>) -> Decisions {
        let (mut found, mut let_go) = (BTreeMap::new(), Vec::new());
        for event in open {
            let (is_raised, since, at) = (event.phase == Phase::Raised, event.since, event.at);
            match rules.iter().position(|rule| rule.name == event.alert) {
                Some(rule) => drop(found.insert((rule, event.key.clone()), Open { is_raised, since, at, value: None })),
                None => let_go.push(event.clone()),
            }
        }
        Decisions { rules, open: found, let_go, log_ahead }
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What has begun, by rule and key.
    pub fn open(&self) -> impl Iterator<Item = &(usize, String)> {
        self.open.keys()
    }

    /// Whether a rule has to look at a row: it begins something, or may end something.
    pub fn concerns(&self, rule: usize, row: Option<&Row>) -> bool {
        let value = row.and_then(|row| self.rules[rule].value(row));
        self.rules[rule].begins(value)
            || self.open.range((rule, String::new())..).next().is_some_and(|it| it.0.0 == rule)
    }

    /// Decides.
    pub fn seal(&mut self, horizon: Micros, touched: Vec<Touched>) -> Vec<Event> {
        let mut events: Vec<Event> = self.let_go.drain(..).map(|event| without_rule(event, horizon)).collect();
        for (rule, key, row) in touched {
            events.extend(self.judge(horizon, rule, key, row));
        }
        // What nobody has touched still holds.
        let ripe = |((rule, _), open): &(&(usize, String), &mut Open)| {
            !open.is_raised && horizon.saturating_sub(open.since) >= self.rules[*rule].lasting
        };
        for ((rule, key), open) in self.open.iter_mut().filter(ripe) {
            (open.is_raised, open.at) = (true, horizon);
            let event = event(&self.rules[*rule], key, open, Phase::Raised, horizon);
            // One step of each alert in a commit.
            events.retain(|it| it.name() != event.name());
            events.push(event);
        }
        events
    }

    fn judge(&mut self, horizon: Micros, rule: usize, key: String, row: Option<Row>) -> Option<Event> {
        let asked = &self.rules[rule];
        let value = row.as_ref().and_then(|row| asked.value(row));
        let (name, has_room) = ((rule, key), self.open.len() < MOST_OPEN);
        match self.open.get_mut(&name) {
            None if asked.begins(value) && has_room => {
                let open = Open { is_raised: false, since: horizon, at: horizon, value };
                let event = event(asked, &name.1, &open, Phase::Pending, horizon);
                self.open.insert(name, open);
                Some(event)
            }
            None => None,
            Some(open) if asked.is_over(value) => {
                let is_raised = open.is_raised;
                let phase = if is_raised { Phase::Cleared } else { Phase::Dropped };
                let mut event = event(asked, &name.1, &Open { value, ..*open }, phase, horizon);
                event.why = is_raised.then(|| why(row.as_ref(), open.at.saturating_add(self.log_ahead)).to_owned());
                self.open.remove(&name);
                Some(event)
            }
            Some(open) => {
                open.value = value;
                None
            }
        }
    }
}

/// Why an alert is over that was raised when the log was at this time.
///
/// A response that happened before that was not known then, as its record was late: had it come in time, nothing would have been
/// raised. What vehicles, cells and clusters are changes with time: it was so, and is over.
fn why(row: Option<&Row>, raised: Micros) -> &'static str {
    match row {
        None => "the row is gone",
        Some(Row::Incident(row)) if row.responded.is_some_and(|time| time <= raised) => {
            "a correction: it should not have been raised"
        }
        Some(_) => "it is over",
    }
}

/// The end of an alert that no rule is about any more.
fn without_rule(event: Event, horizon: Micros) -> Event {
    let is_raised = event.phase == Phase::Raised;
    let phase = if is_raised { Phase::Cleared } else { Phase::Dropped };
    let why = is_raised.then(|| "the settings have no such alert any more".to_owned());
    Event { phase, at: horizon, value: None, why, ..event }
}

fn event(rule: &Rule, key: &str, open: &Open, phase: Phase, at: Micros) -> Event {
    let (alert, view, value) = (rule.name.clone(), rule.view.clone(), rule.shown(open.value));
    Event { alert, view, key: key.to_owned(), phase, since: open.since, at, value, why: None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use citystream_dataflows::operators::incidents::LifeId;
    use citystream_dataflows::records::Stamp;
    use citystream_live::rows::{Cluster, Incident, Place};
    use serde_json::json;

    use super::*;
    use crate::columns::text_hash::testing::text;
    use crate::lake::history::alerts::Alerts;
    use crate::standing::rule::rules;

    const MINUTE: Micros = 60_000_000;

    fn rule(value: serde_json::Value) -> Vec<Rule> {
        rules(&[("a".to_owned(), value)].into(), &Default::default()).unwrap().rules
    }

    fn jam(cells: u32) -> Option<Row> {
        Some(Row::Cluster(Cluster { id: 1, cells, since: 0, head: 1, tail: 1 }))
    }

    fn phases(events: &[Event]) -> Vec<Phase> {
        events.iter().map(|event| event.phase).collect()
    }

    #[test]
    fn what_lasts_is_raised_once_and_cleared_once() {
        let rules =
            rule(json!({ "view": "clusters", "measure": "cells", "at_least": 3, "until_below": 2, "for": "5m" }));
        let mut decisions = Decisions::new(rules, 0, std::iter::empty());
        let mut seal = |minute: i64, row: Option<Option<Row>>| {
            phases(&decisions.seal(minute * MINUTE, row.map(|row| (0, "1".to_owned(), row)).into_iter().collect()))
        };
        assert_eq!(seal(0, Some(jam(2))), []);
        assert_eq!(seal(1, Some(jam(3))), [Phase::Pending]);
        assert_eq!(seal(2, Some(jam(2))), [], "in the gap it goes on");
        assert_eq!(seal(3, Some(jam(1))), [Phase::Dropped]);
        assert_eq!(seal(4, Some(jam(5))), [Phase::Pending]);
        assert_eq!(seal(8, None), []);
        assert_eq!(seal(9, None), [Phase::Raised], "it has held for five minutes");
        assert_eq!(seal(10, Some(jam(9))), []);
        assert_eq!(seal(11, Some(None)), [Phase::Cleared]);
    }

    #[test]
    fn what_need_not_last_is_raised_at_once() {
        let mut decisions = Decisions::new(rule(json!({ "view": "clusters" })), 0, std::iter::empty());
        let events = decisions.seal(7, vec![(0, "1".to_owned(), jam(1))]);
        assert_eq!((phases(&events), events[0].value), (vec![Phase::Raised], None), "one step in a commit");
        let events = decisions.seal(8, vec![(0, "1".to_owned(), None)]);
        assert_eq!(events[0].why.as_deref(), Some("the row is gone"));
    }

    #[test]
    fn who_goes_on_decides_as_who_was_there_before() {
        let rules = || rule(json!({ "view": "clusters", "measure": "cells", "at_least": 3, "for": "5m" }));
        for crash in 0..8 {
            let (mut decisions, mut alerts) = (Decisions::new(rules(), 0, std::iter::empty()), Alerts::default());
            let mut told = Vec::new();
            for minute in 0..8 {
                if minute == crash {
                    decisions = Decisions::new(rules(), 0, alerts.open());
                }
                let row = match minute {
                    1 => Some(jam(4)),
                    7 => Some(None),
                    _ => None,
                };
                let events =
                    decisions.seal(minute * MINUTE, row.map(|row| (0, "1".to_owned(), row)).into_iter().collect());
                alerts.apply(minute as u64, &events, None);
                told.extend(events.into_iter().filter(Event::is_told).map(|it| (minute, it.phase, it.since)));
            }
            assert_eq!(told, [(6, Phase::Raised, MINUTE), (7, Phase::Cleared, MINUTE)], "a crash at {crash}");
        }
    }

    #[test]
    fn an_alert_without_a_rule_is_over_and_says_so() {
        let (mut alerts, jams) = (Alerts::default(), |rules| Decisions::new(rules, 0, std::iter::empty()));
        let mut decisions = jams(rule(json!({ "view": "clusters" })));
        alerts.apply(1, &decisions.seal(MINUTE, vec![(0, "1".to_owned(), jam(1))]), None);
        let mut decisions = Decisions::new(Vec::new(), 0, alerts.open());
        let events = decisions.seal(2 * MINUTE, Vec::new());
        assert_eq!(phases(&events), [Phase::Cleared]);
        assert!(events[0].why.as_deref().unwrap().contains("no such alert"));
        alerts.apply(2, &events, None);
        assert_eq!(alerts.open().count(), 0);
        assert_eq!(decisions.seal(3 * MINUTE, Vec::new()), [], "once");
    }

    #[test]
    fn a_correction_clears_what_it_unmakes_and_says_so() {
        let rules = rule(json!({ "ready": "no-response" }));
        let incident = |responded| {
            let life = LifeId { incident: text(b"i"), first: Stamp { time: 0, partition: 0, offset: 0 } };
            let row =
                Incident { life, at: Place::default(), kind: None, severity: None, responded, last: 0, statuses: 1 };
            Some(Row::Incident(row))
        };
        // When it is raised the log is at minute 23.
        for (responded, expected) in [(3, "a correction"), (22, "a correction"), (24, "it is over")] {
            let mut decisions = Decisions::new(rules.clone(), 12 * MINUTE, std::iter::empty());
            let mut seal = |minute: i64, row| decisions.seal(minute * MINUTE, vec![(0, "i".to_owned(), row)]);
            assert_eq!(phases(&seal(0, incident(None))), [Phase::Pending]);
            assert_eq!(phases(&seal(11, incident(None))), [Phase::Raised]);
            let events = seal(13, incident(Some(responded * MINUTE)));
            assert!(events[0].phase == Phase::Cleared && events[0].why.as_deref().unwrap().starts_with(expected));
        }
    }
}
