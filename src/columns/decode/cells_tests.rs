//! The cells are `h3o`'s, wherever a position is and whatever was asked before.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use h3o::CellIndex;

use super::super::tests::Random;
use super::*;

const RESOLUTIONS: [Resolution; 2] = [Resolution::Eight, Resolution::Five];

/// Compares at both resolutions, with grids that remember.
struct Check {
    cells: Cells,
    asked: u64,
}

impl Check {
    fn new() -> Check {
        Check { cells: Cells::of(Topic::GPS), asked: 0 }
    }

    fn at(&mut self, lat: f64, lon: f64) {
        let (lat, lon) = (lat.clamp(-90.0, 90.0), lon.clamp(-180.0, 180.0));
        let point = LatLng::new(lat, lon).unwrap();
        self.cells.at(lat, lon, |column, cell| {
            let expected = u64::from(point.to_cell(RESOLUTIONS[column])) as i64;
            assert_eq!(cell, Some(expected), "{lat:?} {lon:?} at {:?}", RESOLUTIONS[column]);
        });
        let plane = project(lat, lon);
        self.asked += self.cells.0.iter().filter(|grid| grid.hexagon(plane).is_none()).count() as u64;
    }

    /// Positions as near to a cell's corners, borders and centre as numbers go, and all over it.
    fn around(&mut self, cell: CellIndex, random: &mut Random) {
        let corners: Vec<LatLng> = cell.boundary().iter().copied().collect();
        let centre = LatLng::from(cell);
        for (index, corner) in corners.iter().enumerate() {
            let next = corners[(index + 1) % corners.len()];
            for _ in 0..8 {
                let (along, out) = (unit(random), 1.0 + nudge(random));
                let lat = corner.lat() + along * (next.lat() - corner.lat());
                let lon = corner.lng() + along * (next.lng() - corner.lng());
                self.at(centre.lat() + out * (lat - centre.lat()), centre.lng() + out * (lon - centre.lng()));
                self.at(centre.lat() + along * (lat - centre.lat()), centre.lng() + along * (lon - centre.lng()));
            }
            self.at(corner.lat() + nudge(random), corner.lng() + nudge(random));
        }
        self.at(centre.lat() + nudge(random), centre.lng() + nudge(random));
    }
}

fn unit(random: &mut Random) -> f64 {
    random.below(1 << 53) as f64 / (1_u64 << 53) as f64
}

/// Something between 1e-17 and 0.1, of either sign; sometimes nothing.
fn nudge(random: &mut Random) -> f64 {
    let sign = [-1.0, 0.0, 1.0][random.below(3) as usize];
    sign * 10_f64.powf(-1.0 - 16.0 * unit(random))
}

/// Anywhere on the globe, equally often.
fn anywhere(random: &mut Random) -> LatLng {
    let lat = (2.0 * unit(random) - 1.0).asin().to_degrees();
    LatLng::new(lat, 360.0 * unit(random) - 180.0).unwrap()
}

#[test]
fn cells_anywhere_are_those_of_h3o() {
    let (mut random, mut check) = (Random::new(), Check::new());
    for _ in 0..40_000 {
        let at = anywhere(&mut random);
        check.at(at.lat(), at.lng());
    }
    // The same country again and again: most hexagons are known.
    for _ in 0..200_000 {
        check.at(51.4 + 1.2 * unit(&mut random), -1.9 + 1.8 * unit(&mut random));
    }
    assert!(check.asked < 480_000 / 50, "h3o was asked {} times", check.asked);
}

#[test]
fn cells_near_borders_are_those_of_h3o() {
    let (mut random, mut check) = (Random::new(), Check::new());
    for _ in 0..1500 {
        let at = anywhere(&mut random);
        for resolution in RESOLUTIONS {
            let cell = at.to_cell(resolution);
            check.around(cell, &mut random);
            // Its neighbours too: the hexagons on both sides are known then.
            let neighbours: Vec<CellIndex> = cell.grid_disk(1);
            neighbours.into_iter().for_each(|neighbour| check.around(neighbour, &mut random));
        }
    }
}

#[test]
fn cells_at_odd_places_are_those_of_h3o() {
    let (mut random, mut check) = (Random::new(), Check::new());
    for resolution in RESOLUTIONS {
        for pentagon in resolution.pentagons() {
            let around: Vec<CellIndex> = pentagon.grid_disk(2);
            around.into_iter().for_each(|cell| check.around(cell, &mut random));
        }
    }
    for [x, y, z] in CENTRES {
        let (lat, lon) = (z.asin().to_degrees(), y.atan2(x).to_degrees());
        (0..500).for_each(|_| check.at(lat + nudge(&mut random), lon + nudge(&mut random)));
    }
    for (one, other) in (0..20).flat_map(|one| (0..one).map(move |other| (one, other))) {
        // On the edges between faces, if they are neighbours.
        for _ in 0..100 {
            let share = 0.5 + nudge(&mut random);
            let middle = [0, 1, 2].map(|i| CENTRES[one][i] * share + CENTRES[other][i] * (1.0 - share));
            let aside = [0, 1, 2].map(|i| middle[i] + 0.3 * nudge(&mut random));
            let length = aside.iter().map(|x| x * x).sum::<f64>().sqrt();
            let [x, y, z] = aside.map(|x| x / length);
            if length > 0.1 {
                check.at(z.asin().to_degrees(), y.atan2(x).to_degrees());
            }
        }
    }
    for lat in [-90.0, -89.999_999, 0.0, 89.999_999, 90.0] {
        (0..500).for_each(|_| check.at(lat + nudge(&mut random), 360.0 * unit(&mut random) - 180.0));
        (0..500).for_each(|_| check.at(lat, [-180.0, 0.0, 180.0][random.below(3) as usize] + nudge(&mut random)));
    }
}

#[test]
fn known_cells() {
    let mut found = Vec::new();
    let mut cells = Cells::of(Topic::GPS);
    cells.at(51.5074, -0.1278, |_, cell| found.push(cell.map(|cell| format!("{cell:x}"))));
    assert_eq!(found[0].as_deref(), Some("88195da49bfffff"));
    for (lat, lon) in [(f64::NAN, 0.0), (0.0, f64::INFINITY)] {
        cells.at(lat, lon, |_, cell| assert_eq!(cell, None));
    }
    assert_eq!(Cells::of(Topic::VEHICLE).count(), 0);
}
