//! What closes an epoch for the operators of the derived tables.
//!
//! ```text
//! ticks ----- pipeline (broadcast already) --+-> turns -> one turn an epoch, on every worker
//! reports --- pipeline (broadcast already) --+
//! ```
//!
//! Every worker folds the same ticks and reports, so every worker has the same turns (P3).

use std::collections::BTreeMap;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::progress::Progress;
use crate::ticks::{Report, Tick};
use crate::time::{Epoch, Micros, TimePolicy};

/// The close of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The epoch.
    pub epoch: Epoch,
    /// The horizon after it: no later record is before it.
    pub horizon: Option<Micros>,
    /// What its close entails.
    pub close: Close,
    /// Whether no epoch follows.
    pub last: bool,
}

/// What the close of an epoch entails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Nothing is written.
    Open,
    /// What has changed since the last commit is written.
    Seal,
    /// What was recalled from the lake is what the lake holds: nothing is written.
    Recall,
}

/// The turns; see the module.
pub fn turns<'scope>(
    policy: TimePolicy,
    ticks: StreamVec<'scope, Epoch, Tick>,
    reports: StreamVec<'scope, Epoch, Report>,
) -> StreamVec<'scope, Epoch, Turn> {
    let mut builder = OperatorBuilder::new("turns".to_owned(), ticks.scope());
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let mut reports = builder.new_input_connection(reports, Pipeline, []);
    let (output, stream) = builder.new_output_connection::<Vec<Turn>, _>([]);
    let mut output = OutputBuilder::from(output);

    builder.build(move |mut capabilities| {
        let mut held = capabilities.pop();
        let mut progress = Progress::new(policy);
        let mut waiting: BTreeMap<Epoch, (Option<Tick>, Vec<Report>)> = BTreeMap::new();
        move |frontiers| {
            // Read.
            ticks.for_each(|_, batch| {
                for tick in batch.drain(..) {
                    let epoch = tick.epoch;
                    waiting.entry(epoch).or_default().0 = Some(tick);
                }
            });
            reports.for_each(|time, batch| {
                if let Some(epoch) = time.least() {
                    waiting.entry(*epoch).or_default().1.append(batch);
                }
            });
            // Plan, act, emit, downgrade: whole epochs, in order.
            while let Some(entry) = waiting.first_entry().filter(|e| !frontiers.iter().any(|f| f.less_equal(e.key()))) {
                let (epoch, (tick, reports)) = entry.remove_entry();
                let (Some(tick), Some(capability)) = (tick, &mut held) else { return };
                progress.advance(&tick, reports.iter().flat_map(|report| &report.bindings));
                let at = capability.delayed(&epoch);
                output.activate().session(&at).give(turn(&tick, progress.horizon()));
                capability.downgrade(&(epoch + 1));
                if tick.last {
                    held = None;
                }
            }
        }
    });
    stream
}

fn turn(tick: &Tick, horizon: Option<Micros>) -> Turn {
    let close = match tick {
        Tick { start: Some(_), .. } => Close::Recall,
        Tick { seal: Some(_), .. } => Close::Seal,
        _ => Close::Open,
    };
    Turn { epoch: tick.epoch, horizon, close, last: tick.last }
}
