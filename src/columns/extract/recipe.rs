//! What rows of a topic become, by its declaration: the columns that are read, and what makes records of them.

use citystream_dataflows::time::disposition::Disposition;
use citystream_wire::Becomes;

use super::columns::Columns;
use super::{ExtractError, Extractor, Records, traffic};
use crate::columns::tables::{EVENT_TIME, LOG_TIME, QUALITY_WINDOW, Table};

/// What rows become.
pub(super) struct Recipe {
    /// The columns that are read, beside those that all rows have.
    columns: &'static [&'static str],
    /// Appends what the on-time rows become.
    pub(super) make: Make,
}

type Make = fn(&mut Extractor, &Columns<'_>, &[Disposition], &mut Records) -> Result<(), ExtractError>;

/// What is read of the rows of every topic: where they stand, and when they were.
const OF_ALL: &[&str] = &["partition", "offset", LOG_TIME, EVENT_TIME];

/// The columns that [`stored`](super::stored) rows of a table need; none of a derived table.
pub fn columns(table: Table) -> Vec<&'static str> {
    match table.topic() {
        Some(topic) => [of(topic.declaration().becomes).columns, OF_ALL, &["disposition", QUALITY_WINDOW]].concat(),
        None if table == Table::DeadLetters => vec!["topic", "reason", QUALITY_WINDOW],
        None => Vec::new(),
    }
}

/// The one place that tells apart what topics become.
pub(super) fn of(becomes: Becomes) -> Recipe {
    match becomes {
        Becomes::Vehicles => {
            Recipe { columns: &["device_id", "fuel_level_pct", "odometer_km"], make: Extractor::vehicles }
        }
        Becomes::Pings => {
            Recipe { columns: &["device_id", "speed_kmh", "lat", "lon", "h3_8", "h3_5"], make: Extractor::pings }
        }
        Becomes::Traffic => Recipe {
            columns: &[
                "lat",
                "lon",
                "h3_8",
                "traffic_level",
                "current_speed_kmh",
                "free_flow_speed_kmh",
                "road_closure",
                "source",
            ],
            make: |_, rows, on, into| traffic(rows, on, into),
        },
        Becomes::Weather => Recipe {
            columns: &[
                "lat",
                "lon",
                "h3_5",
                "temperature_c",
                "weather_condition",
                "precipitation_mm",
                "wind_speed_ms",
                "humidity_pct",
                "air_quality_index",
                "pressure_hpa",
                "visibility_m",
                "source",
            ],
            make: Extractor::weather,
        },
        Becomes::Statuses => Recipe {
            columns: &["id", "lat", "lon", "has_incident", "incident_id", "type", "status", "severity", "source"],
            make: Extractor::statuses,
        },
        Becomes::Nothing => Recipe { columns: &[], make: |_, _, _, _| Ok(()) },
    }
}
