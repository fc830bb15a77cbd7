//! Which records a start needs, by their times: those that a row depends on that is not final. From where on that is, each
//! derived table says of each topic (its *look-back*).

use std::collections::BTreeMap;

use citystream_dataflows::tables::{Derived, Needs, Resume};
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::Topic;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// By event time; a topic that no table looks at is not named.
    happened: BTreeMap<Topic, Micros>,
    /// By the window of data quality in which they count; `None` where no table goes by it.
    counted: Option<Micros>,
}

impl Bounds {
    /// Of a run that goes on from there and makes these tables.
    pub fn of(resume: Resume, tables: impl IntoIterator<Item = Derived>) -> Bounds {
        let mut bounds = Bounds::default();
        for needs in tables.into_iter().flat_map(|table| (table.lookback)(resume)) {
            match needs {
                Needs::Happened(topic, from) => {
                    let held = bounds.happened.entry(topic).or_insert(from);
                    *held = from.min(*held);
                }
                Needs::Counted(from) => bounds.counted = Some(bounds.counted.map_or(from, |held| from.min(held))),
            }
        }
        bounds
    }

    /// Whether an on-time record of a topic is needed.
    pub fn has_happened(&self, topic: Topic, time: Micros) -> bool {
        self.happened.get(&topic).is_some_and(|from| time >= *from)
    }

    /// Whether a record that counts in this window of data quality is.
    pub fn is_counted(&self, window: Option<Micros>) -> bool {
        self.counted.zip(window).is_some_and(|(from, window)| window >= from)
    }
}
