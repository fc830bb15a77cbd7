//! From ticks, bindings and file descriptions to one commit. Pure; what a commit must be is checked where it is
//! proposed, by the same code that verifies a lake.

use std::collections::BTreeMap;

use citystream_dataflows::time::bindings::{Binding, Partition, Topic};
use citystream_dataflows::time::progress::Progress;
use citystream_dataflows::time::ticks::{Report, Tick};
use citystream_dataflows::time::{Micros, TimePolicy};

use crate::lake::history::Violation;
use crate::lake::history::alerts::Event;
use crate::lake::history::commit::{Commit, EpochBindings, File, Kind, Ledger};
use crate::lake::history::views::{self, ViewChanges};
use crate::sink::write::Written;

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
    /// What has become of standing views since the last commit.
    views: ViewChanges,
    /// What was decided of alerts at the seal.
    alerts: Vec<Event>,
    /// Whether a commit since the last version has none yet.
    is_unpublished: bool,
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
            views: ViewChanges::new(),
            alerts: Vec::new(),
            is_unpublished: false,
        }
    }

    /// Takes up an epoch, in order, with all reports and file descriptions of it.
    pub fn advance(&mut self, tick: &Tick, reports: &[Report], written: Vec<Written>, alerts: Vec<Event>) {
        self.alerts.extend(alerts);
        let mut bindings: Vec<Binding> = reports.iter().flat_map(|r| &r.bindings).copied().collect();
        bindings.sort_unstable_by_key(|b| b.partition);
        for binding in &bindings {
            self.ledger.entry(binding.partition.topic).or_default().read += binding.read;
        }
        self.progress.advance(tick, &bindings);
        match &tick.start {
            // Its views are those of the lake, and of the settings.
            Some(start) => {
                self.run = start.run.clone();
                self.committed_horizon = Some(start.horizon);
            }
            None => views::record(&mut self.views, &tick.views),
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
    ///
    /// # Errors
    /// P4: rows or files where no offset has moved.
    pub fn seal(&mut self, tick: &Tick, seq: u64, unrecorded: bool) -> Result<Option<Commit>, Violation> {
        let horizon = self.progress.horizon();
        let read = self.epochs.iter().flat_map(|e| &e.bindings).any(|b| b.next != b.first);
        let said = self.committed_horizon == Some(horizon);
        let publishes = tick.publishes && self.is_unpublished;
        if !read && said && !unrecorded && !publishes && self.views.is_empty() && self.alerts.is_empty() {
            self.epochs.clear();
            return self.check_empty(seq).map(|()| None);
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
            origin: None,
            version: tick.publishes.then_some(0),
            tidy: Vec::new(),
            pin: None,
            packed: None,
            collected: None,
            base: None,
            ledger: std::mem::take(&mut self.ledger),
            views: std::mem::take(&mut self.views),
            alerts: std::mem::take(&mut self.alerts),
            told: None,
        };
        self.committed_horizon = Some(horizon);
        self.is_unpublished = !tick.publishes;
        Ok(Some(commit))
    }

    /// What has no offsets has no rows: they would be counted by the next commit, or by none.
    fn check_empty(&mut self, seq: u64) -> Result<(), Violation> {
        let counted = std::mem::take(&mut self.ledger).into_iter().find(|(_, ledger)| *ledger != Ledger::default());
        if let Some((topic, ledger)) = counted {
            let text = format!("P4: commit {seq}: no offset of {} has moved, but there is {ledger:?}", topic.name());
            return Err(Violation(text));
        }
        match self.added.values().flatten().next() {
            None => Ok(()),
            Some(file) => Err(Violation(format!("P4: commit {seq}: no offset has moved, but there is {}", file.path))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use citystream_dataflows::time::bindings::{NextOffset, Position, Standing};
    use citystream_dataflows::time::ticks::Start;

    use super::*;
    use crate::columns::tables::Table;

    const POLICY: TimePolicy = TimePolicy { lateness: 600, slack: 120, max_ahead: 86_400, max_hold: 3600 };
    const GPS: Partition = Partition { topic: Topic::GPS, index: 0 };

    fn tick(epoch: u64) -> Tick {
        let start = Start {
            key: 0,
            run: "a".into(),
            seq: 0,
            horizon: None,
            closed_before: None,
            reach: Vec::new(),
            seeds: Vec::new(),
        };
        Tick {
            epoch,
            seal: Some(epoch),
            publishes: false,
            limit: None,
            added: Vec::new(),
            start: (epoch == 1).then_some(start),
            last: false,
            is_idle: false,
            ends_log: false,
            views: Vec::new(),
        }
    }

    /// One epoch that reads `read` records, with `written` beside it, and its seal.
    fn seal(read: u64, written: Vec<Written>) -> Result<Option<Commit>, Violation> {
        sealed(&mut Assembly::new(POLICY), read, written)
    }

    fn sealed(assembly: &mut Assembly, read: u64, written: Vec<Written>) -> Result<Option<Commit>, Violation> {
        let position = Position { partition: GPS, next: NextOffset(3), log_clock: None, standing: Standing::Behind };
        let Position { partition, next, log_clock, standing } = position;
        let binding = Binding { partition, first: next, next: NextOffset(3 + read as i64), read, log_clock, standing };
        let report = Report {
            process: 0,
            uncommitted: 0,
            stop: false,
            many_dates: false,
            is_crowded: false,
            bindings: vec![binding],
        };
        assembly.advance(&tick(1), &[report], written, Vec::new());
        assembly.seal(&tick(1), 1, false)
    }

    #[test]
    fn p4_what_moves_no_offset_is_no_commit_and_may_hold_no_rows() {
        assert!(seal(0, Vec::new()).unwrap().is_none());
        assert_eq!(seal(2, Vec::new()).unwrap().unwrap().ledger[&Topic::GPS].read, 2);
        let counts = [(Topic::GPS, Ledger { on_time: 1, ..Ledger::default() })].into();
        let found = seal(0, vec![Written { files: Vec::new(), counts }]).unwrap_err();
        assert!(found.0.contains("P4") && found.0.contains("gps"), "{found}");
        let file = File { path: "tables/x".into(), rows: 1, bytes: 1, ..File::default() };
        let found = seal(0, vec![Written { files: vec![(Table::Raw(Topic::GPS), file)], counts: BTreeMap::new() }])
            .unwrap_err();
        assert!(found.0.contains("tables/x"), "{found}");
    }

    #[test]
    fn what_no_version_has_is_reason_enough_for_a_commit_that_ends_one() {
        let mut assembly = Assembly::new(POLICY);
        assert_eq!(sealed(&mut assembly, 2, Vec::new()).unwrap().unwrap().version, None);
        assert!(assembly.seal(&tick(2), 2, false).unwrap().is_none(), "it ends none");
        let publishing = |epoch| Tick { publishes: true, ..tick(epoch) };
        assert!(assembly.seal(&publishing(3), 2, false).unwrap().unwrap().version.is_some());
        assert!(assembly.seal(&publishing(4), 3, false).unwrap().is_none(), "all is published");
    }
}
