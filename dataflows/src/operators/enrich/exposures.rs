//! Who passed which incident since this was last told.

use crate::held::Amount;
use crate::operators::incidents::{Circle, LifeId, Near};
use crate::operators::numbers::Numbers;
use crate::operators::windows::counts::{Distinct, Sum};
use crate::records::hash::IdMap;
use crate::records::{Reading, TextId};
use crate::time::Micros;

/// See the module; by life, and whether it was active. Vehicles are numbers, which stay theirs until all is told.
#[derive(Default)]
pub struct Exposures {
    tallies: IdMap<(LifeId, bool), Tally>,
    /// What is being told.
    telling: Vec<((LifeId, bool), Tally)>,
    /// Bytes of the vehicles in all of them.
    passers: usize,
}

#[derive(Default)]
struct Tally {
    pings: i64,
    speed: Sum,
    vehicles: Distinct<u32>,
}

impl Exposures {
    /// Counts a ping in a circle, or takes it back.
    pub fn add(&mut self, circle: &Circle, time: Micros, vehicle: u32, speed: Reading, diff: i64) {
        let during = time >= circle.active;
        let tally = self.tallies.entry((circle.life, during)).or_default();
        tally.pings += diff;
        tally.speed.add_reading(speed, diff);
        if during {
            let before = tally.vehicles.bytes();
            tally.vehicles.add(vehicle, diff);
            self.passers = self.passers + tally.vehicles.bytes() - before;
        }
    }

    /// Tells of it while there is fuel; true once all is told. In portions: whoever counts it takes one before the next
    /// is made, so that it is not all here twice.
    pub fn tell(&mut self, fuel: &mut usize, names: &Numbers<TextId>, mut near: impl FnMut(Near)) -> bool {
        self.telling.extend(self.tallies.drain());
        while *fuel > 0
            && let Some(((life, during), Tally { pings, speed, vehicles })) = self.telling.pop()
        {
            *fuel = fuel.saturating_sub(1 + vehicles.count() as usize);
            self.passers -= vehicles.bytes();
            let vehicles = vehicles.iter().map(|(number, pings)| (names.value(number), pings)).collect();
            near(Near { life, during, pings, speed, vehicles });
        }
        self.telling.is_empty()
    }

    /// The memory of what is not told, in bytes.
    pub fn bytes(&self) -> usize {
        Amount::in_map::<((LifeId, bool), Tally)>(self.tallies.len()).bytes + self.passers
    }
}
