//! Alerts as they are declared: a condition on the rows of a view, when it is over, and how long it has to hold.

use citystream_dataflows::time::Micros;
use citystream_live::rows::{Row, View};
use serde_json::{Map, Value, json};

use super::definition::{Refused, about, refuse};
use super::silence::{self, Silence};
use crate::lake::history::views::Views;
use crate::spelling;
use crate::units;

/// The ready ones, but for those of absence: what each is if nothing else is said.
type Ready = (&'static str, fn() -> Value);
const READY: [Ready; 4] = [
    ("congestion", || json!({ "view": "clusters", "measure": "cells", "at_least": 3, "for": "15m" })),
    ("overspeed", || json!({ "view": "vehicles", "measure": "speed_kmh", "at_least": 130, "until_below": 120 })),
    ("geofence", || json!({})),
    ("no-response", || json!({ "view": "incidents", "measure": "unanswered", "at_least": 1, "for": "10m" })),
];
const FIELDS: [&str; 8] = ["ready", "view", "measure", "at_least", "until_below", "at_most", "until_above", "for"];
/// What can be measured of the rows of a view.
const MEASURES: [(View, &[&str]); 5] = [
    (View::Vehicles, &["speed_kmh"]),
    (View::Cells, &["ratio", "vehicles"]),
    (View::Incidents, &["unanswered"]),
    (View::Clusters, &["cells"]),
    (View::Worst, &["ratio"]),
];

/// An alert that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The view that it is about.
    pub view: String,
    /// The collection that the view is of.
    pub about: View,
    /// What is measured; of nothing it is that the row is there.
    measure: Option<&'static str>,
    /// In millionths: when it begins, when it is over, and whether from there on upwards.
    raise: i64,
    clear: i64,
    is_upwards: bool,
    /// For how long it has to hold.
    pub lasting: Micros,
}

/// All alerts that are declared.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Those that are decided at seals.
    pub rules: Vec<Rule>,
    /// Those of absence.
    pub silences: Vec<Silence>,
}

/// The alerts of the settings; each is about a view that is always there, or one of those in `views`.
///
/// # Errors
/// The first field that does not fit.
pub fn rules(alerts: &Views, views: &Views) -> Result<Rules, Refused> {
    let Rules { mut rules, mut silences } = Rules::default();
    for (name, value) in alerts {
        let of_alert = |Refused { field, why }| Refused { field: format!("alerts.{name}.{field}"), why };
        match Silence::read(name, value, views).map_err(of_alert)? {
            Some(silence) => silences.push(silence),
            None => rules.push(Rule::read(name, value, views).map_err(of_alert)?),
        }
    }
    Ok(Rules { rules, silences })
}

impl Rule {
    fn read(name: &str, value: &Value, views: &Views) -> Result<Rule, Refused> {
        let Some(given) = value.as_object() else { return refuse("alert", "expected a table") };
        if let Some(other) = given.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            let meant = spelling::nearest(other, FIELDS.into_iter(), 2);
            let meant = meant.map_or_else(|| FIELDS.join(", "), |meant| format!("did you mean `{meant}`?"));
            return refuse(other, format!("is no field of an alert: {meant}"));
        }
        let fields = &with_ready(given)?;
        let text = |field: &str| fields.get(field).and_then(Value::as_str);
        let Some(view) = text("view") else { return refuse("view", "is missing: the view that it is about") };
        let about = about(view, views)?;
        let measures = MEASURES.iter().find(|(of, _)| *of == about).map_or::<&[&str], _>(&[], |(_, known)| known);
        let measure = match fields.get("measure") {
            None => None,
            Some(value) => match measures.iter().find(|known| value.as_str() == Some(known)) {
                Some(known) => Some(*known),
                None => return refuse("measure", format!("{value} is none of {view}: {}", measures.join(", "))),
            },
        };
        let (raise, clear, is_upwards) = bounds(fields, measure.is_some())?;
        let lasting = match fields.get("for") {
            None => 0,
            Some(value) => match value.as_str().map(units::time) {
                Some(Ok(time)) => time.as_micros() as Micros,
                Some(Err(expected)) => return refuse("for", expected),
                None => return refuse("for", "expected a time such as 10m"),
            },
        };
        let (name, view) = (name.to_owned(), view.to_owned());
        Ok(Rule { name, view, about, measure, raise, clear, is_upwards, lasting })
    }

    /// What is measured of a row, in millionths.
    pub fn value(&self, row: &Row) -> Option<i64> {
        let whole = |count: u64| i64::try_from(count).ok()?.checked_mul(1_000_000);
        let share = |thousandths: u32| i64::from(thousandths) * 1000;
        let Some(measure) = self.measure else { return Some(1) };
        match (row, measure) {
            (Row::Vehicle(row), _) => row.speed,
            (Row::Cell(row), "vehicles") => whole(row.crowd.vehicles),
            (Row::Cell(row), _) => row.flow?.ratio().map(share),
            (Row::Incident(row), _) => whole(row.responded.is_none().into()),
            (Row::Cluster(row), _) => whole(row.cells.into()),
            (Row::Worst(row), _) => Some(share(row.ratio)),
        }
    }

    /// The value, as people write it; none of a row that is just there.
    pub fn shown(&self, value: Option<i64>) -> Option<f64> {
        value.filter(|_| self.measure.is_some()).map(|value| value as f64 / 1e6)
    }

    /// Whether an alert begins.
    pub fn begins(&self, value: Option<i64>) -> bool {
        value.is_some_and(|value| if self.is_upwards { value >= self.raise } else { value <= self.raise })
    }

    /// Whether one that has begun is over.
    pub fn is_over(&self, value: Option<i64>) -> bool {
        value.is_none_or(|value| if self.is_upwards { value < self.clear } else { value > self.clear })
    }
}

