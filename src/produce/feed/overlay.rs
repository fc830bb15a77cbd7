//! Live values over a simulation: where a feed knows something of a vehicle's place, the record says that.

use citystream_live_apis::Place;
use citystream_simulator::Overlay;
use citystream_wire::Record;

use super::live::Apis;
use super::stations::Kind;

impl Overlay for Apis {
    fn write(&self, record: Record<'_>, to: &mut Vec<u8>) {
        // Nothing is to be asked about vehicles.
        let kind = Kind::ALL.into_iter().find(|kind| kind.topic() == record.body.topic());
        if let (Some(kind), Ok(place)) = (kind, Place::new(record.head.place.lat, record.head.place.lon)) {
            self.want(kind, place);
        }
        self.lay(record, to);
    }
}
