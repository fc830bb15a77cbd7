//! What makes vehicles slower, and by how much: factors of the speed limit that multiply.

use serde::Serialize;

use crate::road::Kind;

/// The factors. 1 is no effect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effects {
    /// In rain, drizzle and thunderstorms.
    pub rain: f64,
    /// In snow.
    pub snow: f64,
    /// Around an incident, until two minutes after it is resolved.
    pub incident: f64,
    /// At the height of the rush hour, in towns.
    pub rush_town: f64,
    /// The same, on main roads.
    pub rush_trunk: f64,
    /// The same, on motorways.
    pub rush_motorway: f64,
}

impl Default for Effects {
    fn default() -> Self {
        Effects { rain: 0.85, snow: 0.6, incident: 0.4, rush_town: 0.55, rush_trunk: 0.75, rush_motorway: 0.9 }
    }
}

/// Hours of the day, UTC, and how much of the rush hour there is then; between them it changes evenly. Every day is a
/// working day.
const RUSH: [(f64, f64); 9] =
    [(0.0, 0.0), (6.0, 0.0), (8.0, 1.0), (10.0, 0.2), (15.5, 0.2), (17.0, 1.0), (18.0, 1.0), (20.0, 0.0), (24.0, 0.0)];

impl Effects {
    /// All of them, with their names as in flags.
    pub(crate) fn all(&self) -> [(&'static str, f64); 6] {
        [
            ("rain", self.rain),
            ("snow", self.snow),
            ("incident", self.incident),
            ("rush-town", self.rush_town),
            ("rush-trunk", self.rush_trunk),
            ("rush-motorway", self.rush_motorway),
        ]
    }

    /// The factor of the time of day on a kind of road.
    pub(crate) fn rush(&self, kind: Kind, hour: f64) -> f64 {
        let height = match kind {
            Kind::Town => self.rush_town,
            Kind::Trunk => self.rush_trunk,
            Kind::Motorway => self.rush_motorway,
        };
        1.0 - rush(hour) * (1.0 - height)
    }
}

/// How much of the rush hour there is at an hour of the day, 0 to 1.
pub(crate) fn rush(hour: f64) -> f64 {
    let next = RUSH.partition_point(|(at, _)| *at <= hour).clamp(1, RUSH.len() - 1);
    let ((from, low), (to, high)) = (RUSH[next - 1], RUSH[next]);
    low + (high - low) * (hour - from) / (to - from)
}

/// The hour of the day, UTC, with its fraction.
pub(crate) fn hour_of(ms: i64) -> f64 {
    ms.rem_euclid(86_400_000) as f64 / 3_600_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rush_hour_comes_and_goes() {
        let shown: Vec<f64> = [0.0, 7.0, 8.0, 9.0, 12.0, 17.5, 19.0, 23.9].map(rush).to_vec();
        assert_eq!(shown, [0.0, 0.5, 1.0, 0.6, 0.2, 1.0, 0.5, 0.0]);
        let effects = Effects::default();
        assert_eq!(effects.rush(Kind::Town, 8.0), 0.55);
        assert_eq!(effects.rush(Kind::Motorway, 3.0), 1.0);
        assert_eq!(hour_of(1_767_594_600_000), 6.5);
    }
}
