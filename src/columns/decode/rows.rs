//! The columns that grow while an epoch is open: a table of rows for each topic, one of dead letters.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, ArrowPrimitiveType, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder,
    Int64Builder, ListBuilder, PrimitiveBuilder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use citystream_dataflows::operators::classify::Classified;
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::disposition::RowMeta;
use citystream_wire::{Field, Kind, PerTopic, Topic};

use super::cells::Cells;
use super::reason::Rejection;
use super::value::Value;
use super::{Incoming, Parsed};
use crate::columns::tables::{Batch, Reason, Table, decoded_schema, list_member, time_type};

/// The rows of one table and one epoch.
#[derive(Clone, Debug)]
pub struct RawBatch {
    /// The table.
    pub table: Table,
    /// The columns of `decoded_schema`.
    pub columns: RecordBatch,
    /// What decides each row's disposition; empty for dead letters.
    pub metas: Vec<RowMeta>,
    /// The topic of each dead letter, and the log clock at it; empty for a table of rows.
    pub dead: Vec<(Topic, Micros)>,
}

impl citystream_dataflows::operators::classify::Rows for RawBatch {
    fn metas(&self) -> &[RowMeta] {
        &self.metas
    }

    fn log_clocks(&self) -> Vec<Micros> {
        let of_rows = self.metas.iter().map(|meta| meta.log_clock);
        of_rows.chain(self.dead.iter().map(|(_, clock)| *clock)).collect()
    }
}

impl From<Classified<RawBatch>> for Batch {
    fn from(Classified { batch, dispositions, quality_windows }: Classified<RawBatch>) -> Self {
        let RawBatch { table, columns, dead, .. } = batch;
        let dead = dead.into_iter().map(|(topic, _)| topic).collect();
        Batch { table, columns, dispositions, quality_windows, dead }
    }
}

/// The rows of one worker's open epoch.
///
/// Arrow's text columns hold at most 2 GiB: call [`Rows::finish`] long before [`Rows::bytes`] is 1 GiB.
#[derive(Debug)]
pub struct Rows {
    tables: PerTopic<RowColumns>,
    dead: DeadColumns,
    /// Dead letters by reason, since somebody asked.
    rejected: [u64; Reason::ALL.len()],
    bytes: usize,
}

/// What a row costs beside its key and payload.
const ROW_BYTES: usize = 64;

impl Default for Rows {
    fn default() -> Rows {
        Rows {
            tables: PerTopic::new(RowColumns::new),
            dead: DeadColumns::default(),
            rejected: [0; Reason::ALL.len()],
            bytes: 0,
        }
    }
}

impl Rows {
    /// Input bytes that went into these rows, with a fixed addition per record.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is neither a row nor a dead letter.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes all rows: one batch a table that has any, in the order of [`Table::all`].
    pub fn finish(&mut self) -> Vec<RawBatch> {
        self.bytes = 0;
        let filled = self.tables.iter_mut().filter(|(_, table)| !table.metas.is_empty());
        let mut batches: Vec<RawBatch> = filled.map(|(topic, table)| table.finish(topic)).collect();
        batches.extend(self.dead.finish());
        batches
    }

    pub(super) fn push(&mut self, incoming: &Incoming<'_>, parsed: &Parsed<'_>, extra: Option<&str>) {
        self.account(incoming);
        self.tables[incoming.partition.topic].push(incoming, parsed, extra);
    }

    /// Dead letters by reason, as in [`Reason::ALL`], since the last call.
    pub fn take_rejected(&mut self) -> [u64; Reason::ALL.len()] {
        std::mem::take(&mut self.rejected)
    }

    pub(super) fn reject(&mut self, incoming: &Incoming<'_>, max_record: usize, rejection: &Rejection) {
        self.account(incoming);
        self.rejected[rejection.reason as usize] += 1;
        self.dead.push(incoming, max_record, rejection);
    }

    fn account(&mut self, incoming: &Incoming<'_>) {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        self.bytes += ROW_BYTES + length(incoming.record.key) + length(incoming.record.payload);
    }
}

/// The columns of one field.
#[derive(Debug)]
enum Column {
    Text(StringBuilder),
    Number(Float64Builder),
    Integer(Int32Builder),
    Flag(BooleanBuilder),
    Texts(ListBuilder<StringBuilder>),
    Place(Float64Builder, Float64Builder, Cells, Vec<Int64Builder>),
    /// Event time, which stands with the log's columns.
    Elsewhere,
}

