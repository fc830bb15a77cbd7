//! What pings refer to by small numbers: vehicles, wider cells, the records that govern them.

use std::hash::Hash;

use super::pings::{Held, Matches};
use super::references::Slab;
use crate::held::Amount;
use crate::operators::incidents::Circle;
use crate::operators::timeline::Stamped;
use crate::records::changes::{EnrichedPing, IncidentMatch, TrafficMatch, WeatherMatch};
use crate::records::hash::IdMap;
use crate::records::measures::distance_mm;
use crate::records::{Measure, Ping, Status, TextId, Traffic, Weather};

/// Values under small numbers, which are given again once nothing refers to them.
pub struct Numbers<K> {
    values: Slab<K>,
    numbers: IdMap<K, u32>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Numbers { values: Slab::default(), numbers: IdMap::default() }
    }
}

impl<K: Copy + Eq + Hash> Numbers<K> {
    /// A value's number.
    pub fn of(&mut self, value: K) -> u32 {
        *self.numbers.entry(value).or_insert_with(|| self.values.keep(value))
    }

    /// The value of a number that was given, and is not free.
    pub fn value(&self, number: u32) -> K {
        *self.values.at(number)
    }

    /// Its memory, in bytes.
    pub fn bytes(&self) -> usize {
        Amount::in_map::<(K, u32)>(self.numbers.len()).bytes + self.bound() * size_of::<K>()
    }

    /// All numbers are below this.
    pub fn bound(&self) -> usize {
        self.values.bound()
    }

    /// Frees the numbers that nothing refers to.
    pub fn free_unused(&mut self, mut is_used: impl FnMut(u32) -> bool) {
        self.numbers.retain(|_, number| {
            let keep = is_used(*number);
            if !keep {
                self.values.free(*number);
            }
            keep
        });
    }
}

/// See the module.
#[derive(Default)]
pub struct Interned {
    /// Vehicles.
    pub vehicles: Numbers<TextId>,
    /// Cells of resolution 5.
    pub regions: Numbers<u64>,
    /// Traffic records in reach.
    pub traffic: Slab<Traffic>,
    /// Weather records in reach.
    pub weather: Slab<Weather>,
    /// Statuses of incidents in reach.
    pub statuses: Slab<Status>,
    /// Circles around incidents.
    pub circles: Slab<Circle>,
}

impl Interned {
    /// A ping's row.
    pub fn row(&self, c8: u64, held: &Held, matches: Matches) -> EnrichedPing {
        let (stamp, at) = (held.stamp(), held.at());
        let (vehicle, c5) = (self.vehicles.value(held.vehicle), self.regions.value(held.region));
        let ping = Ping { stamp, vehicle, at, speed: held.speed, c8, c5 };
        let traffic = self.traffic.get(matches.traffic).map(|record| TrafficMatch {
            stamp: record.stamp,
            distance_mm: distance_mm(at, record.at),
            source: record.source,
            level: record.level,
            current: record.current,
            free_flow: record.free_flow,
        });
        let weather = self.weather.get(matches.weather).map(|record| WeatherMatch {
            stamp: record.stamp,
            distance_mm: distance_mm(at, record.at),
            source: record.source,
            condition: record.condition,
            sky: record.sky,
            precipitation: record.measures[Measure::Precipitation as usize],
            rain: record.is_rain(),
        });
        let incidents = self.statuses.get(matches.status).map(|status| IncidentMatch {
            active: matches.active.into(),
            incident: status.incident,
            stamp: status.stamp,
            distance_mm: distance_mm(at, status.at),
            source: status.source,
        });
        EnrichedPing { ping, traffic, weather, incidents }
    }
}
