//! What a standing view asks, in JSON or TOML. Refused with the field and the reason, before anything is installed.

use citystream_live::area::{self, Area};
use citystream_live::rows::{Place, View};
use citystream_live::standing::Question;
use citystream_live::worst::RANKS;
use serde_json::{Map, Value};

use crate::columns::text_hash::TextHasher;
use crate::lake::history::views::Views;
use crate::spelling;

/// What a view may hold, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Views.
    pub views: usize,
    /// Vehicles that one view names.
    pub keys: usize,
    /// Points of one area.
    pub points: usize,
}

/// Why a view is refused: the field, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Refused {
    /// The field.
    pub field: String,
    /// The reason.
    pub why: String,
}

/// The one way to say no.
pub(super) fn refuse<T>(field: &str, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { field: field.to_owned(), why: why.into() })
}

/// Kinds of views, and the fields of each.
const KINDS: [(&str, &[&str]); 5] = [
    ("vehicles", &["ids", "area", "speed_above_kmh"]),
    ("cells", &["ratio_below"]),
    ("worst", &["k"]),
    ("incidents", &["area"]),
    ("clusters", &["cells_at_least"]),
];
const LONGEST_ID: usize = 256;

/// A definition that was read. Texts are texts: their ids are a run's.
#[derive(Clone, Debug)]
pub enum Definition {
    /// Vehicles by their ids.
    Vehicles(Vec<String>),
    /// Vehicles in the area within rings.
    VehiclesIn(Vec<Vec<Place>>),
    /// Vehicles faster than this, in km/h.
    VehiclesAbove(f64),
    /// Cells with a speed ratio below this.
    CellsBelow(f64),
    /// So many of the slowest cells.
    Worst(u32),
    /// Open incidents in the area within rings.
    IncidentsIn(Vec<Vec<Place>>),
    /// Clusters of at least so many cells.
    Clusters(u32),
}

impl Definition {
    /// Reads a definition.
    ///
    /// # Errors
    /// The first field that does not fit.
    pub fn read(value: &Value) -> Result<Definition, Refused> {
        let Some(fields) = value.as_object() else { return refuse("view", "expected an object") };
        let names = KINDS.map(|(kind, _)| kind).join(", ");
        let Some(kind) = fields.get("kind") else { return refuse("kind", format!("is missing: one of {names}")) };
        let known = KINDS.into_iter().find(|(name, _)| kind.as_str() == Some(*name));
        let Some((kind, known)) = known else { return refuse("kind", format!("{kind} is none of {names}")) };
        if let Some(other) = fields.keys().find(|field| *field != "kind" && !known.contains(&field.as_str())) {
            let meant = spelling::nearest(other, known.iter().copied(), 2);
            let meant = meant.map_or_else(|| known.join(", "), |meant| format!("did you mean `{meant}`?"));
            return refuse(other, format!("is no field of a view of {kind}: {meant}"));
        }
        let mut given = known.iter().filter(|field| fields.contains_key(**field));
        let Some(field) = given.next() else { return refuse(known[0], format!("is missing: {}", known.join(" or "))) };
        if let Some(other) = given.next() {
            return refuse(other, format!("a view asks one thing, and this one asks for {field}"));
        }
        let value = &fields[*field];
        match (kind, *field) {
            ("vehicles", "ids") => ids(field, value).map(Definition::Vehicles),
            ("vehicles", "area") => rings(field, value).map(Definition::VehiclesIn),
            ("vehicles", _) => number(field, value, 0.0, 1000.0).map(Definition::VehiclesAbove),
            ("cells", _) => number(field, value, 0.001, 10.0).map(Definition::CellsBelow),
            ("worst", _) => whole(field, value, RANKS as u32).map(Definition::Worst),
            ("incidents", _) => rings(field, value).map(Definition::IncidentsIn),
            _ => whole(field, value, 1_000_000).map(Definition::Clusters),
        }
    }

    /// The collection that it is about.
    pub fn about(&self) -> View {
        match self {
            Definition::Vehicles(_) | Definition::VehiclesIn(_) | Definition::VehiclesAbove(_) => View::Vehicles,
            Definition::CellsBelow(_) => View::Cells,
            Definition::Worst(_) => View::Worst,
            Definition::IncidentsIn(_) => View::Incidents,
            Definition::Clusters(_) => View::Clusters,
        }
    }

