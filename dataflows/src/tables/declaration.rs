//! What a derived table is declared to be.

use std::ops::Deref;
use std::sync::LazyLock;

use h3o::{CellIndex, LatLng};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use timely::dataflow::StreamVec;

use super::{Block, Column, DECLARATIONS, Fields, ORIGINAL, Select};
use crate::city::City;
use crate::operators::incidents::Seed;
use crate::records::{Point, TextId};
use crate::time::bindings::Topic;
use crate::time::{Epoch, Micros, window};

/// All that is known of a derived table.
pub struct Declaration {
    /// Its name, which is that of its sealed rows; its change log is called `<name>_changes`.
    pub name: &'static str,
    /// What a row is, and how it comes about, in Markdown.
    pub about: &'static str,
    /// The columns whose values make a row's key, joined by `/`; times in microseconds.
    pub key: &'static [&'static str],
    /// The column of a row's own time: files are sorted by it, and stand under its date.
    pub time: &'static str,
    /// Its columns, without those that every change log has.
    pub columns: fn() -> Vec<Column>,
    /// How its changes come from what is known of the city.
    pub build: for<'scope> fn(&City<'scope>) -> StreamVec<'scope, Epoch, Block>,
    /// When its rows become final.
    pub sealing: Sealing,
    /// Which records a start must read again: those that a row which is not final depends on.
    pub lookback: fn(Resume) -> Vec<Needs>,
    /// What a start takes from the table's own rows, where records alone would not do.
    pub recovery: Option<Recovery>,
    /// Which records stand behind the row of a key, given the key's parts, for `lake explain`, which derives the row from
    /// these again: rather too many than too few. `None` if the key is none of this table.
    pub behind: fn(&[&str]) -> Option<Vec<Select>>,
    /// The other way: the key of the row that an on-time record counts in, as far as its columns say.
    pub key_of: fn(Topic, &dyn Fields) -> Option<String>,
    /// Which columns hold the place of a record: its topic, and what stands before `partition` and `offset` in their names.
    pub record_columns: &'static [(Topic, &'static str)],
    /// What its live rows add up to.
    pub totals: &'static [Total],
    /// Whose its rows are, where somebody is to be forgotten.
    pub subject: Subject,
}

/// Whose the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The vehicle's that this column names.
    Named(&'static str),
    /// Of a window of a cell, where this column counts vehicles: one that counts a single one is the trace of that, though it
    /// does not name it.
    Counted(&'static str),
    /// Of many, or of nobody.
    Nobody,
}

/// When the rows of a table become final (F1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealing {
    /// The horizon counts in whole steps of this length.
    pub step: Micros,
    /// How long after its own time a row may still change: it is sealed so much later at most. 0: rows are sealed by their
    /// own times.
    pub lasts: Micros,
}

impl Sealing {
    /// Rows are sealed by their own times, in whole steps.
    pub const fn by_time(step: Micros) -> Sealing {
        Sealing { step, lasts: 0 }
    }

    /// Before this time all rows that are sealed by their own times are sealed, and no row from it on is.
    pub fn end(&self, horizon: Micros) -> Micros {
        window(horizon, self.step)
    }

    /// Before this time every row is sealed.
    pub fn all_before(&self, horizon: Micros) -> Micros {
        self.end(horizon).saturating_sub(self.lasts)
    }
}

/// Where a run goes on.
#[derive(Clone, Copy, Debug)]
pub struct Resume {
    /// The horizon.
    pub horizon: Micros,
    /// Whether an incident may still expose whoever passes.
    pub is_exposure_open: bool,
}

/// Records that are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// On-time records of a topic from an event time on.
    Happened(Topic, Micros),
    /// Records of all topics, and dead letters, that count in a window of data quality from this one on.
    Counted(Micros),
}

impl Needs {
    /// The pings since the start of the window that the horizon lies in, and the records that may govern them for so long.
    pub fn pings(horizon: Micros, length: Micros, (topic, reach): (Topic, Micros)) -> Vec<Needs> {
        let start = window(horizon, length);
        vec![Needs::Happened(Topic::GPS, start), Needs::Happened(topic, start - reach)]
    }
}

/// What is taken from a table's own rows.
#[derive(Clone, Copy)]
pub struct Recovery {
    /// The row's own time from which rows are read, for a horizon.
    pub from: fn(Micros) -> Micros,
    /// A live row as what the dataflow goes on from, given the horizon and how texts get their ids.
    pub seed: fn(&dyn Fields, Micros, Intern<'_>) -> Option<Seed>,
}

/// Gives a text its id.
pub type Intern<'a> = &'a dyn Fn(&str) -> TextId;

/// What live rows add up to, at every commit: a number that the ledgers have too.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    /// The column that is summed; `None`: the rows are counted.
    pub column: Option<&'static str>,
    /// The topic whose records are counted; `None`: all.
    pub topic: Option<Topic>,
    /// Which of its records.
    pub counted: Counted,
    /// Whether those that were missed do not count.
    pub but_missed: bool,
}

