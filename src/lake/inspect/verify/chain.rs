//! The commits that are verified: all of a history, or those after its base, which is believed.

use std::collections::BTreeSet;

use crate::lake::history::commit::{Commit, File, Made};
use crate::lake::history::{State, retention};

/// See the module.
#[derive(Default)]
pub(super) struct Chain {
    /// Where the history stood before them; `None`: they are all that there are.
    pub(super) base: Option<State>,
    pub(super) commits: Vec<Commit>,
    /// Whether one is missing, or cannot be read, and those after it cannot be judged.
    pub(super) is_broken: bool,
}

/// Some dates of a table.
pub(super) struct Dates<'a> {
    before: Option<&'a str>,
    others: BTreeSet<&'a str>,
}

impl Dates<'_> {
    pub(super) fn contains(&self, date: &str) -> bool {
        self.before.is_some_and(|last| date <= last) || self.others.contains(date)
    }
}

impl Chain {
    /// The number of the first commit that is verified.
    pub(super) fn first(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.seq + 1)
    }

    /// The number of the commit after them.
    pub(super) fn end(&self) -> u64 {
        self.commits.last().map_or(self.first(), |last| last.seq + 1)
    }

    /// A commit that is verified.
    pub(super) fn get(&self, seq: u64) -> Option<&Commit> {
        self.commits.get(usize::try_from(seq.checked_sub(self.first())?).ok()?)
    }

    /// Those of a range that are verified.
    pub(super) fn within(&self, first: u64, last: u64) -> &[Commit] {
        let place = |seq: u64| seq.saturating_sub(self.first()).min(self.commits.len() as u64) as usize;
        &self.commits[place(first)..place(last + 1)]
    }

    /// Under which commit a row counts: its own, or the base.
    pub(super) fn place(&self, seq: i64) -> i64 {
        self.base.as_ref().map_or(seq, |base| seq.max(base.seq as i64))
    }

    /// The files of a table that are kept no longer; those that were dropped before the base as one.
    pub(super) fn gone<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a File> {
        let before = self.base.as_ref().and_then(|base| base.gone.get(table)).map(|gone| &gone.sum);
        before.into_iter().chain(retention::gone(&self.commits, table))
    }

    /// The dates of a table whose files are kept no longer: all up to the last that was dropped before the base, and others.
    pub(super) fn gone_dates<'a>(&'a self, table: &'a str) -> Dates<'a> {
        let before = self.base.as_ref().and_then(|base| base.gone.get(table)).map(|gone| gone.sum.date.as_str());
        Dates { before, others: retention::gone(&self.commits, table).map(|file| file.date.as_str()).collect() }
    }

    /// Whether rows of a table were erased before the base: how many is known, and no more.
    pub(super) fn was_erased(&self, table: &str) -> bool {
        self.base.as_ref().is_some_and(|base| base.erased.contains_key(table))
    }

    /// What tables say of their making, as far as it is known.
    pub(super) fn made(&self) -> Option<Made> {
        let said = |commit: &Commit| commit.base.as_ref().map(|base| base.made);
        match &self.base {
            Some(base) => base.base.as_ref().map(|base| base.made).or_else(|| self.commits.iter().find_map(said)),
            None => self.commits.first().map(Made::from),
        }
    }
}