    /// Whether it is within limits, and its area's rings do not cross.
    ///
    /// # Errors
    /// The field that is beyond them.
    pub fn check(&self, limits: Limits) -> Result<(), Refused> {
        match self {
            Definition::Vehicles(ids) if ids.len() > limits.keys => {
                refuse("ids", format!("there are {}, and --most-view-keys is {}", ids.len(), limits.keys))
            }
            Definition::VehiclesIn(rings) | Definition::IncidentsIn(rings) => {
                area::check(rings, limits.points).or_else(|error| refuse("area.coordinates", error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// What it asks of rows, with a run's ids of texts.
    ///
    /// # Errors
    /// An area that is none.
    pub fn question(&self, hasher: &TextHasher) -> Result<Question, Refused> {
        let area =
            |rings: &[Vec<Place>]| Area::new(rings).or_else(|error| refuse("area.coordinates", error.to_string()));
        Ok(match self {
            Definition::Vehicles(ids) => Question::Vehicles(ids.iter().map(|id| hasher.id(id.as_bytes())).collect()),
            Definition::VehiclesIn(rings) => Question::VehiclesIn(area(rings)?),
            Definition::VehiclesAbove(kmh) => Question::VehiclesAbove((kmh * 1e6).round() as i64),
            Definition::CellsBelow(ratio) => Question::CellsBelow((ratio * 1e3).round() as u32),
            Definition::Worst(k) => Question::Worst(*k),
            Definition::IncidentsIn(rings) => Question::IncidentsIn(area(rings)?),
            Definition::Clusters(cells) => Question::Clusters(*cells),
        })
    }
}

fn number(field: &str, value: &Value, least: f64, most: f64) -> Result<f64, Refused> {
    match value.as_f64().filter(|number| (least..=most).contains(number)) {
        Some(number) => Ok(number),
        None => refuse(field, format!("expected a number from {least} to {most}")),
    }
}

fn whole(field: &str, value: &Value, most: u32) -> Result<u32, Refused> {
    match value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| (1..=most).contains(number)) {
        Some(number) => Ok(number),
        None => refuse(field, format!("expected a whole number from 1 to {most}")),
    }
}

fn ids(field: &str, value: &Value) -> Result<Vec<String>, Refused> {
    let is_id = |id: &&str| (1..=LONGEST_ID).contains(&id.len());
    let ids = value.as_array().filter(|ids| !ids.is_empty());
    let ids = ids.and_then(|ids| ids.iter().map(|id| id.as_str().filter(is_id).map(str::to_owned)).collect());
    ids.map_or_else(|| refuse(field, format!("expected a list of texts of 1 to {LONGEST_ID} bytes")), Ok)
}

/// The rings of a GeoJSON polygon.
fn rings(field: &str, value: &Value) -> Result<Vec<Vec<Place>>, Refused> {
    let empty = Map::new();
    let polygon = value.as_object().unwrap_or(&empty);
    if polygon.get("type").and_then(Value::as_str) != Some("Polygon") {
        return refuse(&format!("{field}.type"), "expected \"Polygon\", as in GeoJSON");
    }
    if let Some(other) = polygon.keys().find(|key| !["type", "coordinates"].contains(&key.as_str())) {
        return refuse(&format!("{field}.{other}"), "is no field of a polygon: type, coordinates");
    }
    let field = format!("{field}.coordinates");
    let expected = "expected a list of rings, each a list of [longitude, latitude]";
    let ring = |ring: &Value| ring.as_array()?.iter().map(place).collect::<Option<Vec<Place>>>();
    let rings: Option<Vec<_>> =
        polygon.get("coordinates").and_then(Value::as_array).and_then(|rings| rings.iter().map(ring).collect());
    let Some(rings) = rings else { return refuse(&field, expected) };
    Area::new(&rings).or_else(|error| refuse(&field, error.to_string()))?;
    Ok(rings)
}

/// A place in millionths; what is beyond all places stays beyond them. A height is let go.
fn place(value: &Value) -> Option<Place> {
    let numbers = value.as_array().filter(|numbers| (2..=3).contains(&numbers.len()))?;
    let millionths = |number: &Value| number.as_f64().map(|degrees| (degrees * 1e6).round() as i32);
    Some(Place { lon: millionths(&numbers[0])?, lat: millionths(&numbers[1])? })
}

/// The collection that a view is of.
pub(super) fn about(view: &str, views: &Views) -> Result<View, Refused> {
    match (View::named(view), views.get(view)) {
        (Some(built_in), _) => Ok(built_in),
        (None, Some(definition)) => Ok(Definition::read(definition)?.about()),
        (None, None) => {
            refuse("view", format!("`{view}` is no built-in view, and the settings declare none of that name"))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIMITS: Limits = Limits { views: 2, keys: 2, points: 8 };

    fn refused(value: Value) -> String {
        Definition::read(&value).and_then(|it| it.check(LIMITS)).unwrap_err().to_string()
    }

    fn polygon(ring: &[[f64; 2]]) -> Value {
        json!({ "kind": "vehicles", "area": { "type": "Polygon", "coordinates": [ring] } })
    }

    #[test]
    fn what_fits_is_read() {
        let square = polygon(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]);
        for value in [
            json!({ "kind": "vehicles", "ids": ["a", "b"] }),
            square,
            json!({ "kind": "vehicles", "speed_above_kmh": 130 }),
            json!({ "kind": "cells", "ratio_below": 0.5 }),
            json!({ "kind": "worst", "k": 5 }),
            json!({ "kind": "clusters", "cells_at_least": 3 }),
        ] {
            let definition = Definition::read(&value).unwrap();
            definition.check(LIMITS).unwrap();
            definition.question(&TextHasher::new(1)).unwrap();
        }
    }

    #[test]
    fn each_refusal_names_the_field_and_the_reason() {
        let bow = polygon(&[[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]);
        let open = polygon(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        let far = polygon(&[[0.0, 0.0], [1e30, 0.0], [1.0, 1.0], [0.0, 0.0]]);
        let many: Vec<[f64; 2]> = (0..9).map(|n| [f64::from(n % 8), f64::from(n % 8 * n % 8)]).collect();
        for (value, expected) in [
            (json!(7), "view: expected an object"),
            (json!({ "k": 5 }), "kind: is missing: one of vehicles, cells"),
            (json!({ "kind": "buses" }), "kind: \"buses\" is none of vehicles"),
            (json!({ "kind": "worst", "rank": 5 }), "rank: is no field of a view of worst: k"),
            (
                json!({ "kind": "cells", "ratio_bellow": 1 }),
                "ratio_bellow: is no field of a view of cells: did you mean `ratio_below`?",
            ),
            (json!({ "kind": "worst" }), "k: is missing: k"),
            (json!({ "kind": "worst", "k": 0 }), "k: expected a whole number from 1 to 100"),
            (json!({ "kind": "worst", "k": 1.5 }), "k: expected a whole number"),
            (json!({ "kind": "cells", "ratio_below": "x" }), "ratio_below: expected a number from 0.001 to 10"),
            (json!({ "kind": "vehicles", "ids": [] }), "ids: expected a list of texts"),
            (json!({ "kind": "vehicles", "ids": ["a", "b", "c"] }), "ids: there are 3, and --most-view-keys is 2"),
            (json!({ "kind": "vehicles", "ids": ["a"], "speed_above_kmh": 3 }), "a view asks one thing"),
            (json!({ "kind": "incidents", "area": { "type": "Point" } }), "area.type: expected \"Polygon\""),
            (json!({ "kind": "incidents", "area": { "type": "Polygon", "crs": 1 } }), "area.crs: is no field"),
            (
                json!({ "kind": "incidents", "area": { "type": "Polygon" } }),
                "area.coordinates: expected a list of rings",
            ),
            (bow, "area.coordinates: the edge that begins at [0, 0] meets another"),
            (open, "area.coordinates: ring 0 does not end where it begins"),
            (far, "is not within 180 and 90 degrees"),
            (polygon(&many), "area.coordinates: there are more than 8 points"),
        ] {
            let error = refused(value);
            assert!(error.contains(expected), "{error}, and not {expected}");
        }
    }
}
