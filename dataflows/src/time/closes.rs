//! How epochs close for the operators of the derived tables.
//!
//! ```text
//! ticks ----- pipeline (broadcast already) --+-> closes -> one an epoch, on every worker
//! reports --- pipeline (broadcast already) --+
//! ```
//!
//! Every worker folds the same ticks and reports, so every worker closes epochs alike (P3).

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::time::by_epoch::{ByEpoch, first_open};
use crate::time::progress::Progress;
use crate::time::ticks::{Report, Tick};
use crate::time::{Epoch, Micros, TimePolicy};

/// The close of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochClose {
    /// The epoch.
    pub epoch: Epoch,
    /// The horizon after it: no later record is before it.
    pub horizon: Option<Micros>,
    /// What its close entails.
    pub kind: CloseKind,
    /// Whether no epoch follows.
    pub last: bool,
}

/// What the close of an epoch entails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseKind {
    /// Nothing is written.
    Open,
    /// What has changed since the last commit is written.
    Seal,
    /// What was recovered from the lake is what the lake holds: nothing is written.
    Recovery,
}

/// The closes of all epochs; see the module.
pub fn closes<'scope>(
    policy: TimePolicy,
    ticks: StreamVec<'scope, Epoch, Tick>,
    reports: StreamVec<'scope, Epoch, Report>,
) -> StreamVec<'scope, Epoch, EpochClose> {
    let mut builder = OperatorBuilder::new("closes".to_owned(), ticks.scope());
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let mut reports = builder.new_input_connection(reports, Pipeline, []);
    let (output, stream) = builder.new_output_connection::<Vec<EpochClose>, _>([]);
    let mut output = OutputBuilder::from(output);

    builder.build(move |mut capabilities| {
        let mut held = capabilities.pop();
        let mut progress = Progress::new(policy);
        let mut waiting: ByEpoch<(Option<Tick>, Vec<Report>)> = ByEpoch::default();
        move |frontiers| {
            // Read.
            ticks.for_each(|_, batch| {
                for tick in batch.drain(..) {
                    let epoch = tick.epoch;
                    waiting.at(epoch).0 = Some(tick);
                }
            });
            reports.for_each(|time, batch| {
                if let Some(epoch) = time.least() {
                    waiting.at(*epoch).1.append(batch);
                }
            });
            // Plan, act, emit, downgrade: whole epochs, in order.
            let open = first_open(frontiers);
            while let Some((epoch, (tick, reports))) = waiting.next_before(open) {
                let (Some(tick), Some(capability)) = (tick, &mut held) else { return };
                progress.advance(&tick, reports.iter().flat_map(|report| &report.bindings));
                let at = capability.delayed(&epoch);
                output.activate().session(&at).give(close(&tick, progress.horizon()));
                capability.downgrade(&(epoch + 1));
                if tick.last {
                    held = None;
                }
            }
        }
    });
    stream
}

fn close(tick: &Tick, horizon: Option<Micros>) -> EpochClose {
    let kind = match tick {
        Tick { start: Some(_), .. } => CloseKind::Recovery,
        Tick { seal: Some(_), .. } => CloseKind::Seal,
        _ => CloseKind::Open,
    };
    EpochClose { epoch: tick.epoch, horizon, kind, last: tick.last }
}
