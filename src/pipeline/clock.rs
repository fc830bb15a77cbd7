//! The clock operator: the only code that decides time.
//!
//! ```text
//! reports ---- loop ---+
//! words ------ loop ---+
//! committed -- loop ---+-> clock (worker 0) -> ticks -> broadcast
//! ```
//!
//! Worker 0 holds the one capability and moves it past each tick it sends; every other worker drops its own at
//! once. No input is connected to the output: answers never hold an epoch open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::ticks::{Added, Committed, Report, Tick, ViewCommand, Word};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Broadcast;

use super::alarm::Alarm;
use super::pacer::Pacer;
use crate::process::metrics::Metrics;

/// What worker 0 needs to keep time: made once the lake is claimed.
pub struct ClockStart {
    /// The decisions.
    pub pacer: Pacer,
    /// Partitions as they are found.
    pub discovered: mpsc::Receiver<Vec<Added>>,
    /// Where it is told how far things are.
    pub metrics: Arc<Metrics>,
    /// Standing views that are to come and go.
    pub views: Option<mpsc::Receiver<ViewCommand>>,
    /// Set as long as files were packed that no commit names yet.
    pub packed: Option<Arc<AtomicBool>>,
}

/// How often the clock looks at its watch; while it waits for a record, whose word wakes it, less often.
const LOOK: Duration = Duration::from_millis(5);
const IDLE_LOOK: Duration = Duration::from_millis(50);

/// Ticks for every worker; see the module. `clock` is given on worker 0 only.
pub fn clock<'scope>(
    clock: Option<ClockStart>,
    reports: StreamVec<'scope, Epoch, Report>,
    words: StreamVec<'scope, Epoch, Word>,
    committed: StreamVec<'scope, Epoch, Committed>,
) -> StreamVec<'scope, Epoch, Tick> {
    let scope = reports.scope();
    let mut builder = OperatorBuilder::new("clock".to_owned(), scope);
    let mut reports = builder.new_input_connection(reports, Pipeline, []);
    let mut words = builder.new_input_connection(words, Exchange::new(|_: &Word| 0), []);
    let mut committed = builder.new_input_connection(committed, Pipeline, []);
    let (output, ticks) = builder.new_output_connection::<Vec<Tick>, _>([]);
    let mut output = OutputBuilder::from(output);
    let mut alarm = Alarm::new(scope.activator_for(builder.operator_info().address));

    builder.build(move |mut capabilities| {
        let mut clock = clock.zip(capabilities.pop());
        move |frontiers| {
            // Read.
            reports.for_each(|time, batch| {
                let (Some((clock, _)), Some(time)) = (&mut clock, time.least()) else { return batch.clear() };
                batch.drain(..).for_each(|report| clock.pacer.reported(time - 1, report));
            });
            words.for_each(|time, batch| {
                let (Some((clock, _)), Some(time)) = (&mut clock, time.least()) else { return batch.clear() };
                batch.drain(..).for_each(|word| clock.pacer.said(time - 1, word));
            });
            committed.for_each(|_, batch| {
                let Some((clock, _)) = &mut clock else { return batch.clear() };
                batch.drain(..).for_each(|commit| {
                    clock.pacer.committed(commit.seq);
                    clock.metrics.health.landed();
                });
            });
            let Some((ClockStart { pacer, discovered, views, packed, metrics }, capability)) = &mut clock else {
                return;
            };
            discovered.try_iter().for_each(|found| pacer.discovered(found));
            views.iter().flat_map(|views| views.try_iter()).for_each(|command| pacer.view(command));
            if packed.as_ref().is_some_and(|packed| packed.load(Ordering::Acquire)) {
                pacer.packed();
            }
            // Plan.
            let answered = frontiers[0].frontier().first().map_or(Epoch::MAX, |time| time.saturating_sub(1));
            let now = Instant::now();
            if pacer.answered_before(answered, now) {
                let (positions, horizon) = pacer.standings();
                metrics.health.standings().tell(positions, horizon, now);
            }
            // Act, emit, downgrade.
            if let Some(tick) = pacer.tick(now) {
                let epoch = tick.epoch;
                tick.seal.iter().for_each(|seq| metrics.health.sealed(*seq));
                let at = capability.delayed(&epoch);
                output.activate().session(&at).give(tick);
                capability.downgrade(&(epoch + 1));
            }
            if pacer.has_ended() {
                clock = None;
            } else {
                alarm.within(if pacer.is_idle() { IDLE_LOOK } else { LOOK });
            }
        }
    });
    ticks.broadcast()
}
