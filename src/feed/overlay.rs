//! Live values over a simulation: where a feed knows something of a vehicle's place, the record says that.

use citystream_feeds::Place;
use citystream_simulator::Overlay;
use citystream_simulator::wire::Record;

use super::live::Apis;

impl Overlay for Apis {
    fn write(&self, record: Record<'_>, to: &mut Vec<u8>) {
        if let Ok(place) = Place::new(record.head.place.lat, record.head.place.lon) {
            self.want(record.topic(), place);
        }
        self.lay(record, to);
    }
}