impl Column {
    fn new(topic: Topic, field: &Field) -> Column {
        match field.kind {
            Kind::Text | Kind::Id | Kind::Words(_) => Column::Text(StringBuilder::new()),
            Kind::Number { .. } | Kind::Bearing => Column::Number(Float64Builder::new()),
            Kind::Integer { .. } => Column::Integer(Int32Builder::new()),
            Kind::Flag => Column::Flag(BooleanBuilder::new()),
            Kind::Texts => Column::Texts(ListBuilder::new(StringBuilder::new()).with_field(list_member())),
            Kind::Place => {
                let cells = Cells::of(topic);
                let columns = (0..cells.count()).map(|_| Int64Builder::new()).collect();
                Column::Place(Float64Builder::new(), Float64Builder::new(), cells, columns)
            }
            Kind::Time => Column::Elsewhere,
        }
    }

    /// Appends a value, or null where the value is not of this column's type.
    fn push(&mut self, value: &Value<'_>) {
        match (self, value) {
            (Column::Text(column), Value::Text(text)) => column.append_value(text),
            (Column::Text(column), Value::Escaped(_)) => column.append_value(value.text()),
            (Column::Text(column), _) => column.append_null(),
            (Column::Number(column), Value::Number(number)) => column.append_value(*number),
            (Column::Number(column), _) => column.append_null(),
            (Column::Integer(column), Value::Integer(integer)) => column.append_value(*integer),
            (Column::Integer(column), _) => column.append_null(),
            (Column::Flag(column), Value::Flag(flag)) => column.append_value(*flag),
            (Column::Flag(column), _) => column.append_null(),
            (Column::Texts(column), Value::Texts(raw)) => {
                let texts: Vec<Option<String>> = serde_json::from_str(raw).unwrap_or_default();
                column.append_value(texts);
            }
            (Column::Texts(column), _) => column.append_null(),
            (Column::Place(lats, lons, cells, columns), Value::Place(lat, lon)) => {
                lats.append_value(*lat);
                lons.append_value(*lon);
                cells.at(*lat, *lon, |column, cell| columns[column].append_option(cell));
            }
            (Column::Place(lats, lons, _, columns), _) => {
                lats.append_null();
                lons.append_null();
                columns.iter_mut().for_each(Int64Builder::append_null);
            }
            (Column::Elsewhere, _) => {}
        }
    }

    fn finish(&mut self, arrays: &mut Vec<ArrayRef>) {
        match self {
            Column::Text(column) => arrays.push(texts(column)),
            Column::Number(column) => arrays.push(values(column)),
            Column::Integer(column) => arrays.push(values(column)),
            Column::Flag(column) => arrays.push(Arc::new(column.finish())),
            Column::Texts(column) => arrays.push(Arc::new(column.finish())),
            Column::Place(lats, lons, _, columns) => {
                arrays.extend([values(lats), values(lons)]);
                arrays.extend(columns.iter_mut().map(values));
            }
            Column::Elsewhere => {}
        }
    }
}

/// Where a record stood in the log.
#[derive(Debug)]
struct LogColumns {
    topic: StringBuilder,
    partition: Int32Builder,
    offset: Int64Builder,
    key: StringBuilder,
    log_time: TimestampMicrosecondBuilder,
}

impl Default for LogColumns {
    fn default() -> LogColumns {
        LogColumns {
            topic: StringBuilder::new(),
            partition: Int32Builder::new(),
            offset: Int64Builder::new(),
            key: StringBuilder::new(),
            log_time: times(),
        }
    }
}

/// Takes a column and leaves room for as much again: epochs are alike, and growing by copying is not free.
fn texts(column: &mut StringBuilder) -> ArrayRef {
    let room = StringBuilder::with_capacity(with_room(column.len()), with_room(column.values_slice().len()));
    Arc::new(std::mem::replace(column, room).finish())
}

/// The same for values of fixed length.
fn values<T: ArrowPrimitiveType>(column: &mut PrimitiveBuilder<T>) -> ArrayRef {
    let array = column.finish();
    *column = PrimitiveBuilder::with_capacity(with_room(array.len())).with_data_type(array.data_type().clone());
    Arc::new(array)
}

fn with_room(length: usize) -> usize {
    length + length / 8
}

fn times() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::new().with_data_type(time_type())
}

