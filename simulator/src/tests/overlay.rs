//! What is laid over the records is in them, and nothing else changes.

use std::sync::Arc;

use citystream_wire::{Body, Record, Source, Weather};

use super::*;

#[derive(Debug)]
struct Fog;

impl Overlay for Fog {
    fn write(&self, mut record: Record<'_>, to: &mut Vec<u8>) {
        if let Body::Weather(weather) = record.body {
            record.head.source = Source::Live;
            record.body = Body::Weather(Weather { condition: "Fog", ..weather });
        }
        record.write(to);
    }
}

#[test]
fn what_is_known_stands_in_the_place_of_what_is_simulated() {
    let mut plain = Simulator::new(options(Trouble::default()), 1).unwrap();
    let mut laid = Simulator::new(options(Trouble::default()), 2).unwrap();
    laid.lay(Arc::new(Fog));
    for (plain, laid) in take(&mut plain, 20_000).into_iter().zip(take(&mut laid, 20_000)) {
        if laid.topic == Topic::WEATHER {
            let mut wanted = plain.json();
            wanted["weatherCondition"] = "Fog".into();
            wanted["source"] = "live".into();
            assert_eq!(laid.json(), wanted);
        } else {
            assert_eq!(laid, plain);
        }
    }
}
