//! The cells around a place, as far as they are this worker's. H3 takes some ten microseconds for a disk: those asked for
//! lately are kept.

use h3o::{CellIndex, LatLng, Resolution};

use super::cell_references::NEAR_M;
use crate::records::Point;
use crate::records::hash::{IdMap, spread};
use crate::records::measures::Origin;

/// Rings of cells of resolution 8 around a cell that hold all that is near a point in it.
const RINGS: u32 = 4;
/// No point of a cell is further from its centre, in metres.
const CELL_M: f64 = 750.0;
/// How many disks are kept.
const KEPT: usize = 1024;

/// The cells that are this worker's: those whose pings come here.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The worker.
    pub index: usize,
    /// How many there are.
    pub peers: usize,
}

impl Share {
    /// Where timely brings what is exchanged by [`spread`].
    fn has(self, c8: u64) -> bool {
        spread(c8) % self.peers as u64 == self.index as u64
    }
}

/// See the module.
pub struct Disks {
    share: Share,
    /// By the cell in their middle: cells and their centres.
    kept: IdMap<u64, Vec<(u64, Point)>>,
}

impl Disks {
    /// Nothing has been asked for.
    pub fn new(share: Share) -> Disks {
        Disks { share, kept: IdMap::default() }
    }

    /// This worker's cells of resolution 8 that hold everything near a place.
    pub fn around(&mut self, place: Point) -> Vec<u64> {
        let Ok(on_earth) = LatLng::new(place.lat, place.lon) else { return Vec::new() };
        let middle = on_earth.to_cell(Resolution::Eight);
        if self.kept.len() >= KEPT {
            self.kept.clear();
        }
        let share = self.share;
        let disk = self.kept.entry(middle.into()).or_insert_with(|| disk(middle, share));
        let origin = Origin::from(place);
        let reaches = |centre: Point| origin.metres(centre) <= NEAR_M + CELL_M;
        disk.iter().filter(|(_, centre)| reaches(*centre)).map(|(cell, _)| *cell).collect()
    }
}

fn disk(middle: CellIndex, share: Share) -> Vec<(u64, Point)> {
    let cells = middle.grid_disk::<Vec<CellIndex>>(RINGS).into_iter().filter(|cell| share.has(u64::from(*cell)));
    let with_centre = |cell: CellIndex| {
        let centre = LatLng::from(cell);
        (u64::from(cell), Point { lat: centre.lat(), lon: centre.lng() })
    };
    cells.map(with_centre).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::enrich::{NEAR_MM, is_near};
    use crate::records::measures::distance_mm;

    #[test]
    fn all_that_is_near_is_in_the_cells_around() {
        let mut disks = Disks::new(Share { index: 0, peers: 1 });
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
            assert!(!near || disks.around(at).contains(&cell), "{at:?} {other:?}");
        }
    }
}
