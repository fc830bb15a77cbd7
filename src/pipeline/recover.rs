//! The recovery operator: what an earlier run read and what is to come still depends on.
//!
//! ```text
//! ticks -- broadcast --> recover -> seen  (to each partition's owner: what may be repeated)
//!                                -> rows  (to the derived tables, which take them without writing)
//!                                -> seeds (the lives of incidents that the lake has)
//! ```
//!
//! At the run's first tick the files in reach are shared out over all workers, read off their threads, and sent on at
//! that tick's epoch. Until the last file is read the worker holds that epoch, so nothing is classified before all of
//! it is remembered, and nothing is derived before all of it is known.

use std::sync::Arc;

use citystream_dataflows::operators::incidents::Seed;
use citystream_dataflows::tables::Derived;
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::ticks::{Seen, Tick};
use futures::StreamExt;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::columns::tables::Batch;
use crate::error::RunError;
use crate::lake::recovery::lookback::{self, Lookback, RecoveredRows};
use crate::process::{LakeAccess, Mailbox};

/// What a run finds in the lake; see the module.
pub struct Recovery<'scope> {
    /// On-time rows that a record to come may repeat.
    pub seen: StreamVec<'scope, Epoch, Seen>,
    /// Rows with their dispositions and windows.
    pub rows: StreamVec<'scope, Epoch, Batch>,
    /// Lives of incidents.
    pub seeds: StreamVec<'scope, Epoch, Seed>,
}

/// How many files one worker reads at a time.
const READ_AHEAD: usize = 4;

/// Reads back what is in reach; see the module.
pub fn recover<'scope>(
    access: LakeAccess,
    derived: Vec<Derived>,
    ticks: StreamVec<'scope, Epoch, Tick>,
) -> Recovery<'scope> {
    let scope = ticks.scope();
    let (worker, peers) = (scope.index(), scope.peers());
    let mut builder = OperatorBuilder::new("recover".to_owned(), scope);
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let (seen, seen_stream) = builder.new_output_connection::<Vec<Seen>, _>([]);
    let (rows, row_stream) = builder.new_output_connection::<Vec<Batch>, _>([]);
    let (seeds, seed_stream) = builder.new_output_connection::<Vec<Seed>, _>([]);
    let (mut seen, mut rows) = (OutputBuilder::from(seen), OutputBuilder::from(rows));
    let mut seeds = OutputBuilder::from(seeds);
    let wake = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());

    builder.build(move |capabilities| {
        let mut held: Option<Vec<Capability<Epoch>>> = Some(capabilities);
        let (mailbox, letters) = Mailbox::new(wake);
        move |_| {
            // Read and plan: the first tick starts the reading.
            ticks.for_each(|_, batch| {
                for tick in batch.drain(..) {
                    let (Some(start), Some(held)) = (tick.start, &mut held) else { continue };
                    held.iter_mut().for_each(|capability| capability.downgrade(&tick.epoch));
                    if worker == 0 {
                        seeds.activate().session(&held[2]).give_iterator(start.seeds.iter().copied());
                    }
                    let bounds = Lookback::of(&start, &derived);
                    let share = start.reach.into_iter().skip(worker).step_by(peers).collect();
                    begin(&access, bounds, share, mailbox.clone());
                }
            });
            // Act and emit.
            for letter in letters.try_iter() {
                match (letter, &held) {
                    (Letter::Read(recovered), Some(held)) => {
                        for RecoveredRows { rows: batch, seen: mut known } in recovered {
                            seen.activate().session(&held[0]).give_container(&mut known);
                            rows.activate().session(&held[1]).give(batch);
                        }
                    }
                    (Letter::Failed(error), _) => access.fatal.raise(error),
                    (Letter::Done, _) => held = None,
                    (Letter::Read(_), None) => {}
                }
            }
        }
    });
    Recovery { seen: seen_stream, rows: row_stream, seeds: seed_stream }
}

enum Letter {
    Read(Vec<RecoveredRows>),
    Failed(RunError),
    Done,
}

/// Reads this worker's share of the files on tasks of their own.
fn begin(access: &LakeAccess, bounds: Lookback, share: Vec<String>, mailbox: Mailbox<Letter>) {
    let (lake, bounds) = (access.lake.clone(), Arc::new(bounds));
    access.runtime.spawn(async move {
        let read = |path: String| {
            let (lake, bounds) = (lake.clone(), Arc::clone(&bounds));
            tokio::spawn(async move { lookback::read(&lake, &path, &bounds).await })
        };
        let mut files = futures::stream::iter(share.into_iter().map(read)).buffer_unordered(READ_AHEAD);
        while let Some(read) = files.next().await {
            match read {
                Ok(Ok(recovered)) => mailbox.send(Letter::Read(recovered)),
                Ok(Err(error)) => return mailbox.send(Letter::Failed(error.into())),
                Err(error) => return mailbox.send(Letter::Failed(RunError::Failed(format!("reading back: {error}")))),
            }
        }
        mailbox.send(Letter::Done);
    });
}
