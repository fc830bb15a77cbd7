//! What was asked of whoever holds the lake: a request goes once it is done, and not before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use citystream::parts::{Request, Wanted};

use crate::history::Named;

/// The rows of a file: whose, and of which commit.
pub(crate) type Whose = BTreeSet<(String, u64)>;

/// A request, and what was live when it came, as far as the run has been told.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    request: Request,
    live: Arc<BTreeSet<Named>>,
}

impl Asked {
    pub(crate) fn new(bytes: &[u8], live: Arc<BTreeSet<Named>>) -> Asked {
        Asked { request: serde_json::from_slice(bytes).expect("a request"), live }
    }

    /// It is written again: it says by now who does it, and what is meant.
    pub(crate) fn again(&mut self, bytes: &[u8]) {
        self.request = serde_json::from_slice(bytes).expect("a request");
    }

    /// It is deleted, and this is live.
    pub(crate) fn check(&self, live: &BTreeSet<Named>, rows: impl Fn(&str) -> Option<Whose>) {
        let mut left = self.live.intersection(live).map(|(_, path)| path.as_str());
        match &self.request.wanted {
            Wanted::Compact { .. } => {
                let mut dates: BTreeMap<&str, u32> = BTreeMap::new();
                left.for_each(|path| *dates.entry(date(path)).or_default() += 1);
                dates.retain(|_, files| *files > 1);
                assert!(dates.is_empty(), "{} is deleted, and files of {dates:?} are not packed", self.request.id);
            }
            Wanted::Retain { before } => {
                let is_old = |path: &&str| before.values().any(|before| date(path) < before.as_str());
                let old = left.find(is_old);
                assert_eq!(old, None, "{} is deleted, and a file is there", self.request.id);
            }
            Wanted::Erase(wanted) => {
                let Some(bound) = wanted.bound else { return };
                let is_meant = |(vehicle, seq): &(String, u64)| wanted.vehicle.as_str() == vehicle && *seq <= bound.seq;
                for (_, path) in live {
                    let meant = rows(path).and_then(|rows| rows.into_iter().find(is_meant));
                    assert_eq!(meant, None, "T4: {} is deleted, and {path} has rows", self.request.id);
                }
            }
        }
    }
}

/// The date of a file's rows.
fn date(path: &str) -> &str {
    path.split_once('=').map_or("", |(_, rest)| &rest[..10])
}
