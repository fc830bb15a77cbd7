//! Which files are made anew now, and which wait: decisions from what is known of files alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use citystream_dataflows::time::Micros;

use super::Place;
use super::known::{Found, Group, Known, counted_by};
use crate::columns::tables::Table;
use crate::lake::history::commit::File;
use crate::lake::history::retention::may_go;

/// See the module.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) due: Vec<Due>,
    /// So many files wait.
    pub(super) pending: usize,
}

/// A file that is to be made anew.
pub(super) struct Due {
    pub(super) table: Table,
    pub(super) file: File,
    /// So many rows go.
    pub(super) rows: u64,
    /// The keys of a derived table whose rows go.
    pub(super) keys: Option<Arc<HashSet<String>>>,
}

/// The files of a derived table and date.
type Files<'a> = Vec<(Table, &'a File, &'a Found)>;

impl Known {
    /// What may go now: windows that count it alone, then derived rows that name it, then records.
    pub(super) fn plan(&self, horizon: Option<Micros>, most: usize, is_busy: &dyn Fn(&Place) -> bool) -> Plan {
        let waits = |table: Table, file: &File| {
            horizon.is_none_or(|horizon| !may_go(table, file, horizon)) || is_busy(&(table, file.date.clone()))
        };
        let mut groups: BTreeMap<Group, Files<'_>> = BTreeMap::new();
        for (table, file) in &self.live {
            if let Some((derived, found)) = table.derived().zip(self.of(file)) {
                groups.entry((derived, file.date.clone())).or_default().push((*table, file, found));
            }
        }
        let mut plan = Plan::default();
        let mut undecided: BTreeSet<Group> = BTreeSet::new();
        let is_counted = |(derived, _): &Group| counted_by(*derived).is_some();
        let (counted, named): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(group, _)| is_counted(group));
        for (group, files) in counted {
            // How many a window counts is not known as long as it is open.
            let its: Files<'_> = files.into_iter().filter(|(_, _, found)| !found.keys.is_empty()).collect();
            let is_open = its.iter().any(|(table, file, _)| waits(*table, file));
            let keys = if is_open { None } else { self.alone(&group) };
            if plan.add(keys, its, most) {
                undecided.insert(group);
            }
        }
        let is_undecided = |found: &Found| !found.windows.is_disjoint(&undecided);
        for (group, files) in named {
            let Some(keys) = self.keys.get(&group) else { continue };
            let its: Files<'_> = files.into_iter().filter(|(_, _, found)| found.rows_of(keys) > 0).collect();
            let is_held = its.iter().any(|(table, file, found)| waits(*table, file) || is_undecided(found));
            plan.add(Some(keys.clone()).filter(|_| !is_held), its, most);
        }
        for (table, file) in self.live.iter().filter(|(table, _)| table.derived().is_none()) {
            let Some(found) = self.of(file).filter(|found| found.records > 0) else { continue };
            if waits(*table, file) || is_undecided(found) || plan.due.len() >= most {
                plan.pending += 1;
            } else {
                plan.due.push(Due { table: *table, file: file.clone(), rows: found.records, keys: None });
            }
        }
        plan
    }

    /// The windows of a group that count no other vehicle.
    fn alone(&self, group: &Group) -> Option<HashSet<String>> {
        let windows = self.windows.get(group).into_iter().flatten();
        let alone = windows.filter(|(_, last)| last.is_some_and(|last| last.vehicles <= 1));
        Some(alone.map(|(key, _)| key.clone()).collect())
    }
}

impl Plan {
    /// Takes the files of a group that have rows of these keys; `None`: all wait. Whether they wait.
    fn add(&mut self, keys: Option<HashSet<String>>, files: Files<'_>, most: usize) -> bool {
        let Some(keys) = keys.filter(|_| self.due.len() < most) else {
            self.pending += files.len();
            return !files.is_empty();
        };
        let keys = Arc::new(keys);
        for (table, file, found) in files {
            let rows = found.rows_of(&keys);
            let due = || Due { table, file: file.clone(), rows, keys: Some(Arc::clone(&keys)) };
            self.due.extend((rows > 0).then(due));
        }
        false
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
