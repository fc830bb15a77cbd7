//! The recovery operator: what an earlier run saw and a record still to come may repeat.
//!
//! ```text
//! ticks -- broadcast --> recall -> seen (to each partition's owner)
//! ```
//!
//! At the run's first tick the raw files in reach are shared out over all workers, read off their threads, and sent
//! on at that tick's epoch. Until the last file is read the worker holds that epoch, so nothing is classified before
//! all of it is remembered.

use std::sync::Arc;

use citystream_dataflows::ticks::{Seen, Start, Tick};
use citystream_dataflows::time::Epoch;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;

use super::process::{Mailbox, Process};
use crate::lake::reach;

/// The rows in reach of the run's start; see the module.
pub fn recall<'scope>(process: Arc<Process>, ticks: StreamVec<'scope, Epoch, Tick>) -> StreamVec<'scope, Epoch, Seen> {
    let scope = ticks.scope();
    let (worker, peers) = (scope.index(), scope.peers());
    let mut builder = OperatorBuilder::new("recall".to_owned(), scope);
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let (output, stream) = builder.new_output_connection::<Vec<Seen>, _>(std::iter::empty::<(usize, Antichain<u64>)>());
    let mut output = OutputBuilder::from(output);
    let wake = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());

    builder.build(move |mut capabilities| {
        let mut capability = capabilities.pop();
        let (mailbox, letters) = Mailbox::new(wake);
        move |_| {
            // Read and plan: the first tick starts the reading.
            ticks.for_each(|_, batch| {
                for tick in batch.drain(..) {
                    if let (Some(start), Some(held)) = (tick.start, &mut capability) {
                        held.downgrade(&tick.epoch);
                        begin(&process, start, worker, peers, mailbox.clone());
                    }
                }
            });
            // Act and emit.
            for letter in letters.try_iter() {
                match (letter, &capability) {
                    (Letter::Rows(mut rows), Some(held)) => {
                        output.activate().session(held).give_container(&mut rows);
                    }
                    (Letter::Failed(error), _) => process.fatal.raise(error),
                    (Letter::Done, _) => capability = None,
                    (Letter::Rows(_), None) => {}
                }
            }
        }
    });
    stream
}

enum Letter {
    Rows(Vec<Seen>),
    Failed(crate::error::RunError),
    Done,
}

/// Reads this worker's share of the files on a task of its own.
fn begin(process: &Arc<Process>, start: Start, worker: usize, peers: usize, mailbox: Mailbox<Letter>) {
    let process_of_task = Arc::clone(process);
    process.runtime.spawn(async move {
        let share = start.reach.iter().skip(worker).step_by(peers);
        for path in share {
            match reach::seen(&process_of_task.lake, path, start.closed_before).await {
                Ok(rows) => mailbox.send(Letter::Rows(rows)),
                Err(error) => return mailbox.send(Letter::Failed(error.into())),
            }
        }
        mailbox.send(Letter::Done);
    });
}
