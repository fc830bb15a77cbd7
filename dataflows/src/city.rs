//! The city dataflow: from on-time records to the changes of the derived tables.
//!
//! ```text
//! pings ---------+---------------> enrich ---+--> traffic_5m
//! traffic -------+------------------^        +--> environment_15m
//! weather -------+------------------^        +--> enriched_pings
//! statuses --> lives -- circles ----^- near --+
//!                \-----------------------------+-> incidents
//! vehicle records, pings ----------------------> vehicle_15m
//! deliveries ----------------------------------> data_quality_15m
//! ```
//!
//! A function of the records and the turns alone. Rows leave at the epoch that ends their commit, at most one -1 and
//! one +1 for a key (P2).

use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concat;

use crate::changes::{
    Change, EnrichedPing, EnvironmentWindow, IncidentRow, QualityWindow, TrafficWindow, VehicleWindow,
};
use crate::enrich::{self, Enriched, enrich};
use crate::incidents::{Seed, incidents, lives};
use crate::records::{Delivery, Ping, Status, Traffic, VehicleRecord, Weather};
use crate::time::Epoch;
use crate::turns::Turn;
use crate::windows::{environment, quality, traffic, vehicle};

/// On-time records, wherever they were read, and what became of all of them.
pub struct Records<'scope> {
    /// Vehicle records.
    pub vehicles: StreamVec<'scope, Epoch, VehicleRecord>,
    /// Pings.
    pub pings: StreamVec<'scope, Epoch, Ping>,
    /// Traffic records.
    pub traffic: StreamVec<'scope, Epoch, Traffic>,
    /// Weather records.
    pub weather: StreamVec<'scope, Epoch, Weather>,
    /// Statuses of incidents.
    pub statuses: StreamVec<'scope, Epoch, Status>,
    /// What became of every record.
    pub deliveries: StreamVec<'scope, Epoch, Delivery>,
    /// Lives of incidents that the lake has: at the first epoch of a run only.
    pub seeds: StreamVec<'scope, Epoch, Seed>,
}

/// The changes of the derived tables, at the epochs that end commits.
pub struct Changes<'scope> {
    /// enriched_pings.
    pub pings: StreamVec<'scope, Epoch, Change<EnrichedPing>>,
    /// traffic_5m.
    pub traffic: StreamVec<'scope, Epoch, Change<TrafficWindow>>,
    /// vehicle_15m.
    pub vehicles: StreamVec<'scope, Epoch, Change<VehicleWindow>>,
    /// environment_15m.
    pub environment: StreamVec<'scope, Epoch, Change<EnvironmentWindow>>,
    /// incidents.
    pub incidents: StreamVec<'scope, Epoch, Change<IncidentRow>>,
    /// data_quality_15m.
    pub quality: StreamVec<'scope, Epoch, Change<QualityWindow>>,
}

/// Builds the city dataflow; see the module.
pub fn city<'scope>(turns: StreamVec<'scope, Epoch, Turn>, records: Records<'scope>) -> Changes<'scope> {
    let Records { vehicles, pings, traffic: traffic_records, weather, statuses, deliveries, seeds } = records;
    let traffic_records = enrich::by_cell(traffic_records);
    let (lives, circles) = lives(turns.clone(), statuses.clone(), seeds);
    let inputs = enrich::Inputs {
        pings: pings.clone(),
        traffic: traffic_records.clone(),
        weather: weather.clone(),
        statuses,
        circles,
    };
    let Enriched { rows, recalled, near } = enrich(turns.clone(), inputs);
    let enriched = rows.clone().concat(recalled);
    Changes {
        pings: rows,
        traffic: traffic::traffic(turns.clone(), enriched.clone(), traffic_records),
        vehicles: vehicle::vehicle(turns.clone(), pings, vehicles),
        environment: environment::environment(turns.clone(), weather, enriched),
        incidents: incidents(turns.clone(), lives, near),
        quality: quality::quality(turns, deliveries),
    }
}
