//! H3 cells of positions, as `h3o` gives them, each resolution from the position itself.
//!
//! `h3o` projects a position onto a face of the icosahedron, rounds it to that face's hexagons, and makes an index of
//! face and hexagon. The first two are cheap with vectors, so each [`Grid`] remembers the index of hexagons that it has
//! seen. Near a hexagon's border, where rounding could differ, and for all new hexagons, `h3o` is asked.

use std::sync::LazyLock;

use citystream_wire::{Cell, Topic};
use h3o::{LatLng, Resolution};

use super::faces::{AXES, CENTRES};

/// Hexagons that a grid remembers: a few times those of a country at resolution 8. 16 bytes each.
const SLOTS_LOG2: u32 = 16;
/// The unit of a face's plane at resolution 0, and the turn from even to odd resolutions (H3's constants).
const UNIT: f64 = 0.381_966_011_250_105;
const TURN: f64 = 0.333_473_172_251_832_1;
/// How near a border `h3o` is asked, in distances of centres: half a metre at resolution 8.
const MARGIN: f64 = 1e-3;

/// The cells of a topic's positions.
#[derive(Debug)]
pub(super) struct Cells(Vec<Grid>);

impl Cells {
    /// The resolutions of a topic.
    pub(super) fn of(topic: Topic) -> Cells {
        let grid = |cell: &Cell| {
            Grid::new(Resolution::try_from(cell.resolution).expect("a column's resolution is one of H3's"))
        };
        Cells(topic.declaration().cells.iter().map(grid).collect())
    }

    /// How many cells a position has.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Hands over the cell of a position at each resolution; `None` where the position is not finite.
    pub(super) fn at(&mut self, lat: f64, lon: f64, mut take: impl FnMut(usize, Option<i64>)) {
        if self.0.is_empty() {
            return;
        }
        let plane = project(lat, lon);
        for (column, grid) in self.0.iter_mut().enumerate() {
            take(column, grid.cell(plane, || LatLng::new(lat, lon).ok()));
        }
    }
}

/// A position on a face's plane.
#[derive(Clone, Copy)]
struct Plane {
    face: u64,
    x: f64,
    y: f64,
}

/// One face: its centre and the axes of its plane.
struct Face([[f64; 3]; 3]);

static FACES: LazyLock<[Face; 20]> = LazyLock::new(|| std::array::from_fn(|face| Face::new(CENTRES[face], AXES[face])));

impl Face {
    fn new([x, y, z]: [f64; 3], axis: f64) -> Face {
        let length = (1.0 - z * z).sqrt();
        let (north, east) = ([-x * z / length, -y * z / length, length], [-y / length, x / length, 0.0]);
        let (sin, cos) = axis.sin_cos();
        let along = |n: f64, e: f64| [0, 1, 2].map(|i| n * north[i] + e * east[i]);
        Face([[x, y, z], along(cos, sin), along(sin, -cos)])
    }
}

/// The gnomonic projection of a position onto the face whose centre is nearest.
fn project(lat: f64, lon: f64) -> Plane {
    let ((sin_lat, cos_lat), (sin_lon, cos_lon)) = (lat.to_radians().sin_cos(), lon.to_radians().sin_cos());
    let point = [cos_lon * cos_lat, sin_lon * cos_lat, sin_lat];
    let dot = |axis: &[f64; 3]| axis[0] * point[0] + axis[1] * point[1] + axis[2] * point[2];
    let (mut face, mut nearest) = (0, f64::MIN);
    for (other, Face([centre, ..])) in FACES.iter().enumerate() {
        let near = dot(centre);
        if near > nearest {
            (face, nearest) = (other, near);
        }
    }
    let [_, x, y] = &FACES[face].0;
    Plane { face: face as u64, x: dot(x) / (nearest * UNIT), y: dot(y) / (nearest * UNIT) }
}

/// The hexagons of one resolution, as far as they have been met.
#[derive(Debug)]
struct Grid {
    resolution: Resolution,
    /// Scale and turn of the plane.
    turn: (f64, f64),
    /// A hexagon's name, 0 for none, and its cell.
    slots: Vec<(u64, i64)>,
}

impl Grid {
    fn new(resolution: Resolution) -> Grid {
        let number = u8::from(resolution);
        let scale = 7_f64.sqrt().powi(i32::from(number));
        let (sin, cos) = if number % 2 == 1 { TURN.sin_cos() } else { (0.0, 1.0) };
        Grid { resolution, turn: (scale * cos, scale * sin), slots: vec![(0, 0); 1 << SLOTS_LOG2] }
    }

    fn cell(&mut self, plane: Plane, position: impl Fn() -> Option<LatLng>) -> Option<i64> {
        // The top bit of a cell is always 0.
        let ask = || Some(u64::from(position()?.to_cell(self.resolution)) as i64);
        let Some(name) = self.hexagon(plane) else { return ask() };
        let slot = (name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS_LOG2)) as usize;
        if self.slots[slot].0 != name {
            self.slots[slot] = (name, ask()?);
        }
        Some(self.slots[slot].1)
    }

    /// The name of the hexagon of a position; `None` near a border.
    fn hexagon(&self, Plane { face, x, y }: Plane) -> Option<u64> {
        let (cos, sin) = self.turn;
        let (x, y) = (x * cos + y * sin, y * cos - x * sin);
        // Coordinates of hexagons with q + r + s = 0.
        let half = y / 3_f64.sqrt();
        let [q, r, s] = [x - half, 2.0 * half, -x - half];
        let (mut q0, mut r0, s0) = (round(q), round(r), round(s));
        if q0 + r0 + s0 != 0.0 {
            // The one that was rounded most follows from the others.
            let [dq, dr, ds] = [(q - q0).abs(), (r - r0).abs(), (s - s0).abs()];
            if dq > dr && dq > ds {
                q0 = -r0 - s0;
            } else if dr > ds {
                r0 = -q0 - s0;
            }
        }
        let (dq, dr, ds) = (q - q0, r - r0, s + q0 + r0);
        let steps = [dq - dr, dr - ds, ds - dq];
        // On a border one of these is 1. Where nothing is a number, none is less.
        let inside = steps.iter().all(|step| step.abs() < 1.0 - 2.0 * MARGIN);
        let whole = |number: f64| number as i64 as u64 & 0xfff_ffff;
        inside.then(|| (face + 1) << 56 | whole(q0) << 28 | whole(r0))
    }
}

/// The nearest integer, for what is far below 2^51: without a call.
fn round(number: f64) -> f64 {
    const BIG: f64 = 6_755_399_441_055_744.0;
    (number + BIG) - BIG
}

#[cfg(test)]
#[path = "cells_tests.rs"]
mod tests;
