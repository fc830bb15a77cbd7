//! What a verification found.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::lake::history::Violation;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The first commit read: those before are kept no longer.
    pub first: u64,
    /// Commits read.
    pub commits: u64,
    /// Bindings compared with the offsets in the files.
    pub bindings: u64,
    /// Files read.
    pub files: u64,
    /// Rows read, dead letters included.
    pub rows: u64,
    /// Rows that are kept no longer: of them only sums are checked.
    pub beyond: u64,
    /// Rows that are erased: likewise.
    pub erased: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Delta versions compared.
    pub versions: u64,
    /// Delta checkpoints compared.
    pub checkpoints: u64,
    /// Roots compared, with their parts.
    pub roots: u64,
    /// How many versions each Delta table is behind; the next start publishes them.
    pub behind: BTreeMap<String, u64>,
    /// What is wrong, one line each. Empty: the lake is sound.
    pub violations: Vec<String>,
    /// Where something is wrong or missing that follows from the commits: roots, parts, Delta logs, the table of commits.
    pub derived: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn sound(&self) -> bool {
        self.violations.is_empty()
    }

    /// Notes what is wrong with something that follows from the commits.
    pub(super) fn note_derived(&mut self, path: String, violation: String) {
        self.violations.push(violation);
        self.derived.push(path);
    }

    pub(in crate::lake) fn note(&mut self, result: Result<(), Violation>) {
        if let Err(Violation(text)) = result {
            self.violations.push(text);
        }
    }
}
