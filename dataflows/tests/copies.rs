//! How many copies of a weather record there are: two at most, however many workers.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::{Arc, Barrier, Mutex};

use citystream_dataflows::city::{City, Records};
use citystream_dataflows::held::{Held, Kind};
use citystream_dataflows::operators::stage::Closes;
use citystream_dataflows::records::{Measure, Point, Reading, Sky, Stamp, TextId, Weather};
use citystream_dataflows::time::closes::{CloseKind, EpochClose};
use citystream_dataflows::time::{Epoch, HOUR, Micros};
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::{Input, Probe};
use timely::dataflow::{InputHandleVec, ProbeHandle};

const RECORDS: usize = 12_000;

/// Records of 25 regions in six hours.
fn record(index: usize) -> Weather {
    let time: Micros = 1_600_000_000_000_000 + index as i64 * (6 * HOUR / RECORDS as i64);
    Weather {
        stamp: Stamp { time, partition: 0, offset: index as i64 },
        at: Point::default(),
        c5: 0x0851_9480_7fff_ffff + ((index as u64 * 7919 % 25) << 30),
        condition: TextId::NONE,
        sky: Sky::Other,
        measures: [Reading::NONE; Measure::COUNT],
        source: None,
    }
}

/// How many records the workers of a city hold, once batches of this size have come.
fn held(workers: usize, batch: usize) -> usize {
    let (held, barrier) = (Arc::new(Held::default()), Arc::new(Barrier::new(workers)));
    let found = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&found);
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (mut closes, mut weather) = (InputHandleVec::<Epoch, EpochClose>::new(), InputHandleVec::new());
        let probe = ProbeHandle::new();
        worker.dataflow(|scope| {
            let records = Records {
                vehicles: empty(scope),
                pings: empty(scope),
                traffic: empty(scope),
                weather: scope.input_from(&mut weather),
                statuses: empty(scope),
                deliveries: empty(scope),
                seeds: empty(scope),
            };
            let closes = Closes { stream: scope.input_from(&mut closes), held: Arc::clone(&held) };
            City::new(closes, records).enriched_changes.probe_with(&probe);
        });
        let mine: Vec<Weather> = (worker.index()..RECORDS).step_by(workers).map(record).collect();
        for batch in mine.chunks(batch) {
            weather.send_batch(&mut batch.to_vec());
        }
        closes.send(EpochClose { epoch: 0, horizon: None, kind: CloseKind::Seal, last: false });
        weather.advance_to(1);
        closes.advance_to(1);
        while probe.less_than(&1) {
            worker.step();
        }
        barrier.wait();
        *seen.lock().unwrap() = held.of(Kind::References).count;
        barrier.wait();
        closes.send(EpochClose { epoch: 1, horizon: None, kind: CloseKind::Seal, last: true });
    });
    guards.unwrap().join().into_iter().for_each(|result| result.unwrap());
    *found.lock().unwrap()
}

#[test]
fn a_weather_record_goes_to_two_workers_at_most() {
    assert_eq!(held(1, 100), RECORDS);
    for workers in [2, 3, 4, 8, 16] {
        let (one_by_one, in_batches) = (held(workers, 1), held(workers, 250));
        assert!((RECORDS..=2 * RECORDS).contains(&one_by_one), "{workers} workers hold {one_by_one}");
        // Of a batch only the last of each region and half hour goes on.
        assert!((RECORDS..=RECORDS * 3 / 2).contains(&in_batches), "{workers} workers hold {in_batches}");
    }
}
