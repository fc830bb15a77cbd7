//! Columns in the making: one pass over the rows for each.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Float64Builder, Int32Array, Int64Array, RecordBatch, StringBuilder,
    TimestampMicrosecondArray,
};
use citystream_dataflows::changes::Change;
use citystream_dataflows::records::{Reading, Source, Text};
use citystream_dataflows::time::Micros;
use h3o::{CellIndex, LatLng};

use super::RenderError;
use crate::names::Reader;
use crate::tables::{Table, decoded_schema};

/// The columns of a batch of changes, as far as they are filled.
pub struct Frame<'a, R> {
    table: Table,
    changes: &'a [Change<R>],
    names: Reader<'a>,
    arrays: Vec<ArrayRef>,
}

impl<'a, R> Frame<'a, R> {
    pub(super) fn new(table: Table, changes: &'a [Change<R>], names: Reader<'a>) -> Frame<'a, R> {
        let arrays = Vec::with_capacity(decoded_schema(table).fields().len());
        Frame { table, changes, names, arrays }
    }

    /// All columns as a batch.
    pub(super) fn finish(self) -> Result<RecordBatch, RenderError> {
        Ok(RecordBatch::try_new(decoded_schema(self.table), self.arrays)?)
    }

    fn rows(&self) -> impl Iterator<Item = &'a R> + use<'a, R> {
        self.changes.iter().map(|change| &change.row)
    }

    fn push(&mut self, array: impl arrow::array::Array + 'static) {
        self.arrays.push(Arc::new(array));
    }

    fn name(&self, id: Text) -> Result<&str, RenderError> {
        self.names.get(id).ok_or(RenderError::Unknown(self.table, id.0))
    }

    /// `row_key`, written by `key`, and `diff`.
    pub(super) fn key(&mut self, key: impl Fn(&R, &mut StringBuilder) -> std::fmt::Result) {
        let mut keys = StringBuilder::with_capacity(self.changes.len(), 24 * self.changes.len());
        for row in self.rows() {
            // Writing into a builder does not fail.
            let _ = key(row, &mut keys);
            keys.append_value("");
        }
        self.push(keys.finish());
        self.diff();
    }

    /// `row_key`, a text and what `rest` writes after it, and `diff`.
    pub(super) fn named_key(
        &mut self,
        id: impl Fn(&R) -> Text,
        rest: impl Fn(&R, &mut StringBuilder) -> std::fmt::Result,
    ) -> Result<(), RenderError> {
        let mut keys = StringBuilder::with_capacity(self.changes.len(), 48 * self.changes.len());
        for row in self.rows() {
            let _ = keys.write_str(self.name(id(row))?).and_then(|()| rest(row, &mut keys));
            keys.append_value("");
        }
        self.push(keys.finish());
        self.diff();
        Ok(())
    }

    fn diff(&mut self) {
        self.push(Int32Array::from_iter_values(self.changes.iter().map(|change| i32::from(change.diff))));
    }

    /// A text by id, that every row has.
    pub(super) fn name_of(&mut self, id: impl Fn(&R) -> Text) -> Result<(), RenderError> {
        self.name_or_null(|row| Some(id(row)))
    }

    /// A text by id; none and [`Text::NONE`] are null.
    pub(super) fn name_or_null(&mut self, id: impl Fn(&R) -> Option<Text>) -> Result<(), RenderError> {
        let mut texts = StringBuilder::with_capacity(self.changes.len(), 16 * self.changes.len());
        for row in self.rows() {
            match id(row).filter(|id| *id != Text::NONE) {
                Some(id) => texts.append_value(self.name(id)?),
                None => texts.append_null(),
            }
        }
        self.push(texts.finish());
        Ok(())
    }

    /// One of a few words.
    pub(super) fn word(&mut self, word: impl Fn(&R) -> Option<&'static str>) {
        let mut words = StringBuilder::with_capacity(self.changes.len(), 8 * self.changes.len());
        self.rows().for_each(|row| words.append_option(word(row)));
        self.push(words.finish());
    }

    /// Where a matched record came from.
    pub(super) fn source(&mut self, source: impl Fn(&R) -> Option<Source>) {
        self.word(|row| source(row).map(Source::word));
    }

    pub(super) fn int(&mut self, value: impl Fn(&R) -> i32) {
        self.push(Int32Array::from_iter_values(self.rows().map(value)));
    }

    pub(super) fn int_or_null(&mut self, value: impl Fn(&R) -> Option<i32>) {
        self.push(self.rows().map(value).collect::<Int32Array>());
    }

    pub(super) fn long(&mut self, value: impl Fn(&R) -> i64) {
        self.push(Int64Array::from_iter_values(self.rows().map(value)));
    }

    pub(super) fn long_or_null(&mut self, value: impl Fn(&R) -> Option<i64>) {
        self.push(self.rows().map(value).collect::<Int64Array>());
    }

    /// A number of something.
    pub(super) fn count(&mut self, value: impl Fn(&R) -> u64) {
        self.long(|row| value(row) as i64);
    }

    pub(super) fn double(&mut self, value: impl Fn(&R) -> f64) {
        self.push(Float64Array::from_iter_values(self.rows().map(value)));
    }

    pub(super) fn double_or_null(&mut self, value: impl Fn(&R) -> Option<f64>) {
        self.push(self.rows().map(value).collect::<Float64Array>());
    }

    pub(super) fn reading(&mut self, value: impl Fn(&R) -> Reading) {
        self.double_or_null(|row| value(row).get());
    }

    pub(super) fn time(&mut self, value: impl Fn(&R) -> Micros) {
        self.push(TimestampMicrosecondArray::from_iter_values(self.rows().map(value)).with_timezone("UTC"));
    }

    pub(super) fn time_or_null(&mut self, value: impl Fn(&R) -> Option<Micros>) {
        self.push(self.rows().map(value).collect::<TimestampMicrosecondArray>().with_timezone("UTC"));
    }

    pub(super) fn flag_or_null(&mut self, value: impl Fn(&R) -> Option<bool>) {
        self.push(self.rows().map(value).collect::<BooleanArray>());
    }

    /// `lat` and `lon` of a cell's centre.
    pub(super) fn centre(&mut self, cell: impl Fn(&R) -> u64) -> Result<(), RenderError> {
        let rows = self.changes.len();
        let (mut lats, mut lons) = (Float64Builder::with_capacity(rows), Float64Builder::with_capacity(rows));
        for row in self.rows() {
            let cell = cell(row);
            let index = CellIndex::try_from(cell).map_err(|_| RenderError::Cell(self.table, cell))?;
            let centre = LatLng::from(index);
            lats.append_value(centre.lat());
            lons.append_value(centre.lng());
        }
        self.push(lats.finish());
        self.push(lons.finish());
        Ok(())
    }
}

/// Microseconds in seconds.
pub(super) fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

/// Millimetres in metres.
pub(super) fn metres(mm: i64) -> f64 {
    mm as f64 / 1000.0
}

/// What was quantised, in its unit.
pub(super) fn unquantised(millionths: i64) -> f64 {
    millionths as f64 / 1e6
}
