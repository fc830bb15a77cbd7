//! The commit operator: when the frontier has passed a sealing epoch, all of its commit is known to be here.
//!
//! ```text
//! written --- to worker 0 --+
//! alerts ---- of worker 0 --+
//! reports --- broadcast ----+-> commit (worker 0) -> committed -> broadcast
//! ticks ----- broadcast ----+
//! ```
//!
//! Worker 0 holds a capability for the first epoch that is not committed and moves it past a sealing epoch once the
//! commit is durable, or had nothing to say. Every other worker drops its own at once. The one call that PUTs is in
//! the [task](super::task), which checks P2 and P4 first; an error from there is raised and keeps the capability.

use citystream_dataflows::time::by_epoch::{ByEpoch, first_open};
use citystream_dataflows::time::ticks::{Report, Tick};
use citystream_dataflows::time::{Epoch, TimePolicy};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Broadcast;

use super::assemble::Assembly;
use super::task::{CommitHandle, Proposal};
use crate::lake::history::alerts::Event;
use crate::process::{Fatal, Mailbox};
use crate::sink::write::Written;
use citystream_dataflows::time::ticks::Committed;

/// Commits, told to every worker; see the module. `commits` is given on worker 0 only.
pub fn commit<'scope>(
    (policy, fatal): (TimePolicy, Fatal),
    commits: Option<CommitHandle>,
    written: StreamVec<'scope, Epoch, Written>,
    alerts: StreamVec<'scope, Epoch, Event>,
    reports: StreamVec<'scope, Epoch, Report>,
    ticks: StreamVec<'scope, Epoch, Tick>,
) -> StreamVec<'scope, Epoch, Committed> {
    let scope = ticks.scope();
    let mut builder = OperatorBuilder::new("commit".to_owned(), scope);
    let mut written = builder.new_input_connection(written, Exchange::new(|_: &Written| 0), []);
    let mut alerts = builder.new_input_connection(alerts, Pipeline, []);
    let mut reports = builder.new_input_connection(reports, Pipeline, []);
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let (output, committed) = builder.new_output_connection::<Vec<Committed>, _>([]);
    let mut output = OutputBuilder::from(output);
    let wake = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());

    builder.build(move |mut capabilities| {
        let (mailbox, letters) = Mailbox::new(wake);
        let mut held = commits.zip(capabilities.pop());
        let mut waiting: ByEpoch<Waiting> = ByEpoch::default();
        let mut assembly = Assembly::new(policy);
        let mut last = None;
        move |frontiers| {
            // Read.
            written.for_each(|time, batch| waiting.at(*time.least().unwrap_or(&0)).written.append(batch));
            alerts.for_each(|time, batch| waiting.at(*time.least().unwrap_or(&0)).alerts.append(batch));
            reports.for_each(|time, batch| waiting.at(*time.least().unwrap_or(&0)).reports.append(batch));
            ticks.for_each(|_, batch| {
                batch.drain(..).for_each(|tick| {
                    let epoch = tick.epoch;
                    waiting.at(epoch).tick = Some(tick);
                })
            });
            let Some((commits, capability)) = &mut held else { return waiting.clear() };
            // Plan and act: take up whole epochs in order; a seal is proposed to the task.
            let open = first_open(frontiers);
            while let Some((_, Waiting { tick, reports, written, alerts })) = waiting.next_before(open) {
                let Some(tick) = tick else { continue };
                assembly.advance(&tick, &reports, written, alerts);
                last = tick.last.then_some(tick.epoch);
                if let Some(seq) = tick.seal {
                    match assembly.seal(&tick, seq, commits.take_unrecorded()) {
                        Err(violation) => return fatal.raise(violation),
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

/// What has arrived of an epoch.
#[derive(Default)]
struct Waiting {
    tick: Option<Tick>,
    reports: Vec<Report>,
    written: Vec<Written>,
    alerts: Vec<Event>,
}
