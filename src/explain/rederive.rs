//! A row of a derived table once more, from the raw rows behind it: the same dataflow, on one worker, in one commit.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use citystream_dataflows::changes::Change;
use citystream_dataflows::city::{Records, city};
use citystream_dataflows::time::{Epoch, Micros};
use citystream_dataflows::turns::{Close, Turn};
use citystream_wire::PerTopic;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::vec::ToStream;
use timely::dataflow::{Scope, StreamVec};

use super::sources::Sources;
use crate::error::RunError;
use crate::extract::{self, Extractor, Records as Extracted};
use crate::names::Names;
use crate::render::{RenderError, Row, render};
use crate::tables::Table;

/// All rows of a table that the raw rows add up to; `counts_from` is the log time from which windows were open.
///
/// # Errors
/// Rows that are not what their tables say.
pub fn rederive(
    table: Table,
    sources: &Sources,
    counts_from: Micros,
    topic_names: PerTopic<String>,
) -> Result<Vec<RecordBatch>, RunError> {
    let mut extractor = Extractor::new(topic_names);
    let mut records = Extracted::default();
    for (raw, batches) in sources {
        for batch in batches {
            let dispositions = match raw.topic() {
                Some(_) => extract::dispositions(*raw, batch)?,
                None => Vec::new(),
            };
            extractor.extract(*raw, batch, &dispositions, &mut records)?;
        }
    }
    records.deliveries.iter_mut().for_each(|delivery| delivery.log_time = delivery.log_time.max(counts_from));
    let names = Names::default();
    names.learn(&records.names)?;
    let rendered = Arc::new(Mutex::new(Vec::new()));
    let (sink, names) = (Arc::clone(&rendered), Arc::new(names));
    timely::execute_directly(move |worker| {
        worker.dataflow::<Epoch, _, _>(|scope| derive(scope, table, records, names, sink));
    });
    let rendered = std::mem::take(&mut *rendered.lock().unwrap_or_else(PoisonError::into_inner));
    rendered.into_iter().collect::<Result<_, RenderError>>().map_err(RunError::from)
}

type Sink = Arc<Mutex<Vec<Result<RecordBatch, RenderError>>>>;

fn derive<'scope>(scope: Scope<'scope, Epoch>, table: Table, records: Extracted, names: Arc<Names>, sink: Sink) {
    let turn = Turn { epoch: 0, horizon: None, close: Close::Seal, last: true };
    let turns = [turn].to_stream(scope);
    let records = Records {
        vehicles: records.vehicles.to_stream(scope),
        pings: records.pings.to_stream(scope),
        traffic: records.traffic.to_stream(scope),
        weather: records.weather.to_stream(scope),
        statuses: records.statuses.to_stream(scope),
        deliveries: records.deliveries.to_stream(scope),
        seeds: empty(scope),
    };
    let changes = city(turns, records);
    match table {
        Table::EnrichedPings => collect(changes.pings, names, sink),
        Table::Traffic5m => collect(changes.traffic, names, sink),
        Table::Vehicle15m => collect(changes.vehicles, names, sink),
        Table::Environment15m => collect(changes.environment, names, sink),
        Table::Incidents => collect(changes.incidents, names, sink),
        _ => collect(changes.quality, names, sink),
    }
}

fn collect<R: Row + Clone + 'static>(changes: StreamVec<'_, Epoch, Change<R>>, names: Arc<Names>, sink: Sink) {
    changes.inspect_core(move |event| {
        if let Ok((_, changes)) = event {
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(render(changes, &names));
        }
    });
}
