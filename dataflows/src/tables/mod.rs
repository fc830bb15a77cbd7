//! The derived tables. Each is declared in a file of its own, with all that is known of it; this is the list of them.
//! Whatever goes over tables (schemas, files, documents, recovery, explanations, checks) goes over this list.

mod block;
mod columns;
mod declaration;
mod lookup;

pub mod congestion_1h;
pub mod data_quality_15m;
pub mod enriched_pings;
pub mod environment_15m;
pub mod incident_exposures;
pub mod incidents;
pub mod traffic_5m;
pub mod vehicle_15m;

use timely::dataflow::StreamVec;

use crate::city::City;
use crate::time::Epoch;

pub use block::{Block, Rows, Validity, Values, Words};
pub use columns::{Column, Columns, Kind};
pub use declaration::{
    Counted, Declaration, Derived, Intern, Needs, Recovery, Resume, Sealing, Subject, Total, centre, record_key,
};
pub use lookup::{Fields, From, Select, Then, Wanted, When, behind_pings, cell_and_start, cell_key};

pub use crate::time::window;

/// The column with the start of a row's window.
pub const WINDOW_START: &str = "window_start";

/// The list. New tables go to its end.
static DECLARATIONS: &[&Declaration] = &[
    &enriched_pings::TABLE,
    &traffic_5m::TABLE,
    &vehicle_15m::TABLE,
    &environment_15m::TABLE,
    &incidents::TABLE,
    &data_quality_15m::TABLE,
    &congestion_1h::TABLE,
    &incident_exposures::TABLE,
];

/// How many of the list the lakes have that were made before lakes named their tables.
const ORIGINAL: usize = 6;

/// The changes of some tables and what of them is sealed, at the epochs that end commits.
pub fn derive<'scope>(
    city: &City<'scope>,
    tables: impl IntoIterator<Item = Derived>,
) -> Vec<StreamVec<'scope, Epoch, Block>> {
    tables.into_iter().map(|table| (table.build)(city)).collect()
}
