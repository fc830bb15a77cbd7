//! The ways between London and Birmingham: where one is after so many metres, and what road that is.
//!
//! The geometry is `road/london-birmingham.csv`, drawn by hand; its header says more.

use citystream_wire::Place;
use h3o::{LatLng, Resolution};

const GEOMETRY: &str = include_str!("../road/london-birmingham.csv");
/// The mean radius of the Earth, in metres.
const EARTH_M: f64 = 6_371_008.8;
/// Every so many metres there is an entry of the index, and every so many a camera.
const INDEX_M: f64 = 250.0;
const CAMERA_M: f64 = 2_000.0;
/// How far around the middle of a way the crowded place is looked for, in metres.
const CROWD_SEARCH_M: f64 = 5_000.0;

/// What kind of road it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Streets: the rush hour is felt most here.
    Town,
    /// A main road.
    Trunk,
    /// A motorway.
    Motorway,
}

/// All ways.
#[derive(Debug)]
pub struct Road {
    ways: Vec<Way>,
}

/// One way, from London to Birmingham.
#[derive(Debug)]
pub struct Way {
    points: Vec<Point>,
    /// By `INDEX_M`: the stretch that begins there or holds that place.
    index: Vec<u32>,
    cameras: Vec<String>,
}

/// A point of the geometry, and the stretch from there to the next.
#[derive(Debug)]
struct Point {
    place: Place,
    kind: Kind,
    limit_kmh: f64,
    /// Metres from London.
    at_m: f64,
    /// The compass words of driving to the next point, and back.
    directions: [&'static str; 2],
}

/// A place on a way.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    /// Where, to a millionth of a degree: as it is written.
    pub place: Place,
    /// What road it is.
    pub kind: Kind,
    /// Its speed limit, in km/h.
    pub limit_kmh: f64,
    /// The compass words of driving to Birmingham, and to London.
    pub directions: [&'static str; 2],
    /// The nearest camera along the way.
    pub camera: &'a str,
}

impl Road {
    /// The bundled road.
    pub fn bundled() -> Road {
        let mut ways: Vec<(&str, Vec<Point>)> = Vec::new();
        for line in GEOMETRY.lines().filter(|line| !line.starts_with('#')) {
            let (name, point) = point(line).expect("the bundled geometry is well formed; a test reads it");
            match ways.last_mut().filter(|(last, _)| *last == name) {
                Some((_, points)) => points.push(point),
                None => ways.push((name, vec![point])),
            }
        }
        let mut cameras = 0;
        Road { ways: ways.into_iter().map(|(_, points)| Way::new(points, &mut cameras)).collect() }
    }

    /// The ways.
    pub fn ways(&self) -> &[Way] {
        &self.ways
    }
}

/// A line of the geometry: the way, and the point.
fn point(line: &str) -> Option<(&str, Point)> {
    let mut fields = line.split(',');
    let way = fields.next()?;
    let kind = match fields.nth(1)? {
        "town" => Kind::Town,
        "trunk" => Kind::Trunk,
        "motorway" => Kind::Motorway,
        _ => return None,
    };
    let mut number = || fields.next()?.parse::<f64>().ok();
    let limit_kmh = number()?;
    let place = Place { lat: number()?, lon: number()? };
    Some((way, Point { place, kind, limit_kmh, at_m: 0.0, directions: [""; 2] }))
}

impl Way {
    fn new(mut points: Vec<Point>, cameras: &mut usize) -> Way {
        for i in 1..points.len() {
            let (from, to) = (points[i - 1].place, points[i].place);
            points[i - 1].directions = directions(from, to);
            // Whole millimetres, so that no platform's sines can move a vehicle.
            points[i].at_m = points[i - 1].at_m + (distance_m(from, to) * 1000.0).round() / 1000.0;
            points[i].directions = points[i - 1].directions;
        }
        let length_m = points.last().map_or(0.0, |last| last.at_m);
        let stretch = |m: f64| points.partition_point(|point| point.at_m <= m).saturating_sub(1) as u32;
        let index = (0..=(length_m / INDEX_M) as usize).map(|i| stretch(i as f64 * INDEX_M)).collect();
        let number = (length_m / CAMERA_M).round() as usize + 1;
        let first = *cameras + 1;
        *cameras += number;
        Way { index, cameras: (first..first + number).map(|n| format!("UK-CAM-{n:03}")).collect(), points }
    }

    /// Metres from London to Birmingham.
    pub fn length_m(&self) -> f64 {
        self.points.last().map_or(0.0, |last| last.at_m)
    }

    /// The place so many metres from London.
    pub fn at(&self, m: f64) -> Spot<'_> {
        let m = m.clamp(0.0, self.length_m());
        let mut i = self.index[(m / INDEX_M) as usize] as usize;
        while i + 2 < self.points.len() && self.points[i + 1].at_m <= m {
            i += 1;
        }
        let i = i.min(self.points.len() - 2);
        let (from, to) = (&self.points[i], &self.points[i + 1]);
        let share = (m - from.at_m) / (to.at_m - from.at_m);
        let along = |a: f64, b: f64| ((a + (b - a) * share) * 1e6).round() / 1e6;
        Spot {
            place: Place { lat: along(from.place.lat, to.place.lat), lon: along(from.place.lon, to.place.lon) },
            kind: from.kind,
            limit_kmh: from.limit_kmh,
            directions: from.directions,
            camera: &self.cameras[((m / CAMERA_M).round() as usize).min(self.cameras.len() - 1)],
        }
    }

