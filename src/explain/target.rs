//! What is to be explained: a record, or a row of a derived table.

use citystream_dataflows::tables::Derived;
use citystream_wire::{PerTopic, Topic};

use crate::error::RunError;

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A record.
    Record {
        /// Its topic.
        topic: Topic,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
    },
    /// A row of a derived table.
    Row {
        /// The table.
        table: Derived,
        /// The row's key.
        key: String,
    },
}

impl Target {
    /// Reads `topic/partition/offset` (a topic's short name or its name on the broker) or `table:row_key`.
    ///
    /// # Errors
    /// A text that is neither, with what it may be.
    pub fn parse(text: &str, topics: &PerTopic<String>) -> Result<Target, RunError> {
        let row = text.split_once(':').and_then(|(table, key)| {
            let table = table_of(table)?;
            (!key.is_empty()).then(|| Target::Row { table, key: key.to_owned() })
        });
        row.or_else(|| record(text, topics)).ok_or_else(|| {
            RunError::Usage(format!(
                "{text:?} is neither topic/partition/offset (gps/0/42) nor table:row_key (enriched_pings:0/42)"
            ))
        })
    }
}

fn table_of(name: &str) -> Option<Derived> {
    Derived::all().find(|table| table.name() == name || table.changes() == name)
}

fn record(text: &str, topics: &PerTopic<String>) -> Option<Target> {
    let mut parts = text.rsplitn(3, '/');
    let (offset, partition, topic) = (parts.next()?, parts.next()?, parts.next()?);
    let topic = Topic::all().find(|known| known.name() == topic || topics[*known] == topic)?;
    Some(Target::Record { topic, partition: partition.parse().ok()?, offset: offset.parse().ok()? })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_others_are_refused() {
        let topics = PerTopic::new(|topic| topic.declaration().default_topic.to_owned());
        let record = Target::Record { topic: Topic::GPS, partition: 3, offset: 42 };
        for text in ["gps/3/42", "gps_data/3/42"] {
            assert_eq!(Target::parse(text, &topics).unwrap(), record);
        }
        let row = Target::Row { table: Derived::from_name("vehicle_15m").unwrap(), key: "car:7/1000".into() };
        for text in ["vehicle_15m:car:7/1000", "vehicle_15m_changes:car:7/1000"] {
            assert_eq!(Target::parse(text, &topics).unwrap(), row);
        }
        for text in ["", "gps", "gps/3", "gps/x/1", "nothing:1", "traffic_5m:", "raw_gps:1"] {
            assert!(Target::parse(text, &topics).unwrap_err().to_string().contains("neither"), "{text}");
        }
    }
}
