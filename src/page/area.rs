//! What is in sight: of a frame that was encoded once for all, the rows in a box.

use std::str::FromStr;
use std::sync::Arc;

use citystream_live::rows::{Place, Row};
use h3o::{CellIndex, LatLng};

/// A box of the map, in millionths of a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    west: i32,
    south: i32,
    east: i32,
    north: i32,
}

impl FromStr for Area {
    type Err = &'static str;

    /// West, south, east, north in degrees.
    fn from_str(text: &str) -> Result<Area, Self::Err> {
        let degrees: Vec<f64> = text.split(',').map_while(|part| part.trim().parse().ok()).collect();
        let [west, south, east, north] = degrees[..] else { return Err("a bbox is west,south,east,north in degrees") };
        let is_box =
            (-180.0..=east).contains(&west) && (-90.0..=north).contains(&south) && east <= 180.0 && north <= 90.0;
        if !is_box {
            return Err("a bbox has its west before its east, its south before its north, within 180 and 90 degrees");
        }
        let [west, south, east, north] = [west, south, east, north].map(|it| (it * 1e6).round() as i32);
        Ok(Area { west, south, east, north })
    }
}

impl Area {
    /// Whether a place is in it.
    pub fn has(&self, Place { lat, lon }: Place) -> bool {
        (self.west..=self.east).contains(&lon) && (self.south..=self.north).contains(&lat)
    }
}

/// Where a row is on the map, if it is at one place and there may be many of its kind.
pub fn place(row: &Row) -> Option<Place> {
    match row {
        Row::Vehicle(row) => Some(row.at),
        Row::Cell(row) => {
            let centre = LatLng::from(CellIndex::try_from(row.cell).ok()?);
            let millionths = |degrees: f64| (degrees * 1e6).round() as i32;
            Some(Place { lat: millionths(centre.lat()), lon: millionths(centre.lng()) })
        }
        _ => None,
    }
}

/// `"key":row,..`, and which part of it is about what place.
#[derive(Clone, Debug, Default)]
pub struct Encoding {
    text: Arc<str>,
    parts: Arc<[Part]>,
}

/// A row in the text.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Where its key ends.
    key: u32,
    /// Where it ends, before the comma.
    end: u32,
    is: Option<Place>,
    was: Option<Place>,
}

/// Makes an encoding, row by row.
#[derive(Default)]
pub struct Encoder {
    text: String,
    parts: Vec<Part>,
}

impl Encoder {
    /// A row under its key, both as JSON; where it is, and where it was before.
    pub fn add(&mut self, key: &str, row: &str, is: Option<Place>, was: Option<Place>) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(key);
        let key = self.text.len() as u32;
        self.text.push(':');
        self.text.push_str(row);
        self.parts.push(Part { key, end: self.text.len() as u32, is, was });
    }

    /// All of it.
    pub fn finish(self) -> Encoding {
        Encoding { text: self.text.into(), parts: self.parts.into() }
    }
}

impl Encoding {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.parts)
    }

    /// All of it.
    pub fn all(&self) -> &str {
        &self.text
    }

    /// What is in an area, and that which has left it, as gone. What is at no place is everywhere.
    pub fn within(&self, area: &Area) -> String {
        let mut found = String::new();
        let mut start = 0;
        for Part { key, end, is, was } in self.parts.iter() {
            let [first, key, end] = [start, *key as usize, *end as usize];
            start = end + 1;
            let is_in = is.is_some_and(|place| area.has(place)) || (is.is_none() && was.is_none());
            let was_in = was.is_some_and(|place| area.has(place));
            if !is_in && !was_in {
                continue;
            }
            if !found.is_empty() {
                found.push(',');
            }
            found.push_str(&self.text[first..if is_in { end } else { key }]);
            if !is_in {
                found.push_str(":null");
            }
        }
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_read_and_what_is_none_is_refused() {
        let area: Area = "-0.5,51.2,0.3,51.7".parse().unwrap();
        assert!(area.has(Place { lat: 51_500_000, lon: -100_000 }) && !area.has(Place { lat: 51_800_000, lon: 0 }));
        for wrong in ["", "1,2,3", "1,2,3,4,5", "a,1,2,3", "2,1,1,3", "0,3,1,2", "-181,0,1,1", "0,0,1,NaN"] {
            assert!(wrong.parse::<Area>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_in_sight_is_sent_and_what_has_left_it_is_gone() {
        let [inside, outside] = [Some(Place { lat: 1, lon: 1 }), Some(Place { lat: 9, lon: 9 })];
        let area = Area { west: 0, south: 0, east: 2, north: 2 };
        let mut encoder = Encoder::default();
        encoder.add("\"stays\"", "1", inside, inside);
        encoder.add("\"comes\"", "2", inside, outside);
        encoder.add("\"leaves\"", "3", outside, inside);
        encoder.add("\"elsewhere\"", "4", outside, outside);
        encoder.add("\"ends\"", "null", None, inside);
        encoder.add("\"ends elsewhere\"", "null", None, outside);
        encoder.add("\"an incident\"", "5", None, None);
        let encoding = encoder.finish();
        assert_eq!(encoding.within(&area), "\"stays\":1,\"comes\":2,\"leaves\":null,\"ends\":null,\"an incident\":5");
        assert!(
            encoding.all().starts_with("\"stays\":1,\"comes\":2,\"leaves\":3,")
                && encoding.bytes() > encoding.all().len()
        );
        assert_eq!(Encoding::default().within(&area), "");
    }
}
