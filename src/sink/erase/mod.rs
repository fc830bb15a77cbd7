//! Erasure: a vehicle is forgotten (T4). Files that have rows of it are made anew without them, and commits put these in their place.
//!
//! ```text
//! request -> which files have its rows (known.rs) -> which may go now (plan.rs) -> files without them (rewrite.rs) -> a commit
//!    ^                                                                                                                  |
//!    +----------- stays until nothing is left that waits, graves and orphans are swept (src/lake/traces.rs) -------------+
//! ```
//!
//! What a start would read stays until no start does: rows that are derived from it are in the lake, and would come out otherwise. Until
//! then the erasure is pending. Of a derived table all rows of a key go at once, of all its files of that date, so that what is
//! left of its log still adds up. Windows that count one vehicle go before the records that tell whose they are.

mod alone;
mod known;
mod plan;
mod rewrite;

use std::collections::BTreeMap;

pub use alone::{Outcome, Outcomes, add, alone, would_go};

use self::known::Known;
use self::rewrite::{Rewrite, rewrite};
use super::tidy::{Pace, TidyError};
use crate::columns::tables::Table;
use crate::columns::whose::{Bound, Whose};
use crate::lake::Lake;
use crate::lake::history::commit::{Commit, Count, Erased, File};
use crate::lake::history::requests::Erase;
use crate::lake::history::{State, layout, tidy};

/// So many files are made anew for one commit, but for the rest of a date of a derived table.
const MOST: usize = 200;

/// A table and a date, `YYYY-MM-DD`.
pub type Place = (Table, String);

/// A vehicle that is being forgotten.
pub struct Erasure {
    /// The request.
    pub id: String,
    whose: String,
    known: Known,
}

/// Files without the rows, for one commit.
#[derive(Debug)]
pub struct Step {
    /// The request.
    pub id: String,
    whose: String,
    through: u64,
    rewrites: Vec<Rewrite>,
}

/// What there is to do now.
pub struct Progress {
    /// What the next commit is to name, if there is something.
    pub step: Option<Step>,
    /// So many files wait until no start reads them.
    pub pending: usize,
    /// Files that are not what their commits say, and why: what they have of it is there still.
    pub damaged: BTreeMap<String, String>,
}

impl Erasure {
    /// Of a request, whose bound is known.
    pub fn new(id: &str, wanted: &Erase, bound: Bound) -> Erasure {
        Erasure { id: id.to_owned(), whose: wanted.whose(), known: Known::new(Whose::new(&wanted.vehicle, bound)) }
    }

    /// Which rows are meant, up to a commit: derived rows of later ones go by the last time that a record has.
    ///
    /// # Errors
    /// The store's; a file that is damaged.
    pub async fn bind(&mut self, lake: &Lake, state: &State, pace: &mut Pace<'_>) -> Result<Bound, TidyError> {
        self.known.look_at_records(lake, state, pace).await?;
        Ok(self.known.bind())
    }

    /// Whose rows, and which.
    pub fn meant(&self) -> &Whose {
        &self.known.whose
    }

    /// Makes what may be made now, of places where nobody is at work, for commits of a run that has made `made` files so far.
    ///
    /// # Errors
    /// The store's; a file that is damaged; a file that is not what it was made of.
    pub async fn step(
        &mut self,
        lake: &Lake,
        state: &State,
        (run, made): (&str, &mut u64),
        is_busy: &dyn Fn(&Place) -> bool,
        pace: &mut Pace<'_>,
    ) -> Result<Progress, TidyError> {
        self.known.look(lake, state, pace).await?;
        let plan::Plan { due, pending } = self.known.plan(state.horizon, MOST, is_busy);
        let mut rewrites = Vec::new();
        for plan::Due { table, file, keys, .. } in due {
            *made += 1;
            let path = layout::erased_file(table.name(), &file.date, run, *made);
            rewrites.push(rewrite(lake, (table, file), path, (&self.known.whose, keys.as_deref()), pace).await?);
        }
        let through = self.known.whose.bound.seq;
        let step = Step { id: self.id.clone(), whose: self.whose.clone(), through, rewrites };
        let damaged = self.known.damaged.clone();
        Ok(Progress { step: Some(step).filter(|step| !step.rewrites.is_empty()), pending, damaged })
    }
}

impl Erasure {
    /// What would go at once, and how many files would wait.
    async fn counted(
        &mut self,
        lake: &Lake,
        state: &State,
        pace: &mut Pace<'_>,
    ) -> Result<(Outcomes, usize), TidyError> {
        self.known.look(lake, state, pace).await?;
        let plan::Plan { due, pending } = self.known.plan(state.horizon, usize::MAX, &|_| false);
        let mut outcomes = Outcomes::new();
        for plan::Due { table, rows, .. } in due {
            let outcome = outcomes.entry(table.name().to_owned()).or_default();
            (outcome.files, outcome.rows) = (outcome.files + 1, outcome.rows + rows);
        }
        Ok((outcomes, pending))
    }
}

impl Step {
    /// The tables and dates whose files it takes the place of.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.rewrites.iter().map(|rewrite| (rewrite.table, rewrite.removed.date.clone()))
    }

    /// Puts it into a commit that follows a state, but for places that are dropped; those.
    pub fn record(self, state: Option<&State>, commit: &mut Commit, is_dropped: impl Fn(&Place) -> bool) -> Vec<Place> {
        let Step { id, whose, through, rewrites } = self;
        let mut tables: BTreeMap<&'static str, OfTable> = BTreeMap::new();
        let mut dropped = Vec::new();
        for Rewrite { table, removed, added, counts } in rewrites {
            let place = (table, removed.date.clone());
            if is_dropped(&place) {
                dropped.push(place);
                continue;
            }
            let of_table = tables.entry(table.name()).or_default();
            of_table.removed.push(removed);
            of_table.added.extend(added);
            of_table.counts.extend(counts);
        }
        for (table, OfTable { removed, added, counts }) in tables {
            let last = state.and_then(|state| state.erased.get(table)).map(|sum| sum.last);
            let erased = Erased { whose: whose.clone(), through, last, counts: merged(counts) };
            tidy::record_erased(commit, table, (removed, added), erased, Some(id.clone()));
        }
        dropped
    }
}

/// What is erased of a table.
#[derive(Default)]
struct OfTable {
    removed: Vec<File>,
    added: Vec<File>,
    counts: Vec<Count>,
}

/// Counts of one kind together.
fn merged(counts: Vec<Count>) -> Vec<Count> {
    let mut kinds: BTreeMap<_, Count> = BTreeMap::new();
    for count in counts {
        let kind = (count.date.clone(), count.place, count.disposition);
        match kinds.get_mut(&kind) {
            None => drop(kinds.insert(kind, count)),
            Some(held) => {
                (held.rows, held.net) = (held.rows + count.rows, held.net + count.net);
                for (column, sum) in count.sums {
                    *held.sums.entry(column).or_default() += sum;
                }
            }
        }
    }
    kinds.into_values().collect()
}
