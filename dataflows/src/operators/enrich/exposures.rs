//! Who passed which incident since this was last told.

use crate::operators::incidents::{Circle, LifeId, Near};
use crate::operators::windows::counts::Sum;
use crate::records::hash::IdMap;
use crate::records::{Reading, TextId};
use crate::time::Micros;

/// See the module; by life, and whether it was active.
#[derive(Default)]
pub struct Exposures {
    tallies: IdMap<(LifeId, bool), Tally>,
}

#[derive(Default)]
struct Tally {
    pings: i64,
    speed: Sum,
    vehicles: IdMap<TextId, i64>,
}

impl Exposures {
    /// Counts a ping in a circle, or takes it back.
    pub fn add(&mut self, circle: &Circle, time: Micros, vehicle: TextId, speed: Reading, diff: i64) {
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
