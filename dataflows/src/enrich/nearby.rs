//! What is within 1,500 m of a place, found by cell: incidents while they are active, and the circles around them in
//! which vehicles count as exposed.

use h3o::{CellIndex, LatLng, Resolution};

use crate::hash::IdMap;
use crate::incidents::{Circle, LifeId};
use crate::measures::{Origin, distance_mm};
use crate::records::{Point, Stamp};
use crate::time::Micros;

/// How far near is.
pub const NEAR_MM: i64 = 1_500_000;
/// Within a centimetre of it, only the haversine decides.
const NEAR_M: f64 = NEAR_MM as f64 / 1000.0;
const DOUBT_M: f64 = 0.01;
/// Rings of cells of resolution 8 around a cell that hold all that is near a point in it.
const RINGS: u32 = 4;
/// No point of a cell is further from its centre.
const CELL_M: f64 = 750.0;

/// The cells of resolution 8 that hold everything near a point.
pub fn cells_around(point: Point) -> Vec<u64> {
    let Ok(place) = LatLng::new(point.lat, point.lon) else { return Vec::new() };
    let disk: Vec<CellIndex> = place.to_cell(Resolution::Eight).grid_disk(RINGS);
    // A third of them, mostly.
    let reaches = |cell: &CellIndex| {
        let centre = LatLng::from(*cell);
        let metres = distance_mm(point, Point { lat: centre.lat(), lon: centre.lng() }) as f64 / 1000.0;
        metres <= NEAR_M + CELL_M
    };
    disk.into_iter().filter(reaches).map(u64::from).collect()
}

/// The distance in metres of a place that is near, to a centimetre.
pub fn near(origin: &Origin, to: Point) -> Option<f64> {
    let metres = origin.metres(to);
    if metres > NEAR_M + DOUBT_M {
        return None;
    }
    (metres < NEAR_M - DOUBT_M || distance_mm(to, origin.at()) <= NEAR_MM).then_some(metres)
}

/// A time in which an incident is active as one of its statuses says.
#[derive(Clone, Copy, Debug)]
pub struct Episode {
    /// The first time.
    pub from: Micros,
    /// The first time after.
    pub until: Micros,
    /// The status.
    pub stamp: Stamp,
    /// Where it is kept.
    pub id: u32,
    /// Where it says.
    pub origin: Origin,
}

/// Episodes and circles by the cells that they may reach.
#[derive(Debug, Default)]
pub struct Nearby {
    cells: IdMap<u64, Here>,
}

/// What may reach one cell.
#[derive(Debug, Default)]
pub struct Here {
    episodes: Vec<Episode>,
    circles: Vec<(Circle, Origin)>,
}

impl Nearby {
    /// What may reach a cell.
    pub fn cell(&self, c8: u64) -> Option<&Here> {
        self.cells.get(&c8)
    }

    /// Adds an episode to the cells it reaches.
    pub fn add_episode(&mut self, cells: &[u64], episode: Episode) {
        for cell in cells {
            self.cells.entry(*cell).or_default().episodes.push(episode);
        }
    }

    /// Ends the episode of a status at a time, if it lasts longer.
    pub fn end_episode(&mut self, cells: &[u64], id: u32, until: Micros) {
        for cell in cells {
            let Some(here) = self.cells.get_mut(cell) else { continue };
            let Some(at) = here.episodes.iter().position(|episode| episode.id == id) else { continue };
            let episode = &mut here.episodes[at];
            episode.until = episode.until.min(until);
            if episode.from >= episode.until {
                here.episodes.swap_remove(at);
            }
        }
    }

    /// Adds a circle to the cells it reaches.
    pub fn add_circle(&mut self, cells: &[u64], circle: Circle) {
        for cell in cells {
            self.cells.entry(*cell).or_default().circles.push((circle, circle.at.into()));
        }
    }

    /// Removes a life's circle.
    pub fn remove_circle(&mut self, cells: &[u64], life: LifeId) {
        for cell in cells {
            if let Some(here) = self.cells.get_mut(cell) {
                here.circles.retain(|(circle, _)| circle.life != life);
            }
        }
    }

    /// Frees the episodes and the circles that end before a time.
    pub fn free_before(&mut self, time: Micros) {
        self.cells.retain(|_, here| {
            here.episodes.retain(|episode| episode.until > time);
            here.circles.retain(|(circle, _)| circle.until > time);
            !here.episodes.is_empty() || !here.circles.is_empty()
        });
    }
}

impl Here {
    /// How many incidents are active near a place at a time, and the status of the nearest one.
    pub fn active(&self, time: Micros, at: Point) -> Option<(u16, u32)> {
        if self.episodes.is_empty() {
            return None;
        }
        let mut count: u16 = 0;
        let mut nearest: Option<(f64, &Episode)> = None;
        for episode in self.episodes.iter().filter(|e| e.from <= time && time < e.until) {
            let Some(metres) = near(&episode.origin, at) else { continue };
            count = count.saturating_add(1);
            if nearest.is_none_or(|held| closer((metres, episode), held, at)) {
                nearest = Some((metres, episode));
            }
        }
        nearest.map(|(_, episode)| (count, episode.id))
    }

    /// The circles that a ping is in.
    pub fn circles(&self, time: Micros, at: Point) -> impl Iterator<Item = &Circle> {
        let holds = move |(circle, origin): &&(Circle, Origin)| circle.holds(time) && near(origin, at).is_some();
        self.circles.iter().filter(holds).map(|(circle, _)| circle)
    }
}

/// Whether one episode is nearer than another; ties go to the greater stamp.
fn closer(one: (f64, &Episode), other: (f64, &Episode), at: Point) -> bool {
    if (one.0 - other.0).abs() > DOUBT_M {
        return one.0 < other.0;
    }
    let exactly = |episode: &Episode| (distance_mm(at, episode.origin.at()), std::cmp::Reverse(episode.stamp));
    exactly(one.1) < exactly(other.1)
}

/// Whether a place is near another.
pub fn is_near(one: Point, other: Point) -> bool {
    near(&one.into(), other).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_near_is_in_the_cells_around() {
        let mut random = 3_u64;
        let mut next = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 11) as f64 / (1_u64 << 53) as f64
        };
        for _ in 0..3000 {
            let at = Point { lat: next() * 176.0 - 88.0, lon: next() * 360.0 - 180.0 };
            let (angle, metres) = (next() * std::f64::consts::TAU, 1499.0 + next());
            let lat = at.lat + (metres * angle.cos() / 6_371_008.8).to_degrees();
            let lon = at.lon + (metres * angle.sin() / 6_371_008.8 / at.lat.to_radians().cos()).to_degrees();
            let other = Point { lat, lon };
            let near = distance_mm(at, other) <= NEAR_MM;
            assert_eq!(is_near(at, other), near);
            let cell = u64::from(LatLng::new(lat, lon).expect("a place").to_cell(Resolution::Eight));
            assert!(!near || cells_around(at).contains(&cell), "{at:?} {other:?}");
        }
    }
}
