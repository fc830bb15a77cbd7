//! The columns of a derived table, each declared once: name, type, unit, when it is null, and how a row gives its value.
//!
//! ```
//! # use citystream_dataflows::tables::Columns;
//! struct Window { start: i64, speed: Option<f64> }
//! let mut columns = Columns::new();
//! columns.time("window_start").from(|row: &Window| row.start);
//! columns.double("speed_mean_kmh", "km/h").null_when("no ping has a speed").from(|row| row.speed);
//! ```
//!
//! A column's values are taken from all rows of a batch at once, in a loop of the column's own type.

use std::borrow::Cow;

use super::block::{Values, Words};
use crate::records::{Point, TextId};
use crate::time::Micros;

/// A column as its users see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name: snake_case, the unit last.
    pub name: Cow<'static, str>,
    /// What its values are.
    pub kind: Kind,
    /// Their unit, empty where they have none.
    pub unit: &'static str,
    /// When it is null; `None`: never.
    pub null: Option<&'static str>,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A 32-bit integer.
    Int,
    /// A 64-bit integer.
    Long,
    /// A double.
    Double,
    /// True or false.
    Flag,
    /// Microseconds since 1970, UTC.
    Time,
}

/// The columns of a table whose rows are `R`, in their order.
pub struct Columns<R> {
    columns: Vec<Column>,
    fills: Vec<Fill<R>>,
}

/// Appends the values of one column, or of a place's two.
type Fill<R> = Box<dyn Fn(&[&R], &mut Vec<Values>)>;

impl<R> Default for Columns<R> {
    fn default() -> Self {
        Columns { columns: Vec::new(), fills: Vec::new() }
    }
}

impl<R> Columns<R> {
    /// No columns yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A text by its id.
    pub fn text(&mut self, name: impl Into<Cow<'static, str>>) -> Draft<'_, R, TextId> {
        self.draft(name, Kind::Text, "")
    }

    /// One of a few words.
    pub fn word(&mut self, name: impl Into<Cow<'static, str>>) -> Draft<'_, R, &'static str> {
        self.draft(name, Kind::Text, "")
    }

    /// A 32-bit integer.
    pub fn int(&mut self, name: impl Into<Cow<'static, str>>, unit: &'static str) -> Draft<'_, R, i32> {
        self.draft(name, Kind::Int, unit)
    }

    /// A 64-bit integer.
    pub fn long(&mut self, name: impl Into<Cow<'static, str>>) -> Draft<'_, R, i64> {
        self.draft(name, Kind::Long, "")
    }

    /// A number of something.
    pub fn count(&mut self, name: impl Into<Cow<'static, str>>) -> Draft<'_, R, u64> {
        self.draft(name, Kind::Long, "")
    }

    /// A double. Where it is never null it is never NaN.
    pub fn double(&mut self, name: impl Into<Cow<'static, str>>, unit: &'static str) -> Draft<'_, R, f64> {
        self.draft(name, Kind::Double, unit)
    }

    /// True or false.
    pub fn flag(&mut self, name: impl Into<Cow<'static, str>>) -> Draft<'_, R, bool> {
        self.draft(name, Kind::Flag, "")
    }

    /// Microseconds since 1970.
    pub fn time(&mut self, name: impl Into<Cow<'static, str>>) -> Draft<'_, R, Time> {
        self.draft(name, Kind::Time, "UTC")
    }

    /// `lat` and `lon`, of one look at the row: degrees, WGS-84.
    pub fn place(&mut self, place: impl Fn(&R) -> Point + 'static) {
        for name in ["lat", "lon"] {
            self.columns.push(Column { name: name.into(), kind: Kind::Double, unit: "degrees", null: None });
        }
        self.fills.push(Box::new(move |rows, into| {
            let points = rows.iter().map(|row| place(row));
            let (lats, lons) = points.map(|point| (point.lat, point.lon)).unzip();
            into.extend([Values::Double(lats, None), Values::Double(lons, None)]);
        }));
    }

    /// What the columns are, in their order.
    pub fn describe(self) -> Vec<Column> {
        self.columns
    }

    /// The values of all columns, in their order.
    pub(super) fn fill<'a>(&self, rows: impl Iterator<Item = &'a R>) -> Vec<Values>
    where
        R: 'a,
    {
        let rows: Vec<&R> = rows.collect();
        let mut values = Vec::with_capacity(self.columns.len());
        self.fills.iter().for_each(|fill| fill(&rows, &mut values));
        values
    }

    fn draft<T>(&mut self, name: impl Into<Cow<'static, str>>, kind: Kind, unit: &'static str) -> Draft<'_, R, T> {
        let column = Column { name: name.into(), kind, unit, null: None };
        Draft { columns: self, column, value: std::marker::PhantomData }
    }
}

/// A column that lacks its values.
#[must_use]
pub struct Draft<'a, R, T> {
    columns: &'a mut Columns<R>,
    column: Column,
    value: std::marker::PhantomData<T>,
}

