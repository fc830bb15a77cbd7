//! On time, late, expired or duplicate: what a row is, decided once, in that order: late, expired, duplicate.

use serde::{Deserialize, Serialize};

use crate::time::bindings::Partition;
use crate::time::{MINUTE, Micros, window};

/// The length of the windows of log time that every record counts in.
pub const QUALITY_WINDOW: Micros = 15 * MINUTE;

/// The start of the window of data quality in which a record counts: that of its partition's log clock. `None` if the
/// horizon has sealed it: then the record is *missed*, and counts in no window.
pub fn quality_window(log_clock: Micros, horizon: Option<Micros>) -> Option<Micros> {
    let start = window(log_clock, QUALITY_WINDOW);
    horizon.is_none_or(|horizon| start + QUALITY_WINDOW > horizon).then_some(start)
}

/// What a row of a raw table is. Only on-time rows change derived tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Disposition {
    /// Counts.
    OnTime,
    /// Reached the log more than L after its event time.
    Late,
    /// In time for its partition, but behind the horizon.
    Expired,
    /// Has the id and event time of an earlier on-time record of its partition.
    Duplicate,
}

impl Disposition {
    /// All dispositions, in the order of their discriminants.
    pub const ALL: [Disposition; 4] =
        [Disposition::OnTime, Disposition::Late, Disposition::Expired, Disposition::Duplicate];

    /// The name used in the tables.
    pub fn name(self) -> &'static str {
        ["on_time", "late", "expired", "duplicate"][self as usize]
    }

    /// The disposition of that name.
    pub fn from_name(name: &str) -> Option<Disposition> {
        Disposition::ALL.into_iter().find(|disposition| disposition.name() == name)
    }
}

/// What decides a row's disposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowMeta {
    /// Where it was read.
    pub partition: Partition,
    /// The time it carries.
    pub event_time: Micros,
    /// The log clock of its partition, this record included.
    pub log_clock: Micros,
    /// A 128-bit hash of its id and event time.
    pub identity: u128,
}
