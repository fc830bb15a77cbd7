//! Changes of the derived tables, and their sealed rows, as batches to be written.
//!
//! ```text
//! blocks of all tables -- pipeline --+-> derive -> batches
//! names learnt -- its frontier ------+
//! closes ----- pipeline --------------+
//! ```
//!
//! Rows of epoch e are shown once the names of e are learnt. Their bytes count against the budget until they are
//! committed, as those of records do. Names that no later row can show are freed once a commit has landed.

use std::collections::VecDeque;
use std::sync::Arc;

use citystream_dataflows::tables::Block;
use citystream_dataflows::time::by_epoch::{ByEpoch, first_open};
use citystream_dataflows::time::closes::EpochClose;
use citystream_dataflows::time::{Epoch, Micros};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::{Capability, Concatenate};
use timely::progress::Antichain;

use crate::columns::names::Names;
use crate::columns::render::render;
use crate::columns::tables::Batch;
use crate::process::{Debt, Fatal, Reading};

/// The blocks of an epoch, and the right to send at it.
type Waiting = (Capability<Epoch>, Vec<Block>);

/// The batches of all derived tables; see the module.
pub fn derive<'scope>(
    (names, reading, fatal): (Arc<Names>, Arc<Reading>, Fatal),
    committed: &Handle<Epoch>,
    closes: StreamVec<'scope, Epoch, EpochClose>,
    blocks: Vec<StreamVec<'scope, Epoch, Block>>,
    interned: StreamVec<'scope, Epoch, ()>,
) -> StreamVec<'scope, Epoch, Batch> {
    let committed = committed.clone();
    let blocks = interned.scope().concatenate(blocks);
    let mut builder = OperatorBuilder::new("derive".to_owned(), interned.scope());
    let mut blocks = builder.new_input(blocks, Pipeline);
    let _interned = builder.new_input_connection(interned, Pipeline, []);
    let mut closes = builder.new_input_connection(closes, Pipeline, []);
    let (output, stream) = builder.new_output_connection([(0, Antichain::from_elem(0))]);
    let mut output = OutputBuilder::from(output);

    builder.build(move |_| {
        let mut waiting: ByEpoch<Waiting> = ByEpoch::default();
        let mut debt = Debt::default();
        let mut horizons: VecDeque<(Epoch, Micros)> = VecDeque::new();
        move |frontiers| {
            // Read.
            blocks.for_each(|time, batch| {
                let Some(epoch) = time.least().copied() else { return };
                waiting.at_or(epoch, || (time.delayed(&epoch, 0), Vec::new())).1.append(batch);
            });
            closes.for_each(|_, batch| {
                horizons.extend(batch.drain(..).filter_map(|close| Some((close.epoch, close.horizon?))));
            });
            debt.refund(&committed, &reading.budget);
            while let Some((_, horizon)) = horizons.pop_front_if(|(epoch, _)| !committed.less_equal(epoch)) {
                names.landed(horizon);
            }
            // Plan, act, emit, and let go of each capability.
            let open = first_open(&frontiers[1..2]);
            while let Some((epoch, (capability, blocks))) = waiting.next_before(open) {
                for block in blocks {
                    let taken_back = block.diffs.iter().flatten().filter(|diff| **diff < 0).count();
                    reading.metrics.corrections.inc_by(taken_back as u64);
                    let rows = match render(block, &names) {
                        Ok(rows) => rows,
                        Err(error) => return fatal.raise(error),
                    };
                    let bytes = rows.columns.get_array_memory_size() as u64;
                    reading.budget.take(bytes);
                    debt.owe(epoch, bytes);
                    output.activate().session(&capability).give(rows);
                }
            }
        }
    });
    stream
}
