//! Weather that moves: the same all over an H3 cell of resolution 5 for ten minutes, as a weather model's refresh.
//!
//! Smooth fields of noise drift north-east and change as they go; a cell has their values at its centre.

use citystream_wire as wire;
use h3o::{CellIndex, LatLng};

use crate::draw::Draw;
use crate::effects::{Effects, hour_of};

/// How long the weather of a cell holds.
pub const REFRESH_MS: i64 = 600_000;

/// Kilometres a degree at these latitudes.
const KM_A_DEGREE: (f64, f64) = (111.2, 68.6);
/// Drift in km/h, to the north and to the east.
const DRIFT: (f64, f64) = (12.0, 35.0);
/// The size of what drifts, in km, and how long it lasts, in hours.
const SIZE: (f64, f64) = (45.0, 2.5);
/// Above this much cloud it is wet, heavier the more there is.
const WET: f64 = 0.58;

/// What condition a cell is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No cloud.
    Clear,
    /// Dry clouds.
    Clouds,
    /// Dry, but hazy.
    Mist,
    /// A little rain.
    Drizzle,
    /// Rain.
    Rain,
    /// Heavy rain.
    Thunderstorm,
    /// Snow.
    Snow,
}

impl Condition {
    /// OpenWeatherMap's word.
    pub fn name(self) -> &'static str {
        ["Clear", "Clouds", "Mist", "Drizzle", "Rain", "Thunderstorm", "Snow"][self as usize]
    }

    /// The factor of the speed in it.
    pub(crate) fn factor(self, effects: &Effects) -> f64 {
        match self {
            Condition::Drizzle | Condition::Rain | Condition::Thunderstorm => effects.rain,
            Condition::Snow => effects.snow,
            Condition::Clear | Condition::Clouds | Condition::Mist => 1.0,
        }
    }
}

/// The weather of a cell for one refresh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// What it is.
    pub condition: Condition,
    temperature_c: f64,
    rain_mm: f64,
    wind_speed_ms: f64,
    humidity_pct: i32,
    air_quality_index: f64,
    pressure_hpa: f64,
    visibility_m: f64,
}

/// The weather everywhere, at all times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sky(pub(crate) Draw);

impl Sky {
    /// The weather in a cell of resolution 5 at a time in milliseconds since 1970.
    pub(crate) fn over(&self, cell: CellIndex, ms: i64) -> Weather {
        let ms = ms.div_euclid(REFRESH_MS) * REFRESH_MS;
        let (centre, hours) = (LatLng::from(cell), ms as f64 / 3_600_000.0);
        let north = centre.lat() * KM_A_DEGREE.0 - hours * DRIFT.0;
        let east = centre.lng() * KM_A_DEGREE.1 - hours * DRIFT.1;
        let field = |number| noise(self.0.of(number), [north / SIZE.0, east / SIZE.0, hours / SIZE.1]);
        let (cloud, warmth, wind, haze) = (field(0), field(1), field(2), field(3));
        let afternoon = 1.0 - (hour_of(ms) - 14.0).abs() / 14.0;
        let temperature_c = -2.0 + 3.0 * afternoon + 14.0 * warmth;
        let condition = condition(cloud, temperature_c, haze);
        let wet = (cloud - WET).max(0.0);
        Weather {
            condition,
            temperature_c,
            // Rain alone, as OpenWeatherMap has it: snow is another field there.
            rain_mm: if condition == Condition::Snow { 0.0 } else { wet * 25.0 },
            wind_speed_ms: 1.0 + 14.0 * wind,
            humidity_pct: (45.0 + 50.0 * cloud).round() as i32,
            air_quality_index: 15.0 + 70.0 * haze,
            pressure_hpa: 1030.0 - 35.0 * cloud,
            visibility_m: if condition == Condition::Mist { 1_500.0 } else { 10_000.0 - 8_000.0 * wet },
        }
    }
}

