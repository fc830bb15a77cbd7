//! What is to be explained, as people have it: a record, a row of a table, a name, a name at a time.

use citystream_dataflows::tables::{Derived, Kind};
use citystream_dataflows::time::Micros;
use citystream_wire::{PerTopic, Topic};
use jiff::tz::TimeZone;

use crate::columns::tables::{DEAD_LETTERS, Table};
use crate::error::RunError;
use crate::timestamps::Zone;

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
    /// What rows are about: an incident, a vehicle.
    Name(String),
    /// A vehicle at a time.
    At(String, Micros),
}

/// What a target may be.
pub const FORMS: &str = "a record (topic/partition/offset, as gps/0/42, raw_gps:0/42 or dead_letters:gps/0/42), a row of a derived table \
    (table:row_key, as enriched_pings:0/42), the id of an incident, or the id of a vehicle with a time \
    (as vehicle-7 2026-01-05T08:00:00Z)";

impl Target {
    /// Reads a text, with a time where one is given. What is of no other form is a name.
    ///
    /// # Errors
    /// A text without meaning, with what it may be.
    pub fn parse(text: &str, time: Option<&str>, topics: &PerTopic<String>) -> Result<Target, RunError> {
        if text.is_empty() {
            return Err(RunError::Usage(format!("nothing to explain: name {FORMS}")));
        }
        let in_table = text.split_once(':').and_then(|(table, key)| in_table(table, key, topics));
        let known = in_table.or_else(|| record(text, topics));
        if let Some(time) = time {
            if known.is_some() {
                return Err(RunError::Usage(format!("{text:?} has no other time: leave {time:?} out")));
            }
            let at = iso(time).ok_or_else(|| {
                RunError::Usage(format!("{time:?} is no time such as 2026-01-05T08:00:00Z (UTC where it says no zone)"))
            })?;
            return Ok(Target::At(text.to_owned(), at));
        }
        Ok(known.unwrap_or_else(|| Target::Name(text.to_owned())))
    }
}

/// A row of a table that there is.
fn in_table(name: &str, key: &str, topics: &PerTopic<String>) -> Option<Target> {
    let is_named = |table: &Derived| {
        table.name() == name || table.changes() == name || name.strip_suffix("_now") == Some(table.name())
    };
    if let Some(table) = Derived::all().find(is_named) {
        return Some(Target::Row { table, key: in_micros(table, key) });
    }
    match Table::from_name(name) {
        Some(Table::Raw(topic)) => record(&format!("{}/{key}", topic.name()), topics),
        _ if name == DEAD_LETTERS => record(key, topics),
        _ => None,
    }
}

fn record(text: &str, topics: &PerTopic<String>) -> Option<Target> {
    let mut parts = text.rsplitn(3, '/');
    let (offset, partition, topic) = (parts.next()?, parts.next()?, parts.next()?);
    let topic = Topic::all().find(|known| known.name() == topic || topics[*known] == topic)?;
    Some(Target::Record { topic, partition: partition.parse().ok()?, offset: offset.parse().ok()? })
}

/// A key whose last part, where it is a time, may be ISO 8601.
fn in_micros(table: Derived, key: &str) -> String {
    let is_time = |name: &&str| table.columns().iter().any(|c| c.name == **name && c.kind == Kind::Time);
    let Some((rest, last)) = key.rsplit_once('/').filter(|_| table.key.last().is_some_and(is_time)) else {
        return key.to_owned();
    };
    match iso(last).filter(|_| last.parse::<Micros>().is_err()) {
        Some(micros) => format!("{rest}/{micros}"),
        None => key.to_owned(),
    }
}

fn iso(text: &str) -> Option<Micros> {
    Zone::new(TimeZone::UTC).read(text)
}

/// `<h3_8>/<window_start>`: what a key of a table looks like.
pub fn form(table: Derived) -> String {
    table.key.iter().map(|column| format!("<{column}>")).collect::<Vec<_>>().join("/")
}

/// The text as `explain` takes it: `table:key`.
pub fn row_name(table: Derived, key: &str) -> String {
    format!("{}:{key}", table.name())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str, time: Option<&str>) -> Result<Target, RunError> {
        Target::parse(text, time, &PerTopic::new(|topic| topic.declaration().default_topic.to_owned()))
    }

    #[test]
    fn each_form_is_read_and_what_is_none_is_a_name() {
        let record = Target::Record { topic: Topic::GPS, partition: 3, offset: 42 };
        for text in ["gps/3/42", "gps_data/3/42", "raw_gps:3/42", "dead_letters:gps/3/42", "dead_letters:gps_data/3/42"]
        {
            assert_eq!(read(text, None).unwrap(), record);
        }
        let row = |table: &str, key: &str| Target::Row { table: Derived::from_name(table).unwrap(), key: key.into() };
        for text in ["vehicle_15m:car:7/1000", "vehicle_15m_changes:car:7/1000", "vehicle_15m_now:car:7/1000"] {
            assert_eq!(read(text, None).unwrap(), row("vehicle_15m", "car:7/1000"));
        }
        for text in ["traffic_5m:7/1970-01-01T00:05:00Z", "traffic_5m:7/1970-01-01T00:05:00", "traffic_5m:7/300000000"]
        {
            assert_eq!(read(text, None).unwrap(), row("traffic_5m", "7/300000000"));
        }
        for text in ["INC-7", "gps/3", "gps/x/1", "nothing:1", "raw_gps:1"] {
            assert_eq!(read(text, None).unwrap(), Target::Name(text.into()));
        }
        assert_eq!(read("v:7/1", Some("1970-01-01T01:00:00+01:00")).unwrap(), Target::At("v:7/1".into(), 0));
        assert!(read("gps/0/42", Some("1970-01-01T01:00:00Z")).unwrap_err().to_string().contains("leave"));
        assert!(read("v", Some("noon")).unwrap_err().to_string().contains("no time such as"));
        assert!(read("", None).unwrap_err().to_string().contains("gps/0/42"));
    }
}