/// A column that lacks its values, of which some are null.
#[must_use]
pub struct NullableDraft<'a, R, T>(Draft<'a, R, T>);

impl<'a, R, T: Value> Draft<'a, R, T> {
    /// How a row gives the value.
    pub fn from(self, value: impl Fn(&R) -> T::Given + 'static) {
        self.columns.columns.push(self.column);
        self.columns.fills.push(Box::new(move |rows, into| {
            into.push(T::all(rows.iter().map(|row| value(row))));
        }));
    }

    /// Makes it a column that is null where `rule` holds.
    pub fn null_when(mut self, rule: &'static str) -> NullableDraft<'a, R, T> {
        self.column.null = Some(rule);
        NullableDraft(self)
    }
}

impl<R, T: Value> NullableDraft<'_, R, T> {
    /// How a row gives the value, if it has one.
    pub fn from<V: Into<Option<T::Given>>>(self, value: impl Fn(&R) -> V + 'static) {
        let NullableDraft(Draft { columns, column, .. }) = self;
        columns.columns.push(column);
        columns.fills.push(Box::new(move |rows, into| {
            into.push(T::some(rows.iter().map(|row| value(row).into())));
        }));
    }
}

/// What a column can hold.
pub trait Value {
    /// What a row gives.
    type Given;
    /// The values of a column that is never null.
    fn all(values: impl Iterator<Item = Self::Given>) -> Values;
    /// The values of a column where some are null.
    fn some(values: impl Iterator<Item = Option<Self::Given>>) -> Values;
}

/// Marks a column of times.
pub struct Time;

/// Values and which of them are there.
fn split<T: Default>(values: impl Iterator<Item = Option<T>>) -> (Vec<T>, Option<Vec<bool>>) {
    let mut valid = Vec::with_capacity(values.size_hint().0);
    let present = |value: Option<T>| {
        valid.push(value.is_some());
        value.unwrap_or_default()
    };
    (values.map(present).collect(), Some(valid))
}

macro_rules! numbers {
    ($($value:ty, $given:ty, $held:ty, $values:ident;)*) => {$(
        impl Value for $value {
            type Given = $given;

            fn all(values: impl Iterator<Item = $given>) -> Values {
                Values::$values(values.map(|value| value as $held).collect(), None)
            }

            fn some(values: impl Iterator<Item = Option<$given>>) -> Values {
                let (values, valid) = split(values.map(|value| value.map(|value| value as $held)));
                Values::$values(values, valid)
            }
        }
    )*};
}

numbers! {
    i32, i32, i32, Int;
    i64, i64, i64, Long;
    u64, u64, i64, Long;
    f64, f64, f64, Double;
    bool, bool, bool, Flag;
    Time, Micros, i64, Long;
}

impl Value for TextId {
    type Given = TextId;

    fn all(values: impl Iterator<Item = TextId>) -> Values {
        Values::Text(values.collect())
    }

    fn some(values: impl Iterator<Item = Option<TextId>>) -> Values {
        Values::Text(values.map(|value| value.unwrap_or(TextId::NONE)).collect())
    }
}

impl Value for &'static str {
    type Given = &'static str;

    fn all(values: impl Iterator<Item = &'static str>) -> Values {
        Values::Word(values.map(Some).collect::<Words>())
    }

    fn some(values: impl Iterator<Item = Option<&'static str>>) -> Values {
        Values::Word(values.collect::<Words>())
    }
}
