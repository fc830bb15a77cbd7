//! The operator that gives every row its disposition.
//!
//! ```text
//! rows ------ pipeline ---------------+
//! ticks ----- broadcast --------------+-> classify -> rows with dispositions, at the same epoch
//! reports --- broadcast --------------+
//! seen ------ by owner of partition --+
//! ```
//!
//! Rows of epoch e are decided once the frontiers of ticks, reports and seen have reached e: then all bindings of
//! the epochs before e are here, the horizon of e is known (the same on every worker, P3), and all that an earlier
//! run saw is remembered. Rows come in offset order within a partition, and a partition has one owner, so "earlier"
//! in *duplicate* is the log's order. Each row's capability is held until its row is sent; no other is.

use std::sync::Arc;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::held::{Balance, Held, Kind};
use crate::operators::repeats::Repeats;
use crate::time::by_epoch::{ByEpoch, first_open};
use crate::time::disposition::{Disposition, RowMeta, quality_window};
use crate::time::progress::Progress;
use crate::time::ticks::{Report, Seen, Tick};
use crate::time::{Epoch, Micros, TimePolicy};

/// A batch of rows, as far as classification is concerned.
pub trait Rows: Clone + 'static {
    /// What decides each row, in the order of the rows; empty for dead letters, which have no disposition.
    fn metas(&self) -> &[RowMeta];

    /// The log clock at each row, and at each dead letter.
    fn log_clocks(&self) -> Vec<Micros> {
        self.metas().iter().map(|meta| meta.log_clock).collect()
    }
}

/// A batch with a disposition for each of its rows.
#[derive(Clone, Debug)]
pub struct Classified<B> {
    /// The rows.
    pub batch: B,
    /// Their dispositions.
    pub dispositions: Vec<Disposition>,
    /// The window of data quality in which each row, or dead letter, counts.
    pub quality_windows: Vec<Option<Micros>>,
}

/// Classifies every row once; see the module.
pub fn classify<'scope, B: Rows>(
    (policy, held): (TimePolicy, Arc<Held>),
    rows: StreamVec<'scope, Epoch, B>,
    ticks: StreamVec<'scope, Epoch, Tick>,
    reports: StreamVec<'scope, Epoch, Report>,
    seen: StreamVec<'scope, Epoch, Seen>,
) -> StreamVec<'scope, Epoch, Classified<B>> {
    let scope = rows.scope();
    let peers = scope.peers();
    let mut builder = OperatorBuilder::new("classify".to_owned(), scope);
    let mut rows = builder.new_input(rows, Pipeline);
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let mut reports = builder.new_input_connection(reports, Pipeline, []);
    let by_owner = Exchange::new(move |s: &Seen| s.partition.owner(peers) as u64);
    let mut seen = builder.new_input_connection(seen, by_owner, []);
    let (output, stream) = builder.new_output_connection([(0, timely::progress::Antichain::from_elem(0))]);
    let mut output = OutputBuilder::from(output);

    builder.build(move |_| {
        let mut state = Classifier::new(policy);
        let mut balance = Balance::new(&held);
        let mut waiting: ByEpoch<(Capability<Epoch>, Vec<B>)> = ByEpoch::default();
        move |frontiers| {
            // Read.
            rows.for_each(|capability, batches| {
                let Some(epoch) = capability.least().copied() else { return };
                waiting.at_or(epoch, || (capability.delayed(&epoch, 0), Vec::new())).1.append(batches);
            });
            ticks.for_each(|_, batch| batch.drain(..).for_each(|tick| state.waiting.at(tick.epoch).0.push(tick)));
            reports.for_each(|capability, batch| {
                let Some(epoch) = capability.least() else { return };
                state.waiting.at(*epoch).1.append(batch);
            });
            seen.for_each(|_, batch| state.remember(batch.drain(..)));
            // Plan: the epochs before `open` are whole, and rows of `open` itself can be decided.
            let open = first_open(&frontiers[1..]);
            // Act, emit, and let go of each capability.
            let mut output = output.activate();
            while let Some((epoch, (capability, batches))) = waiting.next_before(open.saturating_add(1)) {
                state.advance_to(epoch);
                let mut session = output.session(&capability);
                for batch in batches {
                    let dispositions = state.decide(batch.metas());
                    let quality_windows = state.quality_windows(batch.log_clocks());
                    session.give(Classified { batch, dispositions, quality_windows });
                }
            }
            state.advance_to(open.min(first_open(&frontiers[..1])));
            balance.set(Kind::Repeats, state.repeats.held());
        }
    });
    stream
}

/// The decisions, apart from the operator.
struct Classifier {
    progress: Progress,
    repeats: Repeats,
    /// Ticks and reports.
    waiting: ByEpoch<(Vec<Tick>, Vec<Report>)>,
}

impl Classifier {
    fn new(policy: TimePolicy) -> Self {
        Classifier { progress: Progress::new(policy), repeats: Repeats::default(), waiting: ByEpoch::default() }
    }

    fn remember(&mut self, seen: impl Iterator<Item = Seen>) {
        for row in seen {
            self.repeats.insert(row.partition, row.event_time, row.identity);
        }
    }

    /// Folds all epochs before `epoch`, and frees what they put out of reach.
    fn advance_to(&mut self, epoch: Epoch) {
        while let Some((_, (ticks, reports))) = self.waiting.next_before(epoch) {
            let Some(tick) = ticks.first() else { continue };
            self.progress.advance(tick, reports.iter().flat_map(|r| &r.bindings));
            for position in self.progress.positions() {
                if let Some(time) = self.progress.closed_before(position.partition) {
                    self.repeats.forget_before(position.partition, time);
                }
            }
        }
    }

    fn quality_windows(&self, log_clocks: Vec<Micros>) -> Vec<Option<Micros>> {
        let horizon = self.progress.horizon();
        log_clocks.into_iter().map(|clock| quality_window(clock, horizon)).collect()
    }

    fn decide(&mut self, metas: &[RowMeta]) -> Vec<Disposition> {
        let policy = self.progress.policy();
        let horizon = self.progress.horizon();
        let decide = |row: &RowMeta| {
            if policy.is_late(row.event_time, row.log_clock) {
                Disposition::Late
            } else if horizon.is_some_and(|h| row.event_time < h) {
                Disposition::Expired
            } else if !self.repeats.insert(row.partition, row.event_time, row.identity) {
                Disposition::Duplicate
            } else {
                Disposition::OnTime
            }
        };
        metas.iter().map(decide).collect()
    }
}
