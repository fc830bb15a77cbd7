//! The commit operator: when the frontier has passed a sealing epoch, all of its commit is known to be here.
//!
//! ```text
//! written --- to worker 0 --+
//! reports --- broadcast ----+-> commit (worker 0) -> committed -> broadcast
//! ticks ----- broadcast ----+
//! ```
//!
//! Worker 0 holds a capability for the first epoch that is not committed and moves it past a sealing epoch once the
//! commit is durable, or had nothing to say. Every other worker drops its own at once. The one call that PUTs is in
//! the [task](super::task), which checks P2 and P4 first; an error from there is raised and keeps the capability.

use std::collections::BTreeMap;
use std::sync::Arc;

use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::ticks::{Report, Tick};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Broadcast;

use super::assemble::Assembly;
use super::task::{CommitHandle, Proposal};
use crate::process::{Mailbox, Process};
use crate::sink::write::Written;
use citystream_dataflows::time::ticks::Committed;

/// Commits, told to every worker; see the module. `commits` is given on worker 0 only.
pub fn commit<'scope>(
    process: Arc<Process>,
    commits: Option<CommitHandle>,
    written: StreamVec<'scope, Epoch, Written>,
    reports: StreamVec<'scope, Epoch, Report>,
    ticks: StreamVec<'scope, Epoch, Tick>,
) -> StreamVec<'scope, Epoch, Committed> {
    let scope = ticks.scope();
    let mut builder = OperatorBuilder::new("commit".to_owned(), scope);
    let mut written = builder.new_input_connection(written, Exchange::new(|_: &Written| 0), []);
    let mut reports = builder.new_input_connection(reports, Pipeline, []);
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let (output, committed) = builder.new_output_connection::<Vec<Committed>, _>([]);
    let mut output = OutputBuilder::from(output);
    let wake = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());

    builder.build(move |mut capabilities| {
        let (mailbox, letters) = Mailbox::new(wake);
        let mut held = commits.zip(capabilities.pop());
        let mut pending = Pending::default();
        let mut assembly = Assembly::new(process.policy);
        let mut last = None;
        move |frontiers| {
            // Read.
            written
                .for_each(|time, batch| pending.written.entry(*time.least().unwrap_or(&0)).or_default().append(batch));
            reports
                .for_each(|time, batch| pending.reports.entry(*time.least().unwrap_or(&0)).or_default().append(batch));
            ticks.for_each(|_, batch| pending.ticks.extend(batch.drain(..).map(|tick| (tick.epoch, tick))));
            let Some((commits, capability)) = &mut held else { return pending.clear() };
            // Plan and act: take up whole epochs in order; a seal is proposed to the task.
            let sealed_before = frontiers.iter().map(|f| f.frontier().first().copied().unwrap_or(Epoch::MAX)).min();
            while let Some((tick, reports, written)) = pending.next(sealed_before.unwrap_or(0)) {
                assembly.advance(&tick, &reports, written);
                last = tick.last.then_some(tick.epoch);
                if let Some(seq) = tick.seal {
                    match assembly.seal(&tick, seq, commits.take_unrecorded()) {
                        Err(violation) => return process.fatal.raise(violation),
                        Ok(commit) => {
                            commits.propose(Proposal { epoch: tick.epoch, seq, commit, mailbox: mailbox.clone() });
                        }
                    }
                }
            }
            // Emit and downgrade.
            for (epoch, done) in letters.try_iter() {
                let at = capability.delayed(&epoch);
                output.activate().session(&at).give(done);
                capability.downgrade(&(epoch + 1));
                if last == Some(epoch) {
                    held = None;
                    return;
                }
            }
        }
    });
    committed.broadcast()
}

/// What has arrived and is not yet complete.
#[derive(Default)]
struct Pending {
    ticks: BTreeMap<Epoch, Tick>,
    reports: BTreeMap<Epoch, Vec<Report>>,
    written: BTreeMap<Epoch, Vec<Written>>,
}

impl Pending {
    /// The next epoch before `complete`.
    fn next(&mut self, complete: Epoch) -> Option<(Tick, Vec<Report>, Vec<Written>)> {
        let entry = self.ticks.first_entry().filter(|e| *e.key() < complete)?;
        let (epoch, tick) = entry.remove_entry();
        Some((tick, self.reports.remove(&epoch).unwrap_or_default(), self.written.remove(&epoch).unwrap_or_default()))
    }

    fn clear(&mut self) {
        *self = Pending::default();
    }
}
