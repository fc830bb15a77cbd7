//! An area: a polygon, with holes where it has more than one ring. In whole millionths of a degree, so that every worker, and SQL,
//! finds the same places within it.
//!
//! A place is within if a ray from it towards the east crosses the rings an odd number of times; an edge takes the place at its
//! lower end along, and not the one at its upper end. Areas do not reach across the date line.

use std::fmt;

use crate::rows::Place;

/// An edge, its lower end first.
type Edge = (Place, Place);

/// So many bands of latitude: a place is held against the edges of its own only.
const BANDS: usize = 256;

/// What is wrong with a polygon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AreaError {
    /// It has no ring.
    Empty,
    /// This ring has fewer than four points.
    Short(usize),
    /// This ring does not end where it begins.
    Open(usize),
    /// A place of this ring is no place on Earth.
    Beyond(usize, Place),
    /// It has more points than this.
    Points(usize),
    /// Two of its edges cross or touch, the one that begins here and another.
    Crossing(Place),
}

impl fmt::Display for AreaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |place: &Place| format!("[{}, {}]", f64::from(place.lon) / 1e6, f64::from(place.lat) / 1e6);
        match self {
            AreaError::Empty => write!(f, "there is no ring"),
            AreaError::Short(ring) => write!(f, "ring {ring} has fewer than four points"),
            AreaError::Open(ring) => write!(f, "ring {ring} does not end where it begins"),
            AreaError::Beyond(ring, place) => {
                write!(f, "ring {ring}: {} is not within 180 and 90 degrees", shown(place))
            }
            AreaError::Points(most) => write!(f, "there are more than {most} points"),
            AreaError::Crossing(place) => write!(f, "the edge that begins at {} meets another", shown(place)),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Area {
    low: Place,
    high: Place,
    /// Edges by band of latitude, from the lowest.
    bands: Vec<Vec<Edge>>,
}

impl Area {
    /// The area within rings. That they do not cross is [`check`]'s to say.
    ///
    /// # Errors
    /// What is wrong with a ring.
    pub fn new(rings: &[Vec<Place>]) -> Result<Area, AreaError> {
        for (n, ring) in rings.iter().enumerate() {
            if ring.len() < 4 {
                return Err(AreaError::Short(n));
            }
            if ring.first() != ring.last() {
                return Err(AreaError::Open(n));
            }
            let is_beyond =
                |place: &&Place| place.lat.unsigned_abs() > 90_000_000 || place.lon.unsigned_abs() > 180_000_000;
            if let Some(place) = ring.iter().find(is_beyond) {
                return Err(AreaError::Beyond(n, *place));
            }
        }
        let places = || rings.iter().flatten();
        let bounds = |part: fn(&Place) -> i32| Some((places().map(part).min()?, places().map(part).max()?));
        let (Some(lat), Some(lon)) = (bounds(|it| it.lat), bounds(|it| it.lon)) else { return Err(AreaError::Empty) };
        let (low, high) = (Place { lat: lat.0, lon: lon.0 }, Place { lat: lat.1, lon: lon.1 });
        let mut area = Area { low, high, bands: vec![Vec::new(); BANDS] };
        for (from, to) in edges(rings).filter(|(from, to)| from.lat != to.lat) {
            let edge = if from.lat < to.lat { (from, to) } else { (to, from) };
            let bands = area.band(edge.0.lat)..=area.band(edge.1.lat);
            area.bands[bands].iter_mut().for_each(|band| band.push(edge));
        }
        Ok(area)
    }

    fn band(&self, lat: i32) -> usize {
        let height = i64::from(self.high.lat) - i64::from(self.low.lat) + 1;
        ((i64::from(lat) - i64::from(self.low.lat)) * BANDS as i64 / height) as usize
    }

    /// Whether a place is within.
    pub fn contains(&self, place: Place) -> bool {
        let (lat, lon) = (self.low.lat..=self.high.lat, self.low.lon..=self.high.lon);
        if !lat.contains(&place.lat) || !lon.contains(&place.lon) {
            return false;
        }
        let crosses =
            |(low, high): &&Edge| low.lat <= place.lat && place.lat < high.lat && side(*low, *high, place) > 0;
        self.bands[self.band(place.lat)].iter().filter(crosses).count() % 2 == 1
    }
}

/// Whether rings cross or touch themselves or each other, which takes long where there are many points, some tenths of a second
/// for 10,000; and whether there are more than so many.
///
/// # Errors
/// The first two edges that meet; too many points.
pub fn check(rings: &[Vec<Place>], most: usize) -> Result<(), AreaError> {
    if rings.iter().map(Vec::len).sum::<usize>() > most {
        return Err(AreaError::Points(most));
    }
    let mut all: Vec<Edge> = edges(rings).collect();
    let west = |(a, b): &Edge| a.lon.min(b.lon);
    let east = |(a, b): &Edge| a.lon.max(b.lon);
    all.sort_by_key(west);
    for (n, edge) in all.iter().enumerate() {
        let near = all[n + 1..].iter().take_while(|other| west(other) <= east(edge));
        if near.into_iter().any(|other| meet(*edge, *other)) {
            return Err(AreaError::Crossing(edge.0));
        }
    }
    Ok(())
}

fn edges(rings: &[Vec<Place>]) -> impl Iterator<Item = Edge> {
    rings.iter().flat_map(|ring| ring.windows(2).map(|pair| (pair[0], pair[1]))).filter(|(from, to)| from != to)
}

/// Greater than 0 if a place is to the left of the way from one to another, 0 if it is on it.
fn side(from: Place, to: Place, place: Place) -> i64 {
    let [from, to, place] = [from, to, place].map(|it| (i64::from(it.lat), i64::from(it.lon)));
    ((to.1 - from.1) * (place.0 - from.0) - (to.0 - from.0) * (place.1 - from.1)).signum()
}

/// Whether two edges have a place in common that is not an end where one goes on as the other.
fn meet(one: Edge, other: Edge) -> bool {
    let (a, b, c, d) = (
        side(one.0, one.1, other.0),
        side(one.0, one.1, other.1),
        side(other.0, other.1, one.0),
        side(other.0, other.1, one.1),
    );
    if one.1 == other.0 || other.1 == one.0 {
        // Neighbours: they meet where one goes back along the other, or both ends are the same.
        let (far, near, end) = if one.1 == other.0 { (one.0, one.1, other.1) } else { (other.0, other.1, one.1) };
        return side(far, near, end) == 0 && is_between(far, near, end, true);
    }
    if a * b < 0 && c * d < 0 {
        return true;
    }
    let on = |side, edge: Edge, place| side == 0 && is_between(edge.0, edge.1, place, false);
    on(a, one, other.0) || on(b, one, other.1) || on(c, other, one.0) || on(d, other, one.1)
}

/// Of a place on the line through two: whether it is between them, or behind the first as seen from the second if `or_beyond`.
fn is_between(first: Place, second: Place, place: Place, or_beyond: bool) -> bool {
    let towards = |it: Place| {
        (i64::from(it.lat) - i64::from(second.lat)) * (i64::from(first.lat) - i64::from(second.lat))
            + (i64::from(it.lon) - i64::from(second.lon)) * (i64::from(first.lon) - i64::from(second.lon))
    };
    if or_beyond { towards(place) > 0 } else { towards(place) >= 0 && towards(place) <= towards(first) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ring(places: &[(i32, i32)]) -> Vec<Place> {
        places.iter().map(|(lon, lat)| Place { lat: *lat, lon: *lon }).collect()
    }

    const SQUARE: [(i32, i32); 5] = [(0, 0), (10, 0), (10, 10), (0, 10), (0, 0)];

    #[test]
    fn places_are_within_or_not() {
        let hole = ring(&[(4, 4), (6, 4), (6, 6), (4, 6), (4, 4)]);
        let area = Area::new(&[ring(&SQUARE), hole]).unwrap();
        let within = |lon, lat| area.contains(Place { lat, lon });
        assert!(within(1, 1) && within(9, 9) && within(3, 5) && within(7, 5));
        assert!(!within(5, 5) && !within(-1, 5) && !within(11, 5) && !within(5, 11) && !within(5, -1));
        // Side by side, areas share no place and leave none out.
        let beside = Area::new(&[ring(&SQUARE.map(|(lon, lat)| (lon + 10, lat)))]).unwrap();
        let whole = Area::new(&[ring(&SQUARE)]).unwrap();
        for (lon, lat) in (0..20).flat_map(|lon| (0..10).map(move |lat| (lon, lat))) {
            let place = Place { lat, lon };
            assert!(whole.contains(place) != beside.contains(place), "{place:?}");
        }
    }

    #[test]
    fn it_is_what_a_walk_around_it_says() {
        // A star of many points around the middle: a place is within if it is nearer than the rim in its direction.
        let rim = |n: i32| if n % 2 == 0 { 90_000_000.0 } else { 30_000_000.0 };
        let place = |n: i32| {
            let angle = f64::from(n % 5000) / 5000.0 * std::f64::consts::TAU;
            Place { lat: (angle.sin() * rim(n)) as i32, lon: (angle.cos() * rim(n)) as i32 }
        };
        let star: Vec<Place> = (0..=5000).map(place).collect();
        check(std::slice::from_ref(&star), 10_000).unwrap();
        let area = Area::new(&[star]).unwrap();
        for n in 0..5000 {
            let angle = (f64::from(n) + 0.001) / 5000.0 * std::f64::consts::TAU;
            let at =
                |distance: f64| Place { lat: (angle.sin() * distance) as i32, lon: (angle.cos() * distance) as i32 };
            assert!(area.contains(at(29_000_000.0)));
            assert_eq!(area.contains(at(80_000_000.0)), n % 2 == 0 && rim(n) > 80_000_000.0, "{n}");
        }
    }

    #[test]
    fn each_wrong_polygon_is_named() {
        let error = |rings: &[Vec<Place>]| Area::new(rings).map(drop).and_then(|()| check(rings, 8)).unwrap_err();
        assert_eq!(error(&[]), AreaError::Empty);
        assert_eq!(error(&[ring(&SQUARE[..3])]), AreaError::Short(0));
        assert_eq!(error(&[ring(&SQUARE[..4])]), AreaError::Open(0));
        let far = ring(&[(0, 0), (180_000_001, 0), (0, 5), (0, 0)]);
        assert!(matches!(error(&[far]), AreaError::Beyond(0, _)));
        let mut long = ring(&SQUARE[..4]);
        long.extend(ring(&[(0, 9), (0, 8), (0, 7), (0, 6), (0, 0)]));
        assert_eq!(error(&[long]), AreaError::Points(8));
        let bow = ring(&[(0, 0), (10, 10), (10, 0), (0, 10), (0, 0)]);
        assert!(matches!(error(&[bow]), AreaError::Crossing(_)));
        let spike = ring(&[(0, 0), (10, 0), (20, 0), (10, 0), (5, 9), (0, 0)]);
        assert!(matches!(error(&[spike]), AreaError::Crossing(_)));
        let touching = ring(&[(0, 0), (10, 0), (10, 10), (5, 0), (0, 10), (0, 0)]);
        assert!(matches!(error(&[touching]), AreaError::Crossing(_)));
        let flat = ring(&[(0, 0), (10, 0), (5, 0), (0, 0)]);
        assert!(matches!(error(&[flat]), AreaError::Crossing(_)));
        assert!(matches!(error(&[ring(&SQUARE), ring(&SQUARE)]), AreaError::Points(8)));
        check(&[ring(&SQUARE)], 8).unwrap();
    }

    #[test]
    fn ten_thousand_points_are_looked_at_within_a_moment() {
        // Teeth side by side: every edge is as high as the whole.
        let mut comb: Vec<Place> =
            (0..9_996).map(|n| Place { lat: if n % 2 == 0 { 0 } else { 80_000_000 }, lon: n }).collect();
        comb.extend([Place { lat: -1, lon: 9_996 }, Place { lat: -1, lon: -1 }, Place { lat: 0, lon: 0 }]);
        check(&[comb.clone()], 10_000).unwrap();
        comb[5000].lon = 5020;
        assert!(matches!(check(&[comb], 10_000), Err(AreaError::Crossing(_))));
    }
}
