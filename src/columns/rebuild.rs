//! Rows and dead letters as the records that they came from: decoded again they are the same (P3).
//!
//! A row does not have its record's bytes, but all that decoding took from them: values as text that is read back to the
//! same bits, and in `extra` the rest of the members as they stood. A value that no column could hold stands in `extra` under
//! the name of its field, so it is found and refused again; one that was `NaN` or its like stands there as a text, and is
//! made the literal again, as a text might fit. A dead letter has its bytes, cut where they are long.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{Schema, SchemaRef};
use citystream_dataflows::time::Micros;
use citystream_wire::{COMPASS, Field, Kind, Topic};

use crate::columns::row::column;
use crate::columns::tables::{EVENT_TIME, LOG_TIME, Reason, Table, decoded_schema};

/// What of a record is not its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// Its log time.
    pub log_time: Micros,
    /// How long its value was, if that is known: 0 if not.
    pub length: usize,
}

/// The columns of a table that records are rebuilt from.
pub fn needed(table: Table) -> SchemaRef {
    let cells = table.topic().map_or(&[][..], |topic| topic.declaration().cells);
    let follows = |name: &str| cells.iter().any(|cell| cell.column == name);
    let decoded = decoded_schema(table);
    let fields = decoded.fields().iter().filter(|field| !follows(field.name()));
    let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The columns that are needed of rows as a file has them; one that may be null may be missing.
///
/// # Errors
/// A column that is missing, or of another type.
pub fn conform(table: Table, rows: &RecordBatch) -> Result<RecordBatch, String> {
    let schema = needed(table);
    let columns = schema.fields().iter().map(|field| match rows.column_by_name(field.name()) {
        Some(found) if found.data_type() == field.data_type() => Ok(found.clone()),
        Some(found) => Err(format!("its column {} is {}, not {}", field.name(), found.data_type(), field.data_type())),
        None if decoded_schema(table).field_with_name(field.name()).is_ok_and(|field| field.is_nullable()) => {
            Ok(new_null_array(field.data_type(), rows.num_rows()))
        }
        None => Err(format!("it has no column {}", field.name())),
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?).map_err(|error| error.to_string())
}

/// The columns of one field.
enum Column {
    Text(StringArray),
    Number(Float64Array),
    Integer(Int32Array),
    Flag(BooleanArray),
    Texts(ListArray),
    Bearing(Float64Array),
    Time(TimestampMicrosecondArray),
    Place(Float64Array, Float64Array),
}

/// The rows of a raw table.
pub struct RawRows {
    fields: Vec<(&'static Field, Column)>,
    extra: StringArray,
    key: StringArray,
    log_time: TimestampMicrosecondArray,
}

impl RawRows {
    /// These rows, as [`conform`] gives them.
    ///
    /// # Errors
    /// A column that is missing.
    pub fn new(topic: Topic, rows: &RecordBatch) -> Result<RawRows, String> {
        let fields = topic.declaration().fields.iter().map(|field| Ok((field, Column::new(field, rows)?)));
        Ok(RawRows {
            fields: fields.collect::<Result<_, String>>()?,
            extra: array(rows, "extra")?,
            key: array(rows, "key")?,
            log_time: array(rows, LOG_TIME)?,
        })
    }

    /// Appends the JSON of a row; the rest of its record.
    pub fn write(&self, row: usize, json: &mut Vec<u8>) -> Envelope<'_> {
        let mut separator = b'{';
        for (field, column) in &self.fields {
            if column.is_valid(row) {
                json.push(std::mem::replace(&mut separator, b','));
                quoted(json, field.json);
                json.push(b':');
                column.write(row, json);
            }
        }
        if let Some(extra) = value(&self.extra, row) {
            json.push(separator);
            json.extend_from_slice(self.members(extra).as_bytes());
        }
        json.push(b'}');
        Envelope { key: value(&self.key, row).map(str::as_bytes), log_time: self.log_time.value(row), length: 0 }
    }

    /// The members of `extra`, those that were literals as that. (Anywhere else a literal becomes its text again.)
    fn members<'a>(&self, extra: &'a str) -> Cow<'a, str> {
        let inner = extra.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        let mut members = Cow::Borrowed(inner);
        for literal in ["NaN", "Infinity", "-Infinity"] {
            if inner.contains(literal) {
                for (field, _) in &self.fields {
                    let text = format!("\"{}\":\"{literal}\"", field.json);
                    members = members.replace(&text, &format!("\"{}\":{literal}", field.json)).into();
                }
            }
        }
        members
    }
}

