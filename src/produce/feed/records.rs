//! One round: a record of every station, of the best value there is.

use citystream_dataflows::time::Micros;
use citystream_simulator::Message;
use citystream_wire::{self as wire, Body, Emergency, Head, Record, Source};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::climate;
use super::live::Apis;
use super::stations::{Kind, Station};
use crate::produce::simulate::{Sink, SinkError};

/// Records of one kind of station, by where their values come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Live values.
    pub live: u64,
    /// Earlier answers.
    pub cached: u64,
    /// Made up.
    pub synthetic: u64,
    /// Left out, as they would have been made up.
    pub left_out: u64,
}

impl Tally {
    /// Records sent.
    pub fn records(&self) -> u64 {
        self.live + self.cached + self.synthetic
    }
}

/// Reports for stations.
pub struct Reporter<'a> {
    apis: &'a Apis,
    stations: &'a [Station],
    synthetic: bool,
    /// By kind.
    tallies: [Tally; 3],
    value: Vec<u8>,
    /// The bits of the next id.
    id: u128,
}

impl<'a> Reporter<'a> {
    /// Nothing reported yet. `synthetic` is whether values are made up where there are none; `id` is random: ids count from it.
    pub fn new(apis: &'a Apis, stations: &'a [Station], synthetic: bool, id: u128) -> Self {
        Reporter { apis, stations, synthetic, tallies: Default::default(), value: Vec::new(), id }
    }

    /// Asks for all that is not live.
    pub fn want(&self) {
        for Station { kind, place, .. } in self.stations {
            self.apis.want(*kind, *place);
        }
    }

    /// Sends a record of each station, as it is at a time.
    pub fn report(&mut self, now: Micros, sink: &mut dyn Sink) -> Result<(), SinkError> {
        for station in self.stations {
            let source = self.compose(station, now);
            let tally = &mut self.tallies[station.kind as usize];
            match source {
                Source::Live => tally.live += 1,
                Source::Cached => tally.cached += 1,
                Source::Synthetic if self.synthetic => tally.synthetic += 1,
                Source::Synthetic => {
                    tally.left_out += 1;
                    continue;
                }
            }
            sink.send(&Message {
                topic: station.kind.topic(),
                partition_hash: xxh3_64(station.id.as_bytes()),
                key: &station.id,
                log_time_ms: now / 1000,
                value: Some(&self.value),
            })?;
        }
        Ok(())
    }

    /// What was reported, by kind.
    pub fn tallies(&self) -> [(Kind, Tally); 3] {
        Kind::ALL.map(|kind| (kind, self.tallies[kind as usize]))
    }

    /// Writes a station's record: what is usual there, unless a feed tells more.
    fn compose(&mut self, station: &Station, time: Micros) -> Source {
        let (device, place) = (&station.id, station.place);
        let body = match station.kind {
            Kind::Camera => Body::Traffic(climate::traffic(place, time, device)),
            Kind::Weather => Body::Weather(climate::weather(place, time)),
            // Who could help is not made up.
            Kind::Services => Body::Emergency(Emergency { incident: None, services: None }),
        };
        let id = wire::uuid(self.id);
        self.id = self.id.wrapping_add(1);
        // A UUID is ASCII.
        let id = str::from_utf8(&id).unwrap_or_default();
        let place = wire::Place { lat: place.lat(), lon: place.lon() };
        self.value.clear();
        let head = Head { id, device, time, place, source: Source::Synthetic };
        self.apis.lay(Record { head, body }, &mut self.value)
    }
}
