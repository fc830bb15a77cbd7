//! Alerts of absence: a vehicle, or a topic, that is not heard of. They go by the clock, as where nothing comes no horizon moves:
//! they are told at least once, are in no commit, and begin anew with each run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use citystream_live::rows::View;
use citystream_wire::Topic;
use serde_json::{Value, json};

use super::definition::{Refused, about, refuse};
use crate::lake::history::views::Views;
use crate::units;

/// The ready ones, and how long each may be silent if nothing else is said.
pub(super) const READY: [(&str, &str); 2] = [("vehicle-silent", "10m"), ("topic-silent", "5m")];
const FIELDS: [&str; 4] = ["ready", "view", "topic", "silent_for"];
/// What has been silent for so long is not waited for any more.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// Who is to be heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Each vehicle of a view.
    View(String),
    /// A topic, of which a commit has records.
    Topic(Topic),
}

/// An alert of absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its name.
    pub name: String,
    /// Who is to be heard of.
    pub of: Heard,
    /// How often.
    pub within: Duration,
}

impl Silence {
    /// Reads one; none if it is no alert of absence.
    pub(super) fn read(name: &str, value: &Value, views: &Views) -> Result<Option<Silence>, Refused> {
        let ready = value.get("ready").and_then(Value::as_str);
        let Some((ready, within)) = READY.into_iter().find(|(known, _)| ready == Some(*known)) else { return Ok(None) };
        let fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
        if let Some(other) = fields.into_iter().find(|field| !FIELDS.contains(&field.as_str())) {
            return refuse(other, format!("is no field of {ready}: {}", FIELDS.join(", ")));
        }
        let within = match value.get("silent_for").map_or(Ok(within), |it| it.as_str().ok_or(())).map(units::time) {
            Ok(Ok(time)) if time >= Duration::from_secs(1) => time,
            _ => return refuse("silent_for", "expected a time from 1s on, such as 10m"),
        };
        let of = if ready == "topic-silent" { topic(value)? } else { view(value, views)? };
        Ok(Some(Silence { name: name.to_owned(), of, within }))
    }
}

fn topic(value: &Value) -> Result<Heard, Refused> {
    let names: Vec<&str> = Topic::all().map(Topic::name).collect();
    let topic = Topic::all().find(|topic| value.get("topic").and_then(Value::as_str) == Some(topic.name()));
    topic.map_or_else(|| refuse("topic", format!("expected one of {}", names.join(", "))), |it| Ok(Heard::Topic(it)))
}

fn view(value: &Value, views: &Views) -> Result<Heard, Refused> {
    let name = value.get("view").map_or(Some("vehicles"), Value::as_str).unwrap_or_default();
    match about(name, views)? {
        View::Vehicles => Ok(Heard::View(name.to_owned())),
        _ => refuse("view", format!("`{name}` is no view of vehicles")),
    }
}

/// Who was heard of when.
#[derive(Debug, Default)]
pub struct Silences {
    rules: Vec<Silence>,
    last: BTreeMap<(usize, String), (Instant, bool)>,
    /// Who was silent, and has been heard of.
    back: Vec<(usize, String)>,
}

impl Silences {
    /// Nobody has been heard of yet.
    pub fn new(rules: Vec<Silence>) -> Silences {
        Silences { rules, ..Silences::default() }
    }

    /// The run begins to read: topics are to be heard of from now on.
    pub fn begin(&mut self, now: Instant) {
        let topic = |(n, rule): (usize, &Silence)| match rule.of {
            Heard::Topic(topic) => Some(((n, topic.name().to_owned()), (now, false))),
            Heard::View(_) => None,
        };
        self.last.extend(self.rules.iter().enumerate().filter_map(topic));
    }

    /// Whether there is nobody to be heard of.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Somebody was heard of.
    pub fn heard(&mut self, of: &Heard, key: &str, now: Instant) {
        for (n, _) in self.rules.iter().enumerate().filter(|(_, rule)| rule.of == *of) {
            if let Some((_, true)) = self.last.insert((n, key.to_owned()), (now, false)) {
                self.back.push((n, key.to_owned()));
            }
        }
    }

