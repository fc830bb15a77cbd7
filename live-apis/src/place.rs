//! Where something is asked about.

use h3o::{CellIndex, LatLng, Resolution};

/// A position on Earth: WGS-84, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place(LatLng);

/// Why two numbers are no position.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("({lat}, {lon}) is not on Earth: latitude is -90 to 90, longitude -180 to 180 degrees")]
pub struct PlaceError {
    lat: f64,
    lon: f64,
}

impl Place {
    /// A position.
    ///
    /// # Errors
    /// Numbers out of range, or none.
    pub fn new(lat: f64, lon: f64) -> Result<Self, PlaceError> {
        match LatLng::new(lat, lon) {
            Ok(place) if lat.abs() <= 90.0 && lon.abs() <= 180.0 => Ok(Place(place)),
            _ => Err(PlaceError { lat, lon }),
        }
    }

    /// Its latitude in degrees.
    pub fn lat(self) -> f64 {
        self.0.lat()
    }

    /// Its longitude in degrees.
    pub fn lon(self) -> f64 {
        self.0.lng()
    }

    /// The H3 cell that it is in.
    pub fn cell(self, resolution: Resolution) -> CellIndex {
        self.0.to_cell(resolution)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_earth_is_a_place() {
        let london = Place::new(51.5074, -0.1278).unwrap();
        assert_eq!((london.lat(), london.lon()), (51.5074, -0.1278));
        for (lat, lon) in [(90.1, 0.0), (0.0, -180.5), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert!(Place::new(lat, lon).is_err(), "{lat} {lon}");
        }
    }
}
