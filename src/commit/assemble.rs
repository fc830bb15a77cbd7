//! From ticks, bindings and file descriptions to one commit. Pure; what a commit must be is checked where it is
//! proposed, by the same code that verifies a lake.

use std::collections::BTreeMap;

use citystream_dataflows::bindings::{Binding, Partition, Topic};
use citystream_dataflows::progress::Progress;
use citystream_dataflows::ticks::{Report, Tick};
use citystream_dataflows::time::{Micros, TimePolicy};

use crate::lake::commit::{Commit, EpochBindings, File, Kind, Ledger};
use crate::write::Written;

/// The commit that is being put together.
#[derive(Debug)]
pub struct Assembly {
    progress: Progress,
    run: String,
    epochs: Vec<EpochBindings>,
    ledger: BTreeMap<Topic, Ledger>,
    added: BTreeMap<String, Vec<File>>,
    /// The horizon of the last commit; `None` before the first of the run.
    committed_horizon: Option<Option<Micros>>,
    latest: BTreeMap<Partition, Binding>,
}

impl Assembly {
    /// Before the run's first epoch.
    pub fn new(policy: TimePolicy) -> Self {
        Assembly {
            progress: Progress::new(policy),
            run: String::new(),
            epochs: Vec::new(),
            ledger: BTreeMap::new(),
            added: BTreeMap::new(),
            committed_horizon: None,
            latest: BTreeMap::new(),
        }
    }

    /// Takes up an epoch, in order, with all reports and file descriptions of it.
    pub fn advance(&mut self, tick: &Tick, reports: &[Report], written: Vec<Written>) {
        let mut bindings: Vec<Binding> = reports.iter().flat_map(|r| &r.bindings).copied().collect();
        bindings.sort_unstable_by_key(|b| b.partition);
        for binding in &bindings {
            self.ledger.entry(binding.partition.topic).or_default().read += binding.read;
        }
        self.progress.advance(tick, &bindings);
        if let Some(start) = &tick.start {
            self.run = start.run.clone();
            self.committed_horizon = Some(start.horizon);
        }
        bindings.retain(|b| self.latest.insert(b.partition, *b).map(|old| old.position()) != Some(b.position()));
        if !bindings.is_empty() {
            self.epochs.push(EpochBindings { epoch: tick.epoch, bindings });
        }
        for Written { files, counts } in written {
            for (table, file) in files {
                self.added.entry(table.name().to_owned()).or_default().push(file);
            }
            for (topic, counted) in counts {
                let sum = self.ledger.entry(topic).or_default();
                *sum = sum.plus(&counted);
            }
        }
    }

    /// The commit that a sealing tick ends; `None` if it would say nothing new.
    pub fn seal(&mut self, tick: &Tick, seq: u64, unrecorded: bool) -> Option<Commit> {
        let horizon = self.progress.horizon();
        let read = self.epochs.iter().flat_map(|e| &e.bindings).any(|b| b.next != b.first);
        let said = self.committed_horizon == Some(horizon);
        if !read && said && !unrecorded {
            self.epochs.clear();
            return None;
        }
        let commit = Commit {
            seq,
            kind: Kind::Data,
            run: self.run.clone(),
            previous: String::new(),
            time_ms: 0,
            epoch: tick.epoch,
            horizon,
            positions: self.progress.positions(),
            topics: BTreeMap::new(),
            epochs: std::mem::take(&mut self.epochs),
            added: std::mem::take(&mut self.added),
            removed: BTreeMap::new(),
            ledger: std::mem::take(&mut self.ledger),
        };
        self.committed_horizon = Some(horizon);
        Some(commit)
    }
}
