//! What was asked of whoever holds the lake: a request goes once it is done, and not before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use citystream::parts::{Request, Wanted};

use crate::history::Named;

/// The rows of a file: whose, and of which commit.
pub(crate) type Whose = BTreeSet<(String, u64)>;

/// A request; the last commit that a run had been told of when it came, and what was live then.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    request: Request,
    told: u64,
    live: Arc<BTreeSet<Named>>,
}

impl Asked {
    pub(crate) fn new(bytes: &[u8], told: u64, live: Arc<BTreeSet<Named>>) -> Asked {
        let asked = Asked { request: serde_json::from_slice(bytes).expect("a request"), told, live };
        // Who erases alone was asked before it claimed the lake.
        if asked.erased().is_some() { Asked { told: 0, ..asked } } else { asked }
    }

    /// Whose rows are to go, and up to which commit, once somebody has taken it up.
    pub(crate) fn erased(&self) -> Option<(String, u64)> {
        let Wanted::Erase(wanted) = &self.request.wanted else { return None };
        Some((wanted.vehicle.as_str().to_owned(), wanted.bound?.seq))
    }

    /// It is written again: it says by now who does it, and what is meant.
    pub(crate) fn again(&mut self, bytes: &[u8]) {
        self.request = serde_json::from_slice(bytes).expect("a request");
        if let Some((_, through)) = self.erased() {
            let (id, told) = (&self.request.id, self.told);
            assert!(
                through >= told,
                "T4: of {id} rows up to commit {through} are meant, and {told} was there when it came"
            );
        }
    }

    /// It is deleted, and this is live; these are the rows of all files that are there, graves too.
    pub(crate) fn check<'a>(&self, live: &BTreeSet<Named>, mut there: impl Iterator<Item = (&'a str, &'a Whose)>) {
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
                let bound = wanted.bound.expect("T4: it is deleted, and nobody took it up");
                let is_meant = |(vehicle, seq): &(String, u64)| wanted.vehicle.as_str() == vehicle && *seq <= bound.seq;
                let left = there.find(|(_, rows)| rows.iter().any(is_meant));
                assert_eq!(left, None, "T4: {} is deleted, and rows are there", self.request.id);
            }
        }
    }
}

/// The date of a file's rows.
fn date(path: &str) -> &str {
    path.split_once('=').map_or("", |(_, rest)| &rest[..10])
}