/// Records by what became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// All.
    Read,
    /// On time.
    OnTime,
    /// Late.
    Late,
    /// Expired.
    Expired,
    /// Duplicates.
    Duplicate,
    /// Dead letters.
    Dead,
}

/// A derived table of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Derived(u8);

/// A declaration, and what follows from it.
struct Listed {
    declaration: &'static Declaration,
    columns: Vec<Column>,
    changes: String,
}

static LISTED: LazyLock<Vec<Listed>> = LazyLock::new(|| DECLARATIONS.iter().copied().map(Listed::new).collect());

impl Listed {
    fn new(declaration: &'static Declaration) -> Listed {
        let (columns, changes) = ((declaration.columns)(), format!("{}_changes", declaration.name));
        Listed { declaration, columns, changes }
    }
}

impl Derived {
    /// All, in the order of the list.
    pub fn all() -> impl Iterator<Item = Derived> + Clone {
        (0..DECLARATIONS.len()).map(|index| Derived(index as u8))
    }

    /// Those of lakes that were made before lakes named their tables.
    pub fn original() -> impl Iterator<Item = Derived> {
        Derived::all().take(ORIGINAL)
    }

    /// The table of that name.
    pub fn from_name(name: &str) -> Option<Derived> {
        Derived::all().find(|table| table.name() == name)
    }

    /// Its place in the list.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.listed().declaration.name
    }

    /// The name of its change log.
    pub fn changes(self) -> &'static str {
        &self.listed().changes
    }

    /// Its columns.
    pub fn columns(self) -> &'static [Column] {
        &self.listed().columns
    }

    /// All that was declared of it.
    pub fn declaration(self) -> &'static Declaration {
        self.listed().declaration
    }

    fn listed(self) -> &'static Listed {
        &LISTED[self.index()]
    }
}

impl Deref for Derived {
    type Target = Declaration;

    fn deref(&self) -> &Declaration {
        self.declaration()
    }
}

impl Serialize for Derived {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Derived {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Derived, D::Error> {
        let index = u8::deserialize(deserializer)?;
        Derived::all().nth(index.into()).ok_or_else(|| serde::de::Error::custom(format!("no derived table {index}")))
    }
}

/// The key of a record's own row.
pub fn record_key(row: &dyn Fields) -> Option<String> {
    Some(format!("{}/{}", row.int("partition")?, row.long("offset")?))
}

/// The centre of an H3 cell; NaN for what is no cell.
pub fn centre(cell: u64) -> Point {
    let point = CellIndex::try_from(cell).map(LatLng::from);
    point.map_or(Point { lat: f64::NAN, lon: f64::NAN }, |at| Point { lat: at.lat(), lon: at.lng() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tables::Kind;

    #[test]
    fn every_declaration_holds_together() {
        let names: BTreeSet<_> = Derived::all().map(Derived::name).collect();
        assert_eq!(names.len(), DECLARATIONS.len(), "no name is there twice");
        for table in Derived::all() {
            assert_eq!(Derived::from_name(table.name()), Some(table));
            let column = |name: &str| table.columns().iter().find(|column| column.name == name);
            let columns: BTreeSet<_> = table.columns().iter().map(|column| &column.name).collect();
            assert_eq!(columns.len(), table.columns().len(), "{}: no column is there twice", table.name());
            assert_eq!(column(table.time).map(|column| (column.kind, column.null)), Some((Kind::Time, None)));
            let is_key = |name: &&str| column(name).is_some_and(|column| column.null.is_none());
            assert!(table.key.iter().all(is_key), "{}: its key is of columns that are never null", table.name());
            assert!(table.totals.iter().filter_map(|total| total.column).all(|name| column(name).is_some()));
            let subject = match table.subject {
                Subject::Named(name) => column(name).is_some_and(|column| column.kind == Kind::Text),
                Subject::Counted(name) => column(name).is_some_and(|column| column.kind == Kind::Long),
                Subject::Nobody => true,
            };
            assert!(subject, "{}: its subject is a column of its type", table.name());
            for (_, prefix) in table.record_columns {
                let named = ["partition", "offset"].map(|what| column(&format!("{prefix}{what}")));
                assert!(named.iter().all(Option::is_some), "{}: {prefix}", table.name());
            }
        }
    }
}
