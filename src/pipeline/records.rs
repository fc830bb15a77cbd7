//! From rows to what the derived tables are made of.
//!
//! ```text
//! classified rows -- pipeline ---+-> records -> vehicles, pings, traffic, weather, statuses, deliveries
//! recovered rows ---- pipeline --+           -> texts that were met
//! ticks ------------- broadcast -+
//! ```
//!
//! Each batch becomes records at its own epoch. A text is told once by each worker, at the epoch of the first record
//! that has it (`texts.rs`). The first tick brings the key of ids; what
//! comes of that tick on this worker comes after it.

use std::sync::Arc;

use citystream_dataflows::city;
use citystream_dataflows::held::{Amount, Balance, Kind};
use citystream_dataflows::operators::incidents::Seed;
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::ticks::Tick;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::InputCapability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::columns::extract::{Extractor, Records};
use crate::columns::names::Told;
use crate::columns::tables::Batch;
use crate::columns::text_hash::TextHasher;
use crate::error::RunError;
use crate::process::Process;

/// What records are made from.
pub struct Inputs<'scope> {
    /// Ticks: the first has the key of ids.
    pub ticks: StreamVec<'scope, Epoch, Tick>,
    /// Classified rows.
    pub rows: StreamVec<'scope, Epoch, Batch>,
    /// Recovered rows.
    pub recovered: StreamVec<'scope, Epoch, Batch>,
    /// Lives of incidents that the lake has.
    pub seeds: StreamVec<'scope, Epoch, Seed>,
}

/// Records of rows, and the texts in them; see the module.
pub fn records<'scope>(
    process: &Process,
    Inputs { ticks, rows, recovered, seeds }: Inputs<'scope>,
) -> (city::Records<'scope>, StreamVec<'scope, Epoch, Told>) {
    let mut builder = OperatorBuilder::new("records".to_owned(), rows.scope());
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let mut rows = builder.new_input(rows, Pipeline);
    let mut recovered = builder.new_input(recovered, Pipeline);
    let (vehicles, vehicle_stream) = Output::new(&mut builder);
    let (pings, ping_stream) = Output::new(&mut builder);
    let (traffic, traffic_stream) = Output::new(&mut builder);
    let (weather, weather_stream) = Output::new(&mut builder);
    let (statuses, status_stream) = Output::new(&mut builder);
    let (deliveries, delivery_stream) = Output::new(&mut builder);
    let (told, told_stream) = Output::new(&mut builder);
    let mut outputs = Outputs { vehicles, pings, traffic, weather, statuses, deliveries, names: told };

    let (names, fatal) = (Arc::clone(&process.names), process.fatal.clone());
    let mut balance = Balance::new(&process.held);
    builder.build(move |_| {
        let mut extractor = None;
        move |_| {
            extractor.iter_mut().for_each(|extractor: &mut Extractor| extractor.forget_before(names.freed()));
            ticks.for_each(|_, batch| {
                let start = batch.drain(..).find_map(|tick| tick.start);
                let made = start.map(|start| Extractor::new(TextHasher::new(start.key)));
                extractor = extractor.take().or(made);
            });
            let mut extract = |batch: &Batch| extracted(extractor.as_mut(), batch).map_err(|e| fatal.raise(e)).ok();
            rows.for_each(|time, batches| {
                batches.drain(..).filter_map(|batch| extract(&batch)).for_each(|records| outputs.give(&time, records));
            });
            recovered.for_each(|time, batches| {
                batches.drain(..).filter_map(|batch| extract(&batch)).for_each(|records| outputs.give(&time, records));
            });
            balance.set(Kind::Names, Amount::bytes(extractor.as_ref().map_or(0, Extractor::bytes)));
        }
    });
    let records = city::Records {
        vehicles: vehicle_stream,
        pings: ping_stream,
        traffic: traffic_stream,
        weather: weather_stream,
        statuses: status_stream,
        deliveries: delivery_stream,
        seeds,
    };
    (records, told_stream)
}

fn extracted(extractor: Option<&mut Extractor>, batch: &Batch) -> Result<Records, RunError> {
    let mut records = Records::default();
    let extractor = extractor.ok_or_else(|| RunError::Integrity("P3: rows came before the first tick".to_owned()))?;
    extractor.extract(batch, &mut records)?;
    Ok(records)
}

/// An output of records.
struct Output<T: 'static>(OutputBuilder<Epoch, CapacityContainerBuilder<Vec<T>>>, usize);

impl<T: Clone + 'static> Output<T> {
    fn new<'scope>(builder: &mut OperatorBuilder<'scope, Epoch>) -> (Self, StreamVec<'scope, Epoch, T>) {
        let index = builder.shape().outputs();
        let (output, stream) = builder.new_output();
        (Output(OutputBuilder::from(output), index), stream)
    }

    fn give(&mut self, time: &InputCapability<Epoch>, mut records: Vec<T>) {
        if let Some(capability) = time.retain_least(self.1).filter(|_| !records.is_empty()) {
            self.0.activate().session(&capability).give_container(&mut records);
        }
    }
}

struct Outputs {
    vehicles: Output<citystream_dataflows::records::VehicleRecord>,
    pings: Output<citystream_dataflows::records::Ping>,
    traffic: Output<citystream_dataflows::records::Traffic>,
    weather: Output<citystream_dataflows::records::Weather>,
    statuses: Output<citystream_dataflows::records::Status>,
    deliveries: Output<citystream_dataflows::records::Delivery>,
    names: Output<Told>,
}

impl Outputs {
    fn give(&mut self, time: &InputCapability<Epoch>, records: Records) {
        self.vehicles.give(time, records.vehicles);
        self.pings.give(time, records.pings);
        self.traffic.give(time, records.traffic);
        self.weather.give(time, records.weather);
        self.statuses.give(time, records.statuses);
        self.deliveries.give(time, records.deliveries);
        self.names.give(time, records.names);
    }
}