/// The fields of a ready one, and what is given beside it.
fn with_ready(given: &Map<String, Value>) -> Result<Map<String, Value>, Refused> {
    let Some(ready) = given.get("ready") else { return Ok(given.clone()) };
    let silences = silence::READY.map(|(name, _)| name);
    let names = || READY.map(|(name, _)| name).into_iter().chain(silences).collect::<Vec<_>>().join(", ");
    let Some((name, made)) = READY.iter().find(|(name, _)| ready.as_str() == Some(name)) else {
        return refuse("ready", format!("{ready} is none of {}", names()));
    };
    if *name == "geofence" && !given.contains_key("view") {
        return refuse("view", "is missing: a view of vehicles in an area");
    }
    let mut fields = made().as_object().cloned().unwrap_or_default();
    fields.extend(given.clone());
    Ok(fields)
}

/// When an alert begins, when it is over, and whether it is above that.
fn bounds(fields: &Map<String, Value>, is_measured: bool) -> Result<(i64, i64, bool), Refused> {
    let millionths = |field: &str| match fields.get(field).map(Value::as_f64) {
        None => Ok(None),
        Some(Some(number)) if number.abs() <= 1e9 => Ok(Some((number * 1e6).round() as i64)),
        Some(_) => refuse(field, "expected a number from -1e9 to 1e9"),
    };
    let names = ["at_least", "until_below", "at_most", "until_above"];
    let [at_least, until_below, at_most, until_above] = names.map(millionths);
    let (at_least, until_below, at_most, until_above) = (at_least?, until_below?, at_most?, until_above?);
    match (at_least, at_most) {
        (None, None) if !is_measured && until_below.is_none() && until_above.is_none() => Ok((1, 1, true)),
        _ if !is_measured => refuse("measure", "is missing: what at_least or at_most is about"),
        (Some(_), Some(_)) => refuse("at_most", "an alert has at_least or at_most, not both"),
        (Some(_), None) if until_above.is_some() => refuse("until_above", "goes with at_most"),
        (None, Some(_)) if until_below.is_some() => refuse("until_below", "goes with at_least"),
        (Some(raise), None) => match until_below.unwrap_or(raise) {
            clear if clear <= raise => Ok((raise, clear, true)),
            _ => refuse("until_below", "is above at_least"),
        },
        (None, Some(raise)) => match until_above.unwrap_or(raise) {
            clear if clear >= raise => Ok((raise, clear, false)),
            _ => refuse("until_above", "is below at_most"),
        },
        (None, None) => refuse("at_least", "is missing: at_least or at_most"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(value: Value) -> Result<Rule, Refused> {
        let views = [("here".to_owned(), json!({ "kind": "vehicles", "ids": ["a"] }))].into();
        rules(&[("x".to_owned(), value)].into(), &views).map(|mut all| all.rules.remove(0))
    }

    #[test]
    fn an_alert_begins_and_is_over_with_a_gap_between() {
        let fast = read(json!({ "ready": "overspeed" })).unwrap();
        let of = |kmh: i64| Some(kmh * 1_000_000);
        assert!(fast.begins(of(130)) && !fast.begins(of(129)) && !fast.is_over(of(120)) && fast.is_over(of(119)));
        assert!(!fast.begins(None) && fast.is_over(None));
        let slow = read(json!({ "view": "cells", "measure": "ratio", "at_most": 0.4, "until_above": 0.6 })).unwrap();
        assert!(slow.begins(Some(400_000)) && !slow.begins(Some(400_001)) && !slow.is_over(Some(600_000)));
        let fence = read(json!({ "ready": "geofence", "view": "here", "for": "2m" })).unwrap();
        assert!(fence.begins(Some(1)) && fence.is_over(None) && fence.lasting == 120_000_000);
        for (name, _) in READY {
            assert!(read(json!({ "ready": name, "view": if name == "geofence" { "here" } else { continue } })).is_ok());
        }
    }

    #[test]
    fn each_refusal_names_the_field_and_the_reason() {
        for (value, expected) in [
            (json!({}), "alerts.x.view: is missing"),
            (json!({ "view": "there" }), "alerts.x.view: `there` is no built-in view"),
            (json!({ "view": "here", "mesure": "x" }), "mesure: is no field of an alert: did you mean `measure`?"),
            (json!({ "view": "here", "measure": "cells" }), "measure: \"cells\" is none of here: speed_kmh"),
            (json!({ "view": "here", "at_least": 3 }), "measure: is missing"),
            (json!({ "view": "here", "measure": "speed_kmh" }), "at_least: is missing"),
            (json!({ "ready": "overspeed", "until_below": 140 }), "until_below: is above at_least"),
            (json!({ "ready": "overspeed", "at_most": 3 }), "at_most: an alert has"),
            (json!({ "ready": "overspeed", "for": "soon" }), "for: expected a time"),
            (json!({ "ready": "flood" }), "ready: \"flood\" is none of congestion, overspeed"),
            (json!({ "ready": "geofence" }), "view: is missing: a view of vehicles in an area"),
        ] {
            let error = read(value).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}, and not {expected}");
        }
    }
}
