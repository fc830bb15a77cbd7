//! What stands behind a row of a derived table: which records of the lake its definition looks at. Said here as what to
//! select; whoever has the lake selects it.

use super::window;
use crate::records::{Point, Stamp};
use crate::time::Micros;
use crate::time::bindings::Topic;

/// One row of a table, by the names of its columns. A value is `None` where it is null, or no such column is there.
pub trait Fields {
    /// A text.
    fn text(&self, column: &str) -> Option<&str>;
    /// A 32-bit integer.
    fn int(&self, column: &str) -> Option<i32>;
    /// A 64-bit integer or a time.
    fn long(&self, column: &str) -> Option<i64>;
    /// A double.
    fn double(&self, column: &str) -> Option<f64>;
    /// True or false.
    fn flag(&self, column: &str) -> Option<bool>;

    /// `lat` and `lon`.
    fn place(&self) -> Option<Point> {
        Some(Point { lat: self.double("lat")?, lon: self.double("lon")? })
    }

    /// When and where in the log a record stood.
    fn stamp(&self) -> Option<Stamp> {
        Some(Stamp { time: self.long("event_time")?, partition: self.int("partition")?, offset: self.long("offset")? })
    }

    /// The incident that an emergency record is a status of.
    fn incident(&self) -> Option<&str> {
        self.flag("has_incident").filter(|has| *has)?;
        self.text("incident_id").filter(|id| !id.is_empty()).or(self.text("id"))
    }
}

/// Which rows of the lake are looked at.
pub struct Select {
    /// Where they are.
    pub from: From,
    /// When they happened or counted.
    pub when: When,
    /// Which of those.
    pub wanted: Wanted,
    /// What else is looked at, given these.
    pub then: Option<Then>,
    /// Whether these are behind the row themselves, or only lead to those that are.
    pub shown: bool,
}

/// Whether a row is wanted.
pub type Wanted = Box<dyn Fn(&dyn Fields) -> bool>;

/// What rows lead to.
pub type Then = Box<dyn FnOnce(&[&dyn Fields]) -> Vec<Select>>;

/// A table of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The raw table of a topic.
    Topic(Topic),
    /// The dead letters of a topic.
    DeadLetters(Topic),
}

/// Rows by their time, in `from..until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On-time rows, by event time.
    Happened(Micros, Micros),
    /// All rows, by the window of data quality in which they count.
    Counted(Micros, Micros),
}

impl Select {
    /// On-time rows of a topic with event times in `from..until`.
    pub fn on_time(
        topic: Topic,
        from: Micros,
        until: Micros,
        wanted: impl Fn(&dyn Fields) -> bool + 'static,
    ) -> Select {
        Select::new(From::Topic(topic), When::Happened(from, until), wanted)
    }

    /// Rows that are wanted.
    pub fn new(from: From, when: When, wanted: impl Fn(&dyn Fields) -> bool + 'static) -> Select {
        Select { from, when, wanted: Box::new(wanted), then: None, shown: true }
    }

    /// Looks at what these rows lead to, as well.
    pub fn then(self, then: impl FnOnce(&[&dyn Fields]) -> Vec<Select> + 'static) -> Select {
        Select { then: Some(Box::new(then)), ..self }
    }

    /// Looks at what these rows lead to, instead.
    pub fn leads_to(self, then: impl FnOnce(&[&dyn Fields]) -> Vec<Select> + 'static) -> Select {
        Select { shown: false, ..self.then(then) }
    }
}

/// Of a table of windows by cell: the cell and the start in a key; `None` if it is none.
pub fn cell_and_start(key: &[&str]) -> Option<(i64, Micros)> {
    let [cell, start] = key else { return None };
    Some((cell.parse().ok()?, start.parse().ok()?))
}

/// What stands behind a window of a cell: its pings, and the records of a topic that may govern them for so long.
pub fn behind_pings(
    key: &[&str],
    column: &'static str,
    length: Micros,
    governing: (Topic, Micros),
) -> Option<Vec<Select>> {
    let (cell, start) = cell_and_start(key)?;
    let here = move |row: &dyn Fields| row.long(column) == Some(cell);
    let (topic, reach) = governing;
    Some(vec![
        Select::on_time(Topic::GPS, start, start + length, here),
        Select::on_time(topic, start - reach, start + length, here),
    ])
}

/// The key of the window of a length that a record with a cell in this column counts in.
pub fn cell_key(row: &dyn Fields, column: &str, length: Micros) -> Option<String> {
    Some(format!("{}/{}", row.long(column)?, window(row.long("event_time")?, length)))
}
