//! What a simulation is a function of.

/// 2026-01-01T00:00:00Z in milliseconds: where simulated time starts unless told otherwise.
const START: i64 = 1_767_225_600_000;
const DAY: i64 = 86_400_000;
/// The records of one step: one a topic.
const STEP: f64 = 5.0;

/// What a simulation is a function of. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct SimOptions {
    /// The same seed, with the same other options, gives the same records.
    pub seed: u64,
    /// The number of vehicles, at least 1.
    pub vehicles: u32,
    /// Simulated time of the first records, since 1970.
    pub start_ms: i64,
    /// The least and the greatest time between two steps of a vehicle.
    pub step_ms: (i64, i64),
    /// What the records' keys are.
    pub key: Key,
    /// What goes wrong on the way.
    pub faults: Faults,
    /// The pipeline's L: late records are later than this, records out of order are not.
    pub lateness_ms: i64,
}

/// What the records' keys are. Either way all records of a vehicle go to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The record's id, as with the original producer.
    Id,
    /// The device's id.
    Device,
}

/// Shares of the records, between 0 and 1, together at most 1. A record has one fault at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Sent after later ones, but in time.
    pub out_of_order: f64,
    /// Sent later than the lateness.
    pub late: f64,
    /// Sent twice.
    pub duplicates: f64,
    /// Not readable.
    pub malformed: f64,
}

/// Why options make no simulation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// Nobody to report.
    #[error("--vehicles must be at least 1")]
    NoVehicles,
    /// A share that is none.
    #[error(
        "the shares of records out of order, late, duplicate and malformed must be 0 to 1 each, and 1 at most together"
    )]
    Shares,
    /// A rate or time scale that is none.
    #[error("--rate and --time-scale must be positive numbers")]
    Pace,
}

impl Default for SimOptions {
    fn default() -> Self {
        SimOptions {
            seed: 1,
            vehicles: 200,
            start_ms: START,
            step_ms: (30_000, 60_000),
            key: Key::Id,
            faults: Faults::default(),
            lateness_ms: 600_000,
        }
    }
}

impl SimOptions {
    /// Sets the time between steps so that `rate` records a second of real time are `time_scale` seconds of simulated
    /// time: vehicles report more or less often. Without a rate it stays at the original's 30 to 60 s.
    pub fn paced(mut self, rate: Option<f64>, time_scale: f64) -> Result<Self, OptionsError> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if !positive(time_scale) || !rate.is_none_or(positive) {
            return Err(OptionsError::Pace);
        }
        if let Some(rate) = rate {
            let mean = f64::from(self.vehicles) * STEP * time_scale / rate * 1000.0;
            let mean = mean.clamp(30.0, 3_600_000.0);
            self.step_ms = ((mean * 2.0 / 3.0) as i64, (mean * 4.0 / 3.0) as i64);
        }
        Ok(self)
    }

    /// Refuses what makes no simulation.
    pub fn check(&self) -> Result<(), OptionsError> {
        let Faults { out_of_order, late, duplicates, malformed } = self.faults;
        let shares = [out_of_order, late, duplicates, malformed];
        if self.vehicles == 0 {
            return Err(OptionsError::NoVehicles);
        }
        if shares.iter().any(|s| !(0.0..=1.0).contains(s)) || shares.iter().sum::<f64>() > 1.0 {
            return Err(OptionsError::Shares);
        }
        Ok(())
    }
}

/// Where simulated time starts when the wall clock says `now_ms`: the same instant for everybody, so that a seed gives the
/// same records, unless that is less than 30 days ago.
pub fn default_start(now_ms: i64) -> i64 {
    START.min(now_ms / DAY * DAY - 30 * DAY)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_sets_how_often_vehicles_report() {
        let options = SimOptions { vehicles: 200, ..SimOptions::default() };
        assert_eq!(options.clone().paced(None, 60.0).unwrap().step_ms, (30_000, 60_000));
        assert_eq!(options.clone().paced(Some(5000.0), 60.0).unwrap().step_ms, (8_000, 16_000));
        for (rate, scale) in [(Some(0.0), 1.0), (Some(f64::NAN), 1.0), (None, -1.0), (None, f64::INFINITY)] {
            assert_eq!(options.clone().paced(rate, scale), Err(OptionsError::Pace));
        }
    }

    #[test]
    fn shares_are_shares() {
        let with = |faults| SimOptions { faults, ..SimOptions::default() }.check();
        assert_eq!(with(Faults { late: 0.5, malformed: 0.5, ..Faults::default() }), Ok(()));
        assert_eq!(with(Faults { late: 0.6, malformed: 0.5, ..Faults::default() }), Err(OptionsError::Shares));
        assert_eq!(with(Faults { late: -0.1, ..Faults::default() }), Err(OptionsError::Shares));
        assert_eq!(with(Faults { late: f64::NAN, ..Faults::default() }), Err(OptionsError::Shares));
        assert_eq!(SimOptions { vehicles: 0, ..SimOptions::default() }.check(), Err(OptionsError::NoVehicles));
    }

    #[test]
    fn simulated_time_starts_in_the_past() {
        assert_eq!(default_start(START + 300 * DAY), START);
        assert_eq!(default_start(START + 5 * DAY + 1), START - 25 * DAY);
    }
}
