//! The graph of the collections on one page; see the crate.

use citystream_dataflows::city::City;
use citystream_dataflows::operators::incidents::LifeId;
use citystream_dataflows::records::TextId;
use citystream_dataflows::time::Epoch;
use differential_dataflow::AsCollection;
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::cursor::cursor_list;
use differential_dataflow::trace::implementations::ValSpine;
use differential_dataflow::trace::{Cursor, TraceReader};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::vec::Map;
use timely::progress::frontier::AntichainRef;

use crate::cells::cells;
use crate::clusters::clusters;
use crate::incidents::open;
use crate::latest::latest;
use crate::rows::{Cell, Cluster, Congestion, Flow, Incident, Row, Vehicle, View, Worst};
use crate::updates::Update;
use crate::worst::worst;

/// An arranged collection, by key.
pub type Trace<K, V> = TraceAgent<ValSpine<K, V, Epoch, isize>>;
type ByKey<'scope, K, V> = Arranged<'scope, Trace<K, V>>;

/// The collections of the city: all of their changes in one stream, and what they are arranged in.
pub struct Collections<'scope> {
    /// Changes of all rows, where they arise.
    pub changes: StreamVec<'scope, Epoch, Update<Row>>,
    /// The arrangements.
    pub traces: Traces,
}

/// The shared arrangements of a worker. Whoever holds them advances them, or they grow with every epoch.
#[derive(Clone)]
pub struct Traces {
    /// Vehicles by device.
    pub vehicles: Trace<TextId, Vehicle>,
    /// Cells.
    pub cells: Trace<u64, Cell>,
    /// Levels by cell.
    pub levels: Trace<u64, Congestion>,
    /// Open incidents by life.
    pub incidents: Trace<LifeId, Incident>,
    /// Clusters by their least cell.
    pub clusters: Trace<u64, Cluster>,
    /// The worst cells by rank.
    pub worst: Trace<u32, Worst>,
}

impl Traces {
    /// Nobody will ask for the state before an epoch: what changed before it is one with it.
    pub fn advance(&mut self, epoch: Epoch) {
        advance(&mut self.vehicles, epoch);
        advance(&mut self.cells, epoch);
        advance(&mut self.levels, epoch);
        advance(&mut self.incidents, epoch);
        advance(&mut self.clusters, epoch);
        advance(&mut self.worst, epoch);
    }

    /// Gives all rows of a view that this worker has as of an epoch, before which nothing was asked to be one.
    pub fn rows(&mut self, view: View, epoch: Epoch, mut give: impl FnMut(Row)) {
        match view {
            View::Vehicles => visit(&mut self.vehicles, epoch, |row| give(Row::Vehicle(*row))),
            View::Cells => visit(&mut self.cells, epoch, |row| give(Row::Cell(*row))),
            View::Incidents => visit(&mut self.incidents, epoch, |row| give(Row::Incident(*row))),
            View::Clusters => visit(&mut self.clusters, epoch, |row| give(Row::Cluster(*row))),
            View::Worst => visit(&mut self.worst, epoch, |row| give(Row::Worst(*row))),
        }
    }
}

/// Visits the values that are there as of an epoch.
fn visit<K: Data, V: Data>(trace: &mut Trace<K, V>, epoch: Epoch, mut take: impl FnMut(&V)) {
    let Some(batches) = trace.batches_through(AntichainRef::new(&[])) else { return };
    let (mut cursor, storage) = cursor_list(batches);
    while cursor.key_valid(&storage) {
        while let Some(value) = cursor.get_val(&storage) {
            let mut count = 0;
            cursor.map_times(&storage, |time, diff| count += if *time <= epoch { *diff } else { 0 });
            if count > 0 {
                take(value);
            }
            cursor.step_val(&storage);
        }
        cursor.step_key(&storage);
    }
}

/// What can be arranged.
trait Data: Clone + Ord + 'static {}
impl<D: Clone + Ord + 'static> Data for D {}

fn advance(trace: &mut impl TraceReader<Time = Epoch>, epoch: Epoch) {
    trace.set_logical_compaction(AntichainRef::new(&[epoch]));
    trace.set_physical_compaction(AntichainRef::new(&[epoch]));
}

impl<'scope> Collections<'scope> {
    /// Builds the collections over the streams that the tables are made of.
    pub fn new(city: &City<'scope>) -> Collections<'scope> {
        let closes = || city.closes.clone();
        let vehicles = latest("vehicles", closes(), city.pings.clone().map(|ping| Vehicle::of(&ping)));
        let flows = latest("flows", closes(), city.traffic.clone().map(|record| Flow::of(&record)));
        let cells = cells(closes(), vehicles.clone(), flows.clone()).as_collection();
        let cells: ByKey<_, _> = cells.map(|row: Cell| (row.cell, row)).arrange_by_key_named("cells");
        let vehicles = vehicles.as_collection();
        let vehicles: ByKey<_, _> = vehicles.map(|row: Vehicle| (row.vehicle, row)).arrange_by_key_named("vehicles");
        let levels = flows.clone().as_collection().flat_map(|row: Flow| row.level.map(|level| (row.cell, level)));
        let levels: ByKey<_, _> = levels.arrange_by_key_named("levels");
        let incidents = open(closes(), city.lives.clone()).as_collection();
        let incidents: ByKey<_, _> = incidents.map(|row: Incident| (row.life, row)).arrange_by_key_named("incidents");

        let clusters =
            clusters(closes(), levels.clone().as_collection(|cell, level| (*cell, *level)).inner).as_collection();
        let clusters: ByKey<_, _> = clusters.map(|row: Cluster| (row.id, row)).arrange_by_key_named("clusters");
        let worst = worst(closes(), flows).as_collection();
        let worst: ByKey<_, _> = worst.map(|row: Worst| (row.rank, row)).arrange_by_key_named("worst");

        let traces = Traces {
            vehicles: vehicles.trace.clone(),
            cells: cells.trace.clone(),
            levels: levels.trace.clone(),
            incidents: incidents.trace.clone(),
            clusters: clusters.trace.clone(),
            worst: worst.trace.clone(),
        };
        let changes = [
            vehicles.as_collection(|_, row| Row::Vehicle(*row)).inner,
            cells.as_collection(|_, row| Row::Cell(*row)).inner,
            incidents.as_collection(|_, row| Row::Incident(*row)).inner,
            clusters.as_collection(|_, row| Row::Cluster(*row)).inner,
            worst.as_collection(|_, row| Row::Worst(*row)).inner,
        ];
        Collections { changes: city.closes.scope().concatenate(changes), traces }
    }
}
