//! Measures as integers: quantised once, then only added, so that any order gives the same bits (P3).

use crate::records::Point;

/// The earth's mean radius in metres.
const EARTH_M: f64 = 6_371_008.8;

/// One unit of a measure.
pub const UNIT: f64 = 1e6;

/// A value in millionths of its unit.
pub fn quantised(value: f64) -> i64 {
    (value * UNIT).round() as i64
}

/// The distance of two points along the sphere, in millimetres.
pub fn distance_mm(a: Point, b: Point) -> i64 {
    let (phi_a, phi_b) = (a.lat.to_radians(), b.lat.to_radians());
    let (d_phi, d_lambda) = (phi_b - phi_a, (b.lon - a.lon).to_radians());
    let (s_phi, s_lambda) = ((d_phi / 2.0).sin(), (d_lambda / 2.0).sin());
    let h = s_phi * s_phi + phi_a.cos() * phi_b.cos() * s_lambda * s_lambda;
    (2.0 * EARTH_M * h.sqrt().min(1.0).asin() * 1000.0).round() as i64
}

/// The mean of `count` quantised values: one division.
pub fn mean(sum: i128, count: u64) -> Option<f64> {
    (count > 0).then(|| sum as f64 / (count as f64 * UNIT))
}

/// The rank, from 1, of a percentile of `count` values: nearest rank.
pub fn rank(percent: u64, count: u64) -> u64 {
    (percent * count).div_ceil(100)
}

/// A point from which distances are measured again and again: near a threshold they are decided by it without a haversine.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    at: Point,
    sin: f64,
    cos: f64,
}

impl From<Point> for Origin {
    fn from(at: Point) -> Origin {
        let (sin, cos) = at.lat.to_radians().sin_cos();
        Origin { at, sin, cos }
    }
}

impl Origin {
    /// The point.
    pub fn at(&self) -> Point {
        self.at
    }

    /// The distance to a point in metres: within 2 km right to a millimetre, beyond that more than 2 km. The haversine's
    /// first terms; where they do not do, the haversine.
    pub fn metres(&self, to: Point) -> f64 {
        let (d_phi, d_lambda) = ((to.lat - self.at.lat).to_radians(), (to.lon - self.at.lon).to_radians());
        if d_phi.abs() > 1e-3 {
            return d_phi.abs() * EARTH_M;
        }
        if d_lambda.abs() > 1e-2 {
            return distance_mm(self.at, to) as f64 / 1000.0;
        }
        let cos = self.cos * (1.0 - d_phi * d_phi / 2.0) - self.sin * d_phi;
        EARTH_M * (d_phi * d_phi + self.cos * cos * d_lambda * d_lambda).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_sphere() {
        let london = Point { lat: 51.5074, lon: -0.1278 };
        let birmingham = Point { lat: 52.4862, lon: -1.8904 };
        let mm = distance_mm(london, birmingham);
        assert!((162_400_000..162_600_000).contains(&mm), "{mm}");
        assert_eq!(distance_mm(london, london), 0);
        assert_eq!(distance_mm(london, birmingham), distance_mm(birmingham, london));
    }

    #[test]
    fn near_an_origin_its_distances_are_haversines() {
        for step in 0..200_000 {
            let part = |prime: i32| f64::from(step % prime) / f64::from(prime);
            let a = Point { lat: 179.8 * part(9973) - 89.9, lon: 360.0 * part(9967) - 180.0 };
            let (north, east) = (0.05 * part(9949) - 0.025, 0.05 * part(9941) - 0.025);
            let b = Point { lat: a.lat + north, lon: a.lon + east / a.lat.to_radians().cos() };
            let (metres, exact) = (Origin::from(a).metres(b), distance_mm(a, b) as f64 / 1000.0);
            assert!((metres - exact).abs() < 0.001 || metres.min(exact) > 2000.0, "{a:?} {b:?} {metres} {exact}");
        }
    }

    #[test]
    fn ranks_are_nearest_ranks() {
        assert_eq!([rank(50, 1), rank(50, 4), rank(85, 7), rank(95, 100), rank(99, 101)], [1, 2, 6, 95, 100]);
    }
}
