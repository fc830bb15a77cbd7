//! What a simulation is a function of.

use serde::Serialize;

use crate::draw::Draw;
use crate::effects::Effects;
use crate::refusal::OptionsError;
use crate::trouble::Trouble;

/// 2026-01-05T06:30:00Z, a Monday before the rush hour, in milliseconds: where simulated time starts unless told otherwise.
const START: i64 = 1_767_594_600_000;
const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;

/// What a simulation is a function of. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Options {
    /// The same seed, with the same other options, gives the same records.
    pub seed: u64,
    /// The number of vehicles, at least 1.
    pub vehicles: u32,
    /// Simulated time of the first records, since 1970.
    pub start_ms: i64,
    /// The least and the greatest time between two steps of a vehicle.
    pub step_ms: (i64, i64),
    /// Incidents an hour, all over the road.
    pub incidents_an_hour: f64,
    /// What makes vehicles slower.
    pub effects: Effects,
    /// What goes wrong on the way to the log.
    pub trouble: Trouble,
    /// The pipeline's L: late records are later than this, delayed ones are not.
    pub lateness_ms: i64,
    /// How far an event time may run ahead of the log, for the pipeline to take it.
    pub max_ahead_ms: i64,
    /// The longest record that the pipeline takes, in bytes.
    pub max_record: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seed: 1,
            vehicles: 750,
            start_ms: START,
            step_ms: (30_000, 60_000),
            incidents_an_hour: 6.0,
            effects: Effects::default(),
            trouble: Trouble::default(),
            lateness_ms: 10 * MINUTE,
            max_ahead_ms: DAY,
            max_record: 256 << 10,
        }
    }
}

impl Options {
    /// Refuses what makes no simulation.
    pub fn check(&self) -> Result<(), OptionsError> {
        let (least, greatest) = self.step_ms;
        if self.vehicles == 0 {
            return Err(OptionsError::NoVehicles);
        }
        if least < 1 || greatest < least || greatest > 60 * MINUTE {
            return Err(OptionsError::Step);
        }
        if !(0.0..=1000.0).contains(&self.incidents_an_hour) {
            return Err(OptionsError::Incidents);
        }
        if let Some((name, _)) = self.effects.all().into_iter().find(|(_, factor)| !(*factor > 0.0 && *factor <= 2.0)) {
            return Err(OptionsError::Effect(name));
        }
        self.trouble.check()?;
        if self.trouble.needs_lateness() && self.lateness_ms < MINUTE {
            return Err(OptionsError::Lateness);
        }
        Ok(())
    }

    /// Where all draws come from. Another start is another stretch of another city: no id comes again.
    pub(crate) fn draw(&self) -> Draw {
        Draw::new(self.seed).of(self.start_ms as u64)
    }
}

/// Where simulated time starts when the wall clock says `now_ms`: the same instant for everybody, so that a seed gives the
/// same records, unless that is less than 30 days ago; then half past six in the morning, 30 days ago.
pub fn default_start(now_ms: i64) -> i64 {
    START.min(now_ms / DAY * DAY - 30 * DAY + START % DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Options)) -> Option<OptionsError> {
        let mut options = Options::default();
        change(&mut options);
        options.check().err()
    }

    #[test]
    fn what_makes_no_simulation_is_refused() {
        assert_eq!(refusal(|_| {}), None);
        assert_eq!(refusal(|o| o.vehicles = 0), Some(OptionsError::NoVehicles));
        assert_eq!(refusal(|o| o.step_ms = (0, 5)), Some(OptionsError::Step));
        assert_eq!(refusal(|o| o.step_ms = (9, 5)), Some(OptionsError::Step));
        assert_eq!(refusal(|o| o.incidents_an_hour = f64::NAN), Some(OptionsError::Incidents));
        assert_eq!(refusal(|o| o.effects.snow = 0.0), Some(OptionsError::Effect("snow")));
        assert_eq!(refusal(|o| o.effects.rain = f64::NAN), Some(OptionsError::Effect("rain")));
        assert_eq!(refusal(|o| o.trouble.late = -0.1), Some(OptionsError::Share { name: "late", most: 1.0 }));
        assert_eq!(refusal(|o| o.trouble.ahead = f64::NAN), Some(OptionsError::Share { name: "ahead", most: 1.0 }));
        assert_eq!(refusal(|o| o.trouble.bursts = 0.3), Some(OptionsError::Share { name: "bursts", most: 0.25 }));
        assert_eq!(refusal(|o| (o.trouble.late, o.trouble.malformed) = (0.6, 0.5)), Some(OptionsError::Shares));
        assert_eq!(refusal(|o| o.lateness_ms = 0), None);
        assert_eq!(refusal(|o| (o.lateness_ms, o.trouble.late) = (0, 0.1)), Some(OptionsError::Lateness));
    }

    #[test]
    fn simulated_time_starts_in_the_past() {
        assert_eq!(default_start(START + 300 * DAY), START);
        assert_eq!(default_start(START + 5 * DAY + 1), START - 25 * DAY);
    }
}