impl Weather {
    /// What a record says of it.
    pub(crate) fn body(&self) -> wire::Weather<'static> {
        wire::Weather {
            condition: self.condition.name(),
            temperature_c: self.temperature_c,
            precipitation_mm: self.rain_mm,
            wind_speed_ms: self.wind_speed_ms,
            humidity_pct: self.humidity_pct,
            air_quality_index: Some(self.air_quality_index),
            pressure_hpa: self.pressure_hpa,
            visibility_m: Some(self.visibility_m),
        }
    }
}

fn condition(cloud: f64, temperature_c: f64, haze: f64) -> Condition {
    match cloud {
        c if c > WET && temperature_c < 1.5 => Condition::Snow,
        c if c > 0.85 => Condition::Thunderstorm,
        c if c > 0.64 => Condition::Rain,
        c if c > WET => Condition::Drizzle,
        _ if haze > 0.75 => Condition::Mist,
        c if c > 0.4 => Condition::Clouds,
        _ => Condition::Clear,
    }
}

/// Smooth noise between 0 and 1: the values at the corners of a grid, and between them what lies between.
fn noise(draw: Draw, at: [f64; 3]) -> f64 {
    let corner = at.map(f64::floor);
    let weight: [f64; 3] = std::array::from_fn(|i| {
        let t = at[i] - corner[i];
        t * t * (3.0 - 2.0 * t)
    });
    let mut sum = 0.0;
    for number in 0..8_u8 {
        let far: [bool; 3] = std::array::from_fn(|i| number >> i & 1 == 1);
        let key = (0..3).fold(draw, |draw, i| draw.of((corner[i] as i64 + i64::from(far[i])) as u64));
        let share: f64 = (0..3).map(|i| if far[i] { weight[i] } else { 1.0 - weight[i] }).product();
        sum += share * key.unit();
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use h3o::Resolution;

    use super::*;
    use crate::road::{Road, cell_of};

    fn cells() -> Vec<CellIndex> {
        let road = Road::bundled();
        let places = road.ways().iter().flat_map(|way| (0..30).map(|i| way.at(f64::from(i) * 6_000.0).place));
        places.map(|place| cell_of(place, Resolution::Five).unwrap()).collect()
    }

    #[test]
    fn there_is_weather_of_every_kind() {
        let sky = Sky(Draw::new(7));
        let mut counts = [0_u32; 7];
        for slot in 0..144 * 30 {
            for cell in cells() {
                counts[sky.over(cell, slot * REFRESH_MS).condition as usize] += 1;
            }
        }
        let total: u32 = counts.iter().sum();
        let rain = f64::from(counts[3] + counts[4] + counts[5]) / f64::from(total);
        assert!((0.15..0.35).contains(&rain), "{rain}: {counts:?}");
        assert!(counts.iter().all(|n| *n > total / 200), "{counts:?}");
    }

    #[test]
    fn it_holds_for_ten_minutes_and_moves() {
        let (sky, cells) = (Sky(Draw::new(7)), cells());
        let row = |slot: i64| cells.iter().map(|c| sky.over(*c, slot * REFRESH_MS)).collect::<Vec<_>>();
        assert_eq!(sky.over(cells[3], REFRESH_MS), sky.over(cells[3], 2 * REFRESH_MS - 1));
        assert_ne!(row(5), row(6));
        let changes = (0..144).filter(|s| row(*s)[9].condition != row(s + 1)[9].condition).count();
        assert!((5..100).contains(&changes), "{changes} changes a day");
    }

    #[test]
    fn rain_has_rain_and_snow_has_none() {
        let sky = Sky(Draw::new(9));
        for slot in 0..2_000 {
            let weather = sky.over(cells()[slot as usize % 60], slot * REFRESH_MS);
            let wet = matches!(weather.condition, Condition::Rain | Condition::Drizzle | Condition::Thunderstorm);
            assert_eq!(weather.rain_mm > 0.0, wet, "{weather:?}");
            assert!((0..=100).contains(&weather.humidity_pct) && weather.visibility_m > 0.0);
        }
    }
}