    /// The longest stretch around the middle that lies in one cell of resolution 8, in metres from London.
    pub fn one_cell(&self) -> (f64, f64) {
        const STEP_M: f64 = 50.0;
        let cell = |m: f64| cell_of(self.at(m).place, Resolution::Eight);
        let (mut best, mut from) = ((0.0, 0.0), self.length_m() / 2.0 - CROWD_SEARCH_M);
        let mut m = from;
        while m < self.length_m() / 2.0 + CROWD_SEARCH_M {
            if cell(m) != cell(from) {
                from = m;
            }
            if m - from > best.1 - best.0 {
                best = (from, m);
            }
            m += STEP_M;
        }
        best
    }
}

/// The H3 cell of a place, and its centre.
pub(crate) fn cell_of(place: Place, resolution: Resolution) -> Option<h3o::CellIndex> {
    LatLng::new(place.lat, place.lon).ok().map(|at| at.to_cell(resolution))
}

/// Metres between two places, by haversine.
pub fn distance_m(a: Place, b: Place) -> f64 {
    let (phi1, phi2) = (a.lat.to_radians(), b.lat.to_radians());
    let sin2 = |x: f64| (x / 2.0).sin().powi(2);
    let h = sin2(phi2 - phi1) + phi1.cos() * phi2.cos() * sin2((b.lon - a.lon).to_radians());
    2.0 * EARTH_M * h.sqrt().min(1.0).asin()
}

/// The compass words of the way from one place to another, and back.
fn directions(from: Place, to: Place) -> [&'static str; 2] {
    const WORDS: [&str; 8] = ["North", "North-East", "East", "South-East", "South", "South-West", "West", "North-West"];
    let east = (to.lon - from.lon) * from.lat.to_radians().cos();
    let degrees = east.atan2(to.lat - from.lat).to_degrees();
    let word = (degrees / 45.0).round().rem_euclid(8.0) as usize;
    [WORDS[word % 8], WORDS[(word + 4) % 8]]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_lead_from_london_to_birmingham() {
        let road = Road::bundled();
        assert_eq!(road.ways().len(), 2);
        for way in road.ways() {
            assert!((160_000.0..220_000.0).contains(&way.length_m()), "{} m", way.length_m());
            assert_eq!(way.at(0.0).place, Place { lat: 51.5074, lon: -0.1278 });
            assert_eq!(way.at(way.length_m()).place, Place { lat: 52.4862, lon: -1.8904 });
            let kinds = |kind| way.points.iter().filter(|point| point.kind == kind).count();
            assert!([Kind::Town, Kind::Trunk, Kind::Motorway].into_iter().all(|kind| kinds(kind) >= 5));
            assert!(way.points.windows(2).all(|pair| (200.0..14_000.0).contains(&(pair[1].at_m - pair[0].at_m))));
        }
        let cameras: Vec<_> = road.ways().iter().flat_map(|way| &way.cameras).collect();
        assert_eq!(cameras.iter().collect::<std::collections::BTreeSet<_>>().len(), cameras.len());
    }

    #[test]
    fn a_place_is_where_its_metres_say() {
        for way in Road::bundled().ways() {
            let mut before = way.at(0.0).place;
            for i in 1..(way.length_m() / 100.0) as usize {
                let spot = way.at(i as f64 * 100.0);
                let driven = distance_m(before, spot.place);
                // A chord across a corner is shorter.
                assert!(driven < 100.2, "{driven} m at {i}");
                let stretch = way.points.iter().rposition(|point| point.at_m <= i as f64 * 100.0).unwrap();
                assert_eq!(spot.limit_kmh, way.points[stretch].limit_kmh);
                before = spot.place;
            }
        }
    }

    #[test]
    fn words_are_the_compasss() {
        let at = |lat, lon| Place { lat, lon };
        assert_eq!(directions(at(52.0, -1.0), at(53.0, -1.0)), ["North", "South"]);
        assert_eq!(directions(at(52.0, -1.0), at(52.0, -2.0)), ["West", "East"]);
        assert_eq!(directions(at(52.0, -1.0), at(52.6, -2.0)), ["North-West", "South-East"]);
        assert_eq!(directions(at(52.0, -1.0), at(51.0, -1.0)), ["South", "North"]);
    }

    #[test]
    fn the_crowded_place_is_one_cell() {
        for way in Road::bundled().ways() {
            let (from, to) = way.one_cell();
            assert!(to - from >= 300.0, "{from} to {to}");
            let cell = |m| cell_of(way.at(m).place, Resolution::Eight);
            assert!((0..=100).all(|i| cell(from + (to - from) * f64::from(i) / 100.0) == cell(from)));
        }
    }
}
