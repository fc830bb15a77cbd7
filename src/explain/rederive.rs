//! A row of a derived table once more, from the raw rows behind it: the same dataflow, on one worker, in one commit.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use citystream_dataflows::city::{City, Records};
use citystream_dataflows::tables::{self, Block, Derived};
use citystream_dataflows::time::closes::{CloseKind, EpochClose};
use citystream_dataflows::time::{Epoch, Micros};
use timely::dataflow::Scope;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::vec::ToStream;

use crate::columns::extract::{self, Extractor, Records as Extracted};
use crate::columns::names::Names;
use crate::columns::render::render;
use crate::columns::tables::Table;
use crate::columns::text_hash::{TextHasher, draw_key};
use crate::error::RunError;

/// All rows of a table that the raw rows add up to.
///
/// # Errors
/// Rows that are not what their tables say.
pub fn rederive(table: Derived, sources: &[(Table, Vec<RecordBatch>)]) -> Result<Vec<RecordBatch>, RunError> {
    let mut extractor = Extractor::new(TextHasher::new(draw_key()?));
    let mut records = Extracted::default();
    for (raw, batches) in sources {
        for batch in batches {
            extractor.extract(&extract::stored(*raw, batch.clone())?, &mut records)?;
        }
    }
    let names = Names::new(Micros::MAX, &Arc::default());
    names.intern(std::mem::take(&mut records.names));
    let derived = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&derived);
    timely::execute_directly(move |worker| {
        worker.dataflow::<Epoch, _, _>(|scope| derive(scope, table, records, sink));
    });
    let derived = std::mem::take(&mut *derived.lock().unwrap_or_else(PoisonError::into_inner));
    derived.into_iter().map(|block| Ok(render(block, &names)?.columns)).collect()
}

fn derive(scope: Scope<'_, Epoch>, table: Derived, records: Extracted, sink: Arc<Mutex<Vec<Block>>>) {
    let close = EpochClose { epoch: 0, horizon: None, kind: CloseKind::Seal, last: true };
    let closes = [close].to_stream(scope);
    let records = Records {
        vehicles: records.vehicles.to_stream(scope),
        pings: records.pings.to_stream(scope),
        traffic: records.traffic.to_stream(scope),
        weather: records.weather.to_stream(scope),
        statuses: records.statuses.to_stream(scope),
        deliveries: records.deliveries.to_stream(scope),
        seeds: empty(scope),
    };
    for blocks in tables::derive(&City::new(closes, records), [table]) {
        let sink = Arc::clone(&sink);
        blocks.inspect_core(move |event| {
            if let Ok((_, blocks)) = event {
                sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(blocks);
            }
        });
    }
}
