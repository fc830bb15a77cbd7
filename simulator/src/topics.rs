//! What a vehicle reports at a step.

use citystream_wire::Topic;

/// The topics of a step's records, in the order in which they are sent.
pub(crate) const TOPICS: &[Topic] = &[Topic::VEHICLE, Topic::GPS, Topic::TRAFFIC, Topic::WEATHER, Topic::EMERGENCY];