    /// What is to be told: alert, key, and whether it is raised or cleared.
    pub fn look(&mut self, now: Instant) -> Vec<(String, String, bool)> {
        let mut told: Vec<(usize, String, bool)> = self.back.drain(..).map(|(n, key)| (n, key, false)).collect();
        for ((n, key), (last, is_raised)) in &mut self.last {
            if !*is_raised && now.duration_since(*last) >= self.rules[*n].within {
                *is_raised = true;
                told.push((*n, key.clone(), true));
            }
        }
        let rules = &self.rules;
        self.last.retain(|(n, _), (last, _)| {
            matches!(rules[*n].of, Heard::Topic(_)) || now.duration_since(*last) < FORGOTTEN.max(2 * rules[*n].within)
        });
        told.into_iter().map(|(n, key, is_raised)| (rules[n].name.clone(), key, is_raised)).collect()
    }

    /// Who is silent: alert, view, key; a topic is in no view.
    pub fn silent(&self) -> Vec<Value> {
        let silent = self.last.iter().filter(|(_, (_, is_raised))| *is_raised);
        let shown = |(n, key): &(usize, String)| {
            let rule = &self.rules[*n];
            let view = if let Heard::View(view) = &rule.of { Some(view) } else { None };
            json!({ "alert": rule.name, "view": view, "key": key })
        };
        silent.map(|(about, _)| shown(about)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(value: Value) -> Result<Option<Silence>, Refused> {
        let views = [("slow".to_owned(), json!({ "kind": "cells", "ratio_below": 0.5 }))].into();
        Silence::read("quiet", &value, &views)
    }

    #[test]
    fn who_is_silent_is_told_once_and_who_is_back_once() {
        let topic = read(json!({ "ready": "topic-silent", "topic": "gps", "silent_for": "1m" })).unwrap().unwrap();
        let vehicle = read(json!({ "ready": "vehicle-silent" })).unwrap().unwrap();
        let (begin, minute) = (Instant::now(), Duration::from_secs(60));
        let mut silences = Silences::new(vec![topic, vehicle]);
        silences.begin(begin);
        silences.heard(&Heard::View("vehicles".to_owned()), "bus", begin);
        assert!(silences.look(begin + minute / 2).is_empty());
        let of = |name: &str, key: &str, is_raised| (name.to_owned(), key.to_owned(), is_raised);
        assert_eq!(silences.look(begin + minute), [of("quiet", "gps", true)]);
        assert_eq!(silences.look(begin + 10 * minute), [of("quiet", "bus", true)]);
        assert!(silences.look(begin + 11 * minute).is_empty() && silences.silent().len() == 2);
        silences.heard(&Heard::View("vehicles".to_owned()), "bus", begin + 12 * minute);
        assert_eq!(silences.look(begin + 12 * minute), [of("quiet", "bus", false)]);
        silences.heard(&Heard::View("vehicles".to_owned()), "bus", begin + 13 * minute);
        assert!(silences.look(begin + 22 * minute).is_empty());
        silences.look(begin + 23 * minute);
        silences.look(begin + 40 * 60 * minute);
        assert_eq!(silences.last.len(), 1, "who is gone for a day is forgotten");
    }

    #[test]
    fn each_refusal_names_the_field_and_the_reason() {
        assert_eq!(read(json!({ "ready": "overspeed" })), Ok(None));
        for (value, expected) in [
            (json!({ "ready": "topic-silent" }), "topic: expected one of"),
            (json!({ "ready": "vehicle-silent", "view": "slow" }), "view: `slow` is no view of vehicles"),
            (json!({ "ready": "vehicle-silent", "silent_for": "0s" }), "silent_for: expected a time"),
            (json!({ "ready": "vehicle-silent", "for": "2m" }), "for: is no field of vehicle-silent"),
        ] {
            let error = read(value).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