impl Column {
    fn new(field: &Field, rows: &RecordBatch) -> Result<Column, String> {
        Ok(match field.kind {
            Kind::Text | Kind::Id | Kind::Words(_) => Column::Text(array(rows, field.column)?),
            Kind::Number { .. } => Column::Number(array(rows, field.column)?),
            Kind::Integer { .. } => Column::Integer(array(rows, field.column)?),
            Kind::Flag => Column::Flag(array(rows, field.column)?),
            Kind::Texts => Column::Texts(array(rows, field.column)?),
            Kind::Bearing => Column::Bearing(array(rows, field.column)?),
            Kind::Time => Column::Time(array(rows, EVENT_TIME)?),
            Kind::Place => Column::Place(array(rows, "lat")?, array(rows, "lon")?),
        })
    }

    fn is_valid(&self, row: usize) -> bool {
        match self {
            Column::Text(column) => column.is_valid(row),
            Column::Number(column) | Column::Bearing(column) | Column::Place(column, _) => column.is_valid(row),
            Column::Integer(column) => column.is_valid(row),
            Column::Flag(column) => column.is_valid(row),
            Column::Texts(column) => column.is_valid(row),
            Column::Time(column) => column.is_valid(row),
        }
    }

    /// Writing to memory does not fail, and a number that is printed in full is read back to the same bits.
    fn write(&self, row: usize, json: &mut Vec<u8>) {
        let _ = match self {
            Column::Text(column) => return quoted(json, column.value(row)),
            Column::Number(column) => write!(json, "{:?}", column.value(row)),
            Column::Integer(column) => write!(json, "{}", column.value(row)),
            Column::Flag(column) => write!(json, "{}", column.value(row)),
            Column::Texts(column) => {
                let members = column.value(row);
                let members: Vec<Option<&str>> = members.as_string::<i32>().iter().collect();
                return serde_json::to_writer(json, &members).unwrap_or_default();
            }
            Column::Bearing(column) => {
                // Degrees that no word stands for are no value; there are none.
                let eighth = (column.value(row) / 45.0) as usize;
                return quoted(json, COMPASS.get(eighth).unwrap_or(&""));
            }
            Column::Time(column) => match jiff::Timestamp::from_microsecond(column.value(row)) {
                Ok(time) => write!(json, "\"{time}\""),
                Err(_) => write!(json, "null"),
            },
            Column::Place(lat, lon) => write!(json, "\"{:?},{:?}\"", lat.value(row), lon.value(row)),
        };
    }
}

/// Dead letters.
pub struct DeadRows {
    key: StringArray,
    log_time: TimestampMicrosecondArray,
    payload: BinaryArray,
    payload_bytes: Int64Array,
    reason: StringArray,
    detail: StringArray,
}

impl DeadRows {
    /// These rows, as [`conform`] gives them.
    ///
    /// # Errors
    /// A column that is missing.
    pub fn new(rows: &RecordBatch) -> Result<DeadRows, String> {
        Ok(DeadRows {
            key: array(rows, "key")?,
            log_time: array(rows, LOG_TIME)?,
            payload: array(rows, "payload")?,
            payload_bytes: array(rows, "payload_bytes")?,
            reason: array(rows, "reason")?,
            detail: array(rows, "detail")?,
        })
    }

    /// The record of a row.
    pub fn record(&self, row: usize) -> (Envelope<'_>, Option<&[u8]>) {
        let length = if self.payload_bytes.is_valid(row) { self.payload_bytes.value(row) } else { 0 };
        let payload = self.payload.is_valid(row).then(|| self.payload.value(row));
        let key = value(&self.key, row).map(str::as_bytes);
        (Envelope { key, log_time: self.log_time(row), length: length.max(0) as usize }, payload)
    }

    /// One that was no time stands in the detail alone: in its place is the log clock, which it did not move.
    fn log_time(&self, row: usize) -> Micros {
        if value(&self.reason, row) != Some(Reason::BadLogTime.name()) {
            return self.log_time.value(row);
        }
        let detail = value(&self.detail, row).and_then(|detail| detail.strip_prefix("log timestamp: "));
        let millis = detail.and_then(|rest| rest.split(' ').next()?.parse::<Micros>().ok());
        millis.unwrap_or(0).saturating_mul(1000)
    }
}

fn array<A: Array + Clone + 'static>(rows: &RecordBatch, name: &str) -> Result<A, String> {
    column::<A>(rows, name).cloned().ok_or_else(|| format!("it has no column {name}"))
}

fn value(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

/// Appends a JSON string.
fn quoted(json: &mut Vec<u8>, text: &str) {
    // A text is always JSON, and writing to memory does not fail.
    serde_json::to_writer(json, text).unwrap_or_default();
}

#[cfg(test)]
#[path = "rebuild_tests.rs"]
mod tests;