impl LogColumns {
    /// Appends all but the topic: most tables know theirs when they are finished.
    fn push(&mut self, incoming: &Incoming<'_>) {
        let record = &incoming.record;
        self.partition.append_value(incoming.partition.index);
        self.offset.append_value(record.offset);
        self.log_time.append_value(record.log_time);
        match record.key.map(|key| (key, std::str::from_utf8(key))) {
            None => self.key.append_null(),
            Some((_, Ok(text))) => self.key.append_value(text),
            Some((bytes, Err(_))) => self.key.append_value(hex(bytes)),
        }
    }

    fn finish(&mut self, arrays: &mut Vec<ArrayRef>) {
        arrays.push(texts(&mut self.topic));
        arrays.push(values(&mut self.partition));
        arrays.push(values(&mut self.offset));
        arrays.push(texts(&mut self.key));
        arrays.push(values(&mut self.log_time));
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::from("0x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The rows of one topic.
#[derive(Debug)]
struct RowColumns {
    table: Table,
    fields: Vec<Column>,
    extra: StringBuilder,
    log: LogColumns,
    event_time: TimestampMicrosecondBuilder,
    metas: Vec<RowMeta>,
}

impl RowColumns {
    fn new(topic: Topic) -> RowColumns {
        RowColumns {
            table: Table::Raw(topic),
            fields: topic.declaration().fields.iter().map(|field| Column::new(topic, field)).collect(),
            extra: StringBuilder::new(),
            log: LogColumns::default(),
            event_time: times(),
            metas: Vec::new(),
        }
    }

    fn push(&mut self, incoming: &Incoming<'_>, parsed: &Parsed<'_>, extra: Option<&str>) {
        for (column, value) in self.fields.iter_mut().zip(&parsed.values) {
            column.push(value);
        }
        self.extra.append_option(extra);
        self.log.push(incoming);
        self.event_time.append_value(parsed.event_time);
        self.metas.push(RowMeta {
            partition: incoming.partition,
            event_time: parsed.event_time,
            log_clock: incoming.log_clock,
            identity: parsed.identity,
        });
    }

    fn finish(&mut self, topic: Topic) -> RawBatch {
        let room = with_room(self.metas.len());
        let metas = std::mem::replace(&mut self.metas, Vec::with_capacity(room));
        self.log.topic.append_value_n(topic.name(), metas.len());
        let mut arrays = Vec::with_capacity(32);
        for column in &mut self.fields {
            column.finish(&mut arrays);
        }
        arrays.push(texts(&mut self.extra));
        self.log.finish(&mut arrays);
        arrays.push(values(&mut self.event_time));
        RawBatch { table: self.table, columns: batch(self.table, arrays), metas, dead: Vec::new() }
    }
}

/// The records that could not be read.
#[derive(Debug, Default)]
struct DeadColumns {
    log: LogColumns,
    payload: BinaryBuilder,
    payload_bytes: Int64Builder,
    reason: StringBuilder,
    detail: StringBuilder,
    dead: Vec<(Topic, Micros)>,
}

impl DeadColumns {
    fn push(&mut self, incoming: &Incoming<'_>, max_record: usize, rejection: &Rejection) {
        let topic = incoming.partition.topic;
        let (payload, length) = (incoming.record.payload, incoming.record.length.unwrap_or(0));
        self.dead.push((topic, incoming.log_clock));
        self.log.topic.append_value(topic.name());
        self.log.push(incoming);
        self.payload.append_option(payload.map(|bytes| &bytes[..bytes.len().min(max_record)]));
        self.payload_bytes.append_option(payload.map(|bytes| bytes.len().max(length) as i64));
        self.reason.append_value(rejection.reason.name());
        self.detail.append_option(Some(rejection.detail.as_str()).filter(|detail| !detail.is_empty()));
    }

    fn finish(&mut self) -> Option<RawBatch> {
        let dead = std::mem::take(&mut self.dead);
        if dead.is_empty() {
            return None;
        }
        let mut arrays = Vec::with_capacity(9);
        self.log.finish(&mut arrays);
        arrays.push(Arc::new(self.payload.finish()));
        arrays.push(Arc::new(self.payload_bytes.finish()));
        arrays.push(Arc::new(self.reason.finish()));
        arrays.push(Arc::new(self.detail.finish()));
        let columns = batch(Table::DeadLetters, arrays);
        Some(RawBatch { table: Table::DeadLetters, columns, metas: Vec::new(), dead })
    }
}

fn batch(table: Table, arrays: Vec<ArrayRef>) -> RecordBatch {
    debug_assert!(arrays.windows(2).all(|pair| pair[0].len() == pair[1].len()));
    RecordBatch::try_new(decoded_schema(table), arrays).expect("columns and schema come from the same fields")
}
