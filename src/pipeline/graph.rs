//! The whole graph on one page. The same on every worker: what only worker 0 does is inside its operators.

use std::sync::Arc;

use citystream_dataflows::city::City;
use citystream_dataflows::operators::classify::classify;
use citystream_dataflows::operators::stage::Closes;
use citystream_dataflows::tables;
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::closes::closes;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Concat, ConnectLoop, Feedback, Probe, probe::Handle};
use timely::worker::Worker;

use super::clock::{ClockStart, clock};
use super::derive::derive;
use super::live::live_views;
use super::read::{Readings, read};
use super::records;
use super::recover::recover;
use super::texts::intern;
use crate::columns::tables::Batch;
use crate::process::Process;
use crate::process::metrics::Health;
use crate::sink::commit::{CommitHandle, commit};
use crate::sink::write::{gather, write};
use crate::standing::Decisions;

/// What only worker 0 has: the clock's state and the way to the commit task.
pub struct Worker0 {
    /// For the clock.
    pub clock: ClockStart,
    /// For the commit operator.
    pub commits: CommitHandle,
    /// What was decided of alerts so far.
    pub decisions: Decisions,
}

/// How far a worker knows the run to be.
pub struct Frontiers {
    derived: Handle<Epoch>,
    committed: Handle<Epoch>,
}

impl Frontiers {
    /// Tells what has moved.
    pub fn tell(&self, health: &Health) {
        let end = |frontier: &Handle<Epoch>| frontier.with_frontier(|open| open.first().copied().unwrap_or(Epoch::MAX));
        health.derived(end(&self.derived));
        health.committed.reach(end(&self.committed));
    }
}

/// Builds the dataflow on one worker:
///
/// ```text
/// clock -> read -> classify ------------------------+-> write -> gather -> commit -> (back to clock)
///             \-- recover --^   \-> records -> city -> derive --^
///                                                \--> live views -- alerts ------^
/// ```
pub fn build(worker: &mut Worker, process: &Arc<Process>, worker0: Option<Worker0>) -> Frontiers {
    let (clock_start, commits, decisions) = match worker0 {
        Some(Worker0 { clock, commits, decisions }) => (Some(clock), Some(commits), Some(decisions)),
        None => (None, None, None),
    };
    let (derived_probe, committed_probe) = (Handle::new(), Handle::new());
    worker.dataflow_named("citystream", |scope| {
        let (reports_loop, reports_back) = scope.feedback(1);
        let (words_loop, words_back) = scope.feedback(1);
        let (committed_loop, committed_back) = scope.feedback(1);

        let ticks = clock(clock_start, reports_back, words_back, committed_back);
        let Readings { rows, reports, words } =
            read(Arc::clone(&process.reading), committed_probe.clone(), ticks.clone());
        let recovered = recover(process.lake.clone(), process.derived.clone(), ticks.clone());
        let decided = (process.policy, Arc::clone(&process.held));
        let rows = classify(decided, rows, ticks.clone(), reports.clone(), recovered.seen).map(Batch::from);

        let mut alerts = empty(ticks.scope());
        let batches = if process.derived.is_empty() {
            rows
        } else {
            let names = Arc::clone(&process.names);
            let (rows_read, recovered, seeds) = (rows.clone(), recovered.rows, recovered.seeds);
            let inputs = records::Inputs { ticks: ticks.clone(), rows: rows_read, recovered, seeds };
            let (records, told) = records::records(process, inputs);
            let interned = intern(Arc::clone(&names), &process.held, process.workers, told);
            let closes = closes(process.policy, ticks.clone(), reports.clone());
            let driven = Closes { stream: closes.clone(), held: Arc::clone(&process.held) };
            let city = City::new(driven, records);
            if let Some(hub) = &process.hub {
                alerts = live_views(process, hub, decisions, &city, ticks.clone(), interned.clone());
            }
            let blocks = tables::derive(&city, process.derived.iter().copied());
            let shown = (names, Arc::clone(&process.reading), process.fatal.clone());
            rows.concat(derive(shown, &committed_probe, closes, blocks, interned))
        };
        let batches = batches.probe_with(&derived_probe);
        let (plenty, few) = write(process.lake.clone(), batches, ticks.clone());
        let gathered = gather(process.lake.clone(), few, ticks.clone());
        let written = plenty.concat(gathered);
        let judged = (process.policy, process.fatal.clone());
        let committed = commit(judged, commits, written, alerts, reports.clone(), ticks);

        reports.connect_loop(reports_loop);
        words.connect_loop(words_loop);
        committed.probe_with(&committed_probe).connect_loop(committed_loop);
    });
    Frontiers { derived: derived_probe, committed: committed_probe }
}
