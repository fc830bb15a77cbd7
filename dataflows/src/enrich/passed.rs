//! Who passed which incident since this was last told.

use crate::hash::IdMap;
use crate::incidents::{Circle, LifeId, Near};
use crate::records::{Reading, Text};
use crate::time::Micros;
use crate::windows::counts::Sum;

/// See the module; by life, and whether it was active.
#[derive(Default)]
pub struct Passed {
    tallies: IdMap<(LifeId, bool), Tally>,
}

#[derive(Default)]
struct Tally {
    pings: i64,
    speed: Sum,
    vehicles: IdMap<Text, i64>,
}

impl Passed {
    /// Counts a ping in a circle, or takes it back.
    pub fn add(&mut self, circle: &Circle, time: Micros, vehicle: Text, speed: Reading, diff: i64) {
        let during = time >= circle.active;
        let tally = self.tallies.entry((circle.life, during)).or_default();
        tally.pings += diff;
        tally.speed.add_reading(speed, diff);
        if during {
            *tally.vehicles.entry(vehicle).or_default() += diff;
        }
    }

    /// Tells all of it.
    pub fn tell(&mut self) -> impl Iterator<Item = Near> {
        self.tallies.drain().map(|((life, during), Tally { pings, speed, vehicles })| {
            let vehicles = vehicles.into_iter().filter(|(_, pings)| *pings != 0).collect();
            Near { life, during, pings, speed, vehicles }
        })
    }
}
