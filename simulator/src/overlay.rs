//! What a caller knows better than the simulation, in the place of what is simulated: live weather, say.

use std::fmt::Debug;

use citystream_wire::Record;

/// Lays known values over records as they are made. The truth, and what happens to vehicles, stay those of the simulation.
pub trait Overlay: Debug + Send + Sync {
    /// Appends a record as JSON, changed or not; its id stays. To be quick: the simulation waits for it.
    fn write(&self, record: Record<'_>, to: &mut Vec<u8>);
}

/// The simulation as it is.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Overlay for Nothing {
    fn write(&self, record: Record<'_>, to: &mut Vec<u8>) {
        record.write(to);
    }
}
