//! One file a topic: its declaration, and its records as the original producer writes them. To add one: its file, and
//! its line in the list below.

mod emergency;
mod gps;
mod traffic;
mod vehicle;
mod weather;

pub use emergency::{Emergency, Incident, Services};
pub use gps::Gps;
pub use traffic::Traffic;
pub use vehicle::Vehicle;
pub use weather::Weather;

use crate::declaration::{Cell, Declaration, Field, Kind};
use crate::topic::Topic;
use crate::words::Source;

/// The list: constants of [`Topic`] in their order, each with the file of its declaration.
macro_rules! built_in {
    ($($(#[$doc:meta])* $constant:ident = $file:ident;)+) => {
        /// The topics that are there from the start, by index.
        pub(crate) static BUILT_IN: [&Declaration; [$(stringify!($file)),+].len()] = [$(&$file::DECLARATION),+];

        #[allow(non_camel_case_types)]
        enum Order { $($file),+ }

        impl Topic {
            $($(#[$doc])* pub const $constant: Topic = Topic::built_in(Order::$file as usize);)+
        }
    };
}

built_in! {
    /// Vehicle records.
    VEHICLE = vehicle;
    /// GPS pings.
    GPS = gps;
    /// Traffic records of cameras.
    TRAFFIC = traffic;
    /// Weather records.
    WEATHER = weather;
    /// Emergency records.
    EMERGENCY = emergency;
}

// What several topics have.
const ID: Field = Field::id("id", "id").required();
const DEVICE: Field = Field::id("deviceId", "device_id").required();
const TIME: Field = Field::time("timestamp");
const LOCATION: Field = Field::place("location", &["coordinates"]);
const SPEED: Field = Field::number("speed", "speed_kmh", "km/h", 0.0, 1000.0);
const DIRECTION: Field = Field { unit: "degrees", ..Field::new("direction", "bearing_deg", Kind::Bearing) };
const SOURCE: Field = Field::new("source", "source", Kind::Words(Source::WORDS));
const H3_8: Cell = Cell { column: "h3_8", resolution: 8 };
const H3_5: Cell = Cell { column: "h3_5", resolution: 5 };
