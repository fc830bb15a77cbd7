//! Columns by name and type.

use arrow::array::{Array, BooleanArray, Float64Array, Int32Array, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{ArrowPrimitiveType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use citystream_dataflows::records::{Reading, Stamp};
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::disposition::Disposition;

use super::ExtractError;
use crate::columns::row::column;
use crate::columns::tables::{EVENT_TIME, Table};

/// Rows of a table.
pub(super) struct Columns<'a> {
    pub(super) table: Table,
    pub(super) rows: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    /// Whether each row has its disposition, and its window or none.
    pub(super) fn check(&self, dispositions: &[Disposition], windows: &[Option<Micros>]) -> Result<(), ExtractError> {
        let (table, rows) = (self.table, self.rows.num_rows());
        let expected = if table.topic().is_some() { rows } else { 0 };
        for (found, expected) in [(dispositions.len(), expected), (windows.len(), rows)] {
            if found != expected {
                return Err(ExtractError::Dispositions { table, rows, dispositions: found });
            }
        }
        Ok(())
    }

    fn column<A: Array + 'static>(&self, name: &'static str) -> Result<&'a A, ExtractError> {
        column(self.rows, name).ok_or(ExtractError::Column(self.table, name))
    }

    fn values<T: ArrowPrimitiveType>(&self, name: &'static str) -> Result<&'a [T::Native], ExtractError> {
        self.column::<PrimitiveArray<T>>(name).map(|column| &column.values()[..])
    }

    pub(super) fn texts(&self, name: &'static str) -> Result<&'a StringArray, ExtractError> {
        self.column(name)
    }

    pub(super) fn flags(&self, name: &'static str) -> Result<&'a BooleanArray, ExtractError> {
        self.column(name)
    }

    pub(super) fn doubles(&self, name: &'static str) -> Result<&'a Float64Array, ExtractError> {
        self.column(name)
    }

    pub(super) fn longs(&self, name: &'static str) -> Result<&'a [i64], ExtractError> {
        self.values::<Int64Type>(name)
    }

    pub(super) fn times(&self, name: &'static str) -> Result<&'a [Micros], ExtractError> {
        self.values::<TimestampMicrosecondType>(name)
    }

    /// Doubles or integers.
    pub(super) fn numbers(&self, name: &'static str) -> Result<Numbers<'a>, ExtractError> {
        let doubles = self.doubles(name).map(Numbers::Doubles);
        doubles.or_else(|_| self.column(name).map(Numbers::Integers))
    }

    pub(super) fn stamps(&self) -> Result<Stamps<'a>, ExtractError> {
        let (times, offsets) = (self.times(EVENT_TIME)?, self.longs("offset")?);
        Ok(Stamps { times, partitions: self.values::<Int32Type>("partition")?, offsets })
    }

    pub(super) fn places(&self) -> Result<Place<'a>, ExtractError> {
        Ok(Place { lats: self.values::<Float64Type>("lat")?, lons: self.values::<Float64Type>("lon")? })
    }

    /// What a word stands for.
    pub(super) fn word<T>(
        &self,
        column: &'static str,
        word: &str,
        means: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ExtractError> {
        means(word).ok_or_else(|| ExtractError::Word(self.table, column, word.chars().take(80).collect()))
    }
}

/// When records happened and where they stand.
pub(super) struct Stamps<'a> {
    times: &'a [Micros],
    partitions: &'a [i32],
    offsets: &'a [i64],
}

impl Stamps<'_> {
    pub(super) fn at(&self, row: usize) -> Stamp {
        Stamp { time: self.times[row], partition: self.partitions[row], offset: self.offsets[row] }
    }
}

/// Positions.
pub(super) struct Place<'a> {
    pub(super) lats: &'a [f64],
    pub(super) lons: &'a [f64],
}

/// A column of numbers.
pub(super) enum Numbers<'a> {
    Doubles(&'a Float64Array),
    Integers(&'a Int32Array),
}

impl Numbers<'_> {
    pub(super) fn at(&self, row: usize) -> Reading {
        match self {
            Numbers::Doubles(column) => double(column, row),
            Numbers::Integers(column) => column.is_valid(row).then(|| f64::from(column.value(row))).into(),
        }
    }
}

pub(super) fn double(column: &Float64Array, row: usize) -> Reading {
    if column.is_valid(row) { Reading::new(column.value(row)) } else { Reading::NONE }
}

pub(super) fn flag(column: &BooleanArray, row: usize) -> Option<bool> {
    column.is_valid(row).then(|| column.value(row))
}
