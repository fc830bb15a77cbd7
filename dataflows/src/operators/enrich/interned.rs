//! What pings refer to by small numbers: vehicles, wider cells, the records that govern them.

use super::pings::{Held, Matches};
use crate::held::Amount;
use crate::operators::incidents::Circle;
use crate::operators::numbers::{Numbers, Slab};
use crate::operators::references::NONE;
use crate::operators::timeline::Stamped;
use crate::operators::weather_join::{Observation, WEATHER_REACH};
use crate::records::changes::{EnrichedPing, IncidentMatch, TrafficMatch, WeatherMatch};
use crate::records::hash::IdMap;
use crate::records::measures::distance_mm;
use crate::records::{Ping, Stamp, Status, TextId, Traffic};
use crate::time::Micros;

/// See the module.
#[derive(Default)]
pub struct Interned {
    /// Vehicles.
    pub vehicles: Numbers<TextId>,
    /// Cells of resolution 5.
    pub regions: Numbers<u64>,
    /// Traffic records in reach.
    pub traffic: Slab<Traffic>,
    /// Weather records that govern pings here.
    pub weather: Observations,
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
            precipitation: record.precipitation,
            rain: record.rain,
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

/// Weather records as they are shown, each once however many pings it governs.
#[derive(Default)]
pub struct Observations {
    kept: Slab<Observation>,
    numbers: IdMap<Stamp, u32>,
}

impl Observations {
    /// The number of what governs a ping.
    pub fn of(&mut self, observation: Option<&Observation>) -> u32 {
        let Some(observation) = observation else { return NONE };
        *self.numbers.entry(observation.stamp).or_insert_with(|| self.kept.keep(*observation))
    }

    /// What is kept under a number; none under any other.
    pub fn get(&self, number: u32) -> Option<&Observation> {
        self.kept.get(number)
    }

    /// The greater of two by their stamps.
    pub fn later(&self, one: u32, other: u32) -> u32 {
        let stamp = |number| self.get(number).map(|observation| observation.stamp);
        if stamp(one) < stamp(other) { other } else { one }
    }

    /// Frees what governs no ping from a time on.
    pub fn free_before(&mut self, time: Micros) {
        self.numbers.retain(|stamp, number| {
            let keep = stamp.time + WEATHER_REACH >= time;
            if !keep {
                self.kept.free(*number);
            }
            keep
        });
    }

    /// Its memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.kept.held().bytes + Amount::in_map::<(Stamp, u32)>(self.numbers.len()).bytes
    }
}
