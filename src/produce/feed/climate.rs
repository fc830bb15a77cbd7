//! What is made up where no feed tells: what is usual at a place, at the time of the year and of the day.
//!
//! Smooth, and without events: no rain, no closed road, nothing that a reader could take for news. The hour is that of the
//! sun, as good as any where nothing is known of time zones.

use std::f64::consts::TAU;

use citystream_dataflows::time::Micros;
use citystream_live_apis::Place;
use citystream_wire as wire;

const HOUR: f64 = 3_600e6;
const DAY: f64 = 24.0 * HOUR;
const YEAR: f64 = 365.2425 * DAY;
/// The part of the year at which the north is warmest, in the second half of July, and of the day, at three.
const WARMEST: (f64, f64) = (0.55, 0.625);

/// The speed of free flow in a town, in km/h.
const FREE_FLOW: f64 = 50.0;
/// The hours of the rush, how long it lasts, and what it takes from the speed.
const RUSH: ([f64; 2], f64, f64) = ([8.0, 17.5], 1.5, 0.4);

/// The usual weather.
pub(super) fn weather(place: Place, time: Micros) -> wire::Weather<'static> {
    wire::Weather {
        condition: "Clouds",
        temperature_c: temperature(place, time as f64),
        precipitation_mm: 0.0,
        wind_speed_ms: 4.0,
        humidity_pct: 75,
        air_quality_index: None,
        pressure_hpa: 1013.0,
        visibility_m: None,
    }
}

/// About that of a place near the sea: 27 degrees at the equator, 10 in London, of which the year takes and gives 7.
fn temperature(place: Place, time: f64) -> f64 {
    let from_equator = place.lat().abs();
    let season = (TAU * (time / YEAR - WARMEST.0)).cos() * place.lat().signum();
    let afternoon = (TAU * (time / DAY + place.lon() / 360.0 - WARMEST.1)).cos();
    27.0 - 0.47 * (from_equator - 15.0).max(0.0) + 0.14 * from_equator * season + 3.0 * afternoon
}

/// The usual flow in a town, in which nobody should trust.
pub(super) fn traffic(place: Place, time: Micros, camera: &str) -> wire::Traffic<'_> {
    let hour = (time as f64 / HOUR + place.lon() / 15.0).rem_euclid(24.0);
    let (peaks, lasts, takes) = RUSH;
    let rush: f64 = peaks.iter().map(|peak| (1.0 - (hour - peak).abs() / lasts).max(0.0)).sum();
    wire::Traffic {
        camera,
        current_speed_kmh: FREE_FLOW * (1.0 - takes * rush),
        free_flow_speed_kmh: FREE_FLOW,
        confidence: 0.0,
        road_closure: false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(time: &str) -> Micros {
        time.parse::<jiff::Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn the_year_and_the_day_come_and_go() {
        let (london, sydney) = (Place::new(51.5, -0.1).unwrap(), Place::new(-33.9, 151.2).unwrap());
        let degrees = |place, time: &str| weather(place, at(time)).temperature_c;
        assert!((18.0..22.0).contains(&degrees(london, "2026-07-20T15:00:00Z")));
        assert!((-2.0..3.0).contains(&degrees(london, "2026-01-20T03:00:00Z")));
        assert!(degrees(sydney, "2026-01-20T05:00:00Z") > degrees(sydney, "2026-07-20T05:00:00Z") + 5.0);
        assert!(degrees(sydney, "2026-01-20T05:00:00Z") > degrees(sydney, "2026-01-20T17:00:00Z") + 5.0);
        for lat in -90..=90 {
            let degrees = degrees(Place::new(f64::from(lat), 0.0).unwrap(), "2026-01-20T15:00:00Z");
            assert!((-35.0..35.0).contains(&degrees), "{lat}: {degrees}");
        }
    }

    #[test]
    fn there_is_a_rush_hour_by_the_sun() {
        let speed = |lon, time: &str| traffic(Place::new(40.0, lon).unwrap(), at(time), "c").current_speed_kmh;
        assert_eq!([3, 8, 12].map(|hour| speed(0.0, &format!("2026-03-02T{hour:02}:00:00Z"))), [50.0, 30.0, 50.0]);
        assert_eq!(speed(-90.0, "2026-03-02T14:00:00Z"), 30.0);
        assert!((speed(0.0, "2026-03-02T17:00:00Z") - 50.0 * (1.0 - 0.4 * (1.0 - 0.5 / 1.5))).abs() < 1e-9);
    }
}
