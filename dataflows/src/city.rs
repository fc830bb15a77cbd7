//! The city dataflow: from on-time records to what the derived tables are made of.
//!
//! ```text
//! pings ---> weather_join -- with weather --> enrich ---> enriched pings
//! weather ------^  \                           ^  ^  \
//!                   \--> drives                |  |   \-- near --+
//! traffic -------------------------------------+  |              |
//! statuses --> lives -- circles ------------------+--------------+-> exposures
//!                \------------------------------------------------> lives
//! ```
//!
//! A function of the records and the closes of epochs alone. Each [derived table](crate::tables) takes of these streams what it
//! needs; its rows leave at the epoch that ends their commit, at most one -1 and one +1 for a key (P2).

use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concat;

use crate::operators::enrich::{self, Enriched, enrich};
use crate::operators::incidents::{Exposed, LifeEvent, Passed, Seed, exposures, lives};
use crate::operators::stage::Closes;
use crate::operators::weather_join::{Drive, at_home, weather_join};
use crate::records::changes::{Change, EnrichedPing, VehicleExposure};
use crate::records::{Delivery, Ping, Status, Traffic, VehicleRecord, Weather};
use crate::time::Epoch;

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

/// What is known of the city: the streams that derived tables are made of.
pub struct City<'scope> {
    /// What closes epochs.
    pub closes: Closes<'scope>,
    /// Vehicle records, where they were read.
    pub vehicles: StreamVec<'scope, Epoch, VehicleRecord>,
    /// Pings, where they were read.
    pub pings: StreamVec<'scope, Epoch, Ping>,
    /// Traffic records, by cell.
    pub traffic: StreamVec<'scope, Epoch, Traffic>,
    /// Weather records, by wider cell and half hour.
    pub weather: StreamVec<'scope, Epoch, Weather>,
    /// Pings with a speed in rain or on a dry road, likewise, with what a start recovers.
    pub drives: StreamVec<'scope, Epoch, Drive>,
    /// What became of every record.
    pub deliveries: StreamVec<'scope, Epoch, Delivery>,
    /// The changes of enriched pings, by cell: what is written. Not for windows: what a start recovers is not in it.
    pub enriched_changes: StreamVec<'scope, Epoch, Change<EnrichedPing>>,
    /// The enriched pings that are final, by cell.
    pub enriched_sealed: StreamVec<'scope, Epoch, EnrichedPing>,
    /// The changes with what a start recovers, at the first epoch of a run: what windows are made of.
    pub enriched: StreamVec<'scope, Epoch, Change<EnrichedPing>>,
    /// Lives of incidents, by incident.
    pub lives: StreamVec<'scope, Epoch, LifeEvent>,
    /// The changes of who passed which life, by incident: what is written.
    pub exposures: StreamVec<'scope, Epoch, Change<VehicleExposure>>,
    /// Those that are final, by incident.
    pub exposures_sealed: StreamVec<'scope, Epoch, VehicleExposure>,
    /// What they add to the lives, by incident, with what a start recovers.
    pub exposed: StreamVec<'scope, Epoch, Exposed>,
}

impl<'scope> City<'scope> {
    /// Builds the dataflow that all tables share; see the module.
    pub fn new(closes: impl Into<Closes<'scope>>, records: Records<'scope>) -> City<'scope> {
        let closes = closes.into();
        let Records { vehicles, pings, traffic, weather, statuses, deliveries, seeds } = records;
        let traffic = enrich::by_cell(traffic);
        let (lives, circles) = lives(closes.clone(), statuses.clone(), seeds);
        let weather = at_home(weather);
        let own = weather.own.clone();
        let (joined, drives) = weather_join(closes.clone(), pings.clone(), weather);
        let inputs = enrich::Inputs { joined, traffic: traffic.clone(), statuses, circles: circles.clone() };
        let Enriched { rows, recovered, near, sealed: enriched_sealed } = enrich(closes.clone(), inputs);
        let Passed { rows: exposures, sealed: exposures_sealed, exposed } = exposures(closes.clone(), circles, near);
        let (enriched_changes, enriched) = (rows.clone(), rows.concat(recovered));
        City {
            closes,
            vehicles,
            pings,
            traffic,
            weather: own,
            drives,
            deliveries,
            enriched_changes,
            enriched_sealed,
            enriched,
            lives,
            exposures,
            exposures_sealed,
            exposed,
        }
    }
}
