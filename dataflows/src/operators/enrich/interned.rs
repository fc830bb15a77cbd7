//! What pings refer to by small numbers: vehicles, wider cells, the records that govern them.

use super::pings::{Held, Matches};
use crate::operators::incidents::Circle;
use crate::operators::numbers::{Numbers, Slab};
use crate::operators::timeline::Stamped;
use crate::records::changes::{EnrichedPing, IncidentMatch, TrafficMatch, WeatherMatch};
use crate::records::measures::distance_mm;
use crate::records::{Measure, Ping, Status, TextId, Traffic, Weather};

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
