//! Rows of a view as an Arrow IPC stream: what DuckDB, Polars and PyArrow read. Columns are called as those of the lake.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use citystream_dataflows::time::Micros;
use citystream_live::rows::{Place, Row, View};

use super::hub::OfKind;
use super::show::{kmh, share, text};
use crate::columns::names::Names;

/// What the media type of an answer is.
pub const MEDIA_TYPE: &str = "application/vnd.apache.arrow.stream";

/// A value; null where there is none.
enum Value {
    Text(Option<String>),
    Number(Option<f64>),
    Whole(Option<i64>),
    Time(Option<Micros>),
    Flag(bool),
}

/// Of a column: its name, and what type it has.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Whole,
    Time,
    Flag,
}

use Kind::{Flag, Number, Text, Time, Whole};

type Columns = &'static [(&'static str, Kind)];

const VEHICLES: Columns = &[
    ("vehicle_id", Text),
    ("event_time", Time),
    ("lat", Number),
    ("lon", Number),
    ("speed_kmh", Number),
    ("bearing_deg", Whole),
    ("h3_8", Whole),
    ("partition", Whole),
    ("offset", Whole),
];
const CELLS: Columns = &[
    ("h3_8", Whole),
    ("vehicles", Whole),
    ("vehicles_kmh", Number),
    ("current_speed_kmh", Number),
    ("free_flow_speed_kmh", Number),
    ("speed_ratio", Number),
    ("congestion_level", Text),
    ("congestion_since", Time),
    ("road_closure", Flag),
];
const INCIDENTS: Columns = &[
    ("incident_id", Text),
    ("since", Time),
    ("lat", Number),
    ("lon", Number),
    ("incident_type", Text),
    ("severity", Text),
    ("responding_time", Time),
    ("last_time", Time),
    ("statuses", Whole),
    ("partition", Whole),
    ("offset", Whole),
];
const CLUSTERS: Columns =
    &[("h3_8", Whole), ("cells", Whole), ("since", Time), ("head_h3_8", Whole), ("tail_h3_8", Whole)];
const WORST: Columns =
    &[("rank", Whole), ("h3_8", Whole), ("speed_ratio", Number), ("current_speed_kmh", Number), ("road_closure", Flag)];

fn columns(view: View) -> Columns {
    match view {
        View::Vehicles => VEHICLES,
        View::Cells => CELLS,
        View::Incidents => INCIDENTS,
        View::Clusters => CLUSTERS,
        View::Worst => WORST,
    }
}

/// The values of a row, in the order of its view's columns.
fn values(row: &Row, names: &Names) -> Vec<Value> {
    let [cell, whole] = [|cell: u64| Value::Whole(Some(cell as i64)), |number: u64| Value::Whole(Some(number as i64))];
    let speed = |speed: Option<i64>| Value::Number(speed.map(kmh));
    let word = |word: Option<&str>| Value::Text(word.map(str::to_owned));
    let place = |Place { lat, lon }: Place| [lat, lon].map(|it| Value::Number(Some(f64::from(it) / 1e6)));
    let time = |time: Micros| Value::Time(Some(time));
    let named = |id| Value::Text(Some(text(id, &names.read())));
    match row {
        Row::Vehicle(row) => {
            let [lat, lon] = place(row.at);
            let bearing = Value::Whole(row.bearing.map(i64::from));
            let source = [Value::Whole(Some(row.stamp.partition.into())), Value::Whole(Some(row.stamp.offset))];
            let first = [named(row.vehicle), time(row.stamp.time), lat, lon, speed(row.speed), bearing, cell(row.cell)];
            first.into_iter().chain(source).collect()
        }
        Row::Cell(row) => {
            let flow = row.flow.as_ref();
            let level = flow.and_then(|flow| flow.level);
            let mean = (row.crowd.measured > 0).then(|| row.crowd.speed / row.crowd.measured as i64);
            vec![
                cell(row.cell),
                whole(row.crowd.vehicles),
                speed(mean),
                speed(flow.and_then(|flow| flow.current)),
                speed(flow.and_then(|flow| flow.free_flow)),
                Value::Number(flow.and_then(|flow| flow.ratio()).map(share)),
                word(level.map(|it| it.level.word())),
                Value::Time(level.map(|it| it.since)),
                Value::Flag(flow.is_some_and(|flow| flow.is_closed)),
            ]
        }
        Row::Incident(row) => {
            let [lat, lon] = place(row.at);
            let first = row.life.first;
            vec![
                named(row.life.incident),
                time(first.time),
                lat,
                lon,
                word(row.kind.map(|it| it.word())),
                word(row.severity.map(|it| it.word())),
                Value::Time(row.responded),
                time(row.last),
                whole(row.statuses),
                Value::Whole(Some(first.partition.into())),
                Value::Whole(Some(first.offset)),
            ]
        }
        Row::Cluster(row) => {
            vec![cell(row.id), whole(row.cells.into()), time(row.since), cell(row.head), cell(row.tail)]
        }
        Row::Worst(row) => {
            let [ratio, current] = [share(row.ratio), kmh(row.current)].map(|it| Value::Number(Some(it)));
            vec![whole(row.rank.into()), cell(row.cell), ratio, current, Value::Flag(row.is_closed)]
        }
    }
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Text => DataType::Utf8,
        Number => DataType::Float64,
        Whole => DataType::Int64,
        Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Flag => DataType::Boolean,
    }
}

/// The values of a column of this kind; one of another kind is null.
fn column(kind: Kind, values: Vec<Value>) -> ArrayRef {
    macro_rules! of {
        ($array:ty, $value:ident) => {
            values
                .into_iter()
                .map(|value| match value {
                    Value::$value(value) => value,
                    _ => None,
                })
                .collect::<$array>()
        };
    }
    match kind {
        Text => Arc::new(of!(StringArray, Text)),
        Number => Arc::new(of!(Float64Array, Number)),
        Whole => Arc::new(of!(Int64Array, Whole)),
        Time => Arc::new(of!(TimestampMicrosecondArray, Time).with_timezone("UTC")),
        Flag => Arc::new(values.iter().map(|value| Some(matches!(value, Value::Flag(true)))).collect::<BooleanArray>()),
    }
}

/// Rows as a stream of one batch, with what is known of them in its schema.
///
/// # Errors
/// Never with these columns; the library checks them.
pub fn stream(OfKind { kind, rows, names, known }: OfKind) -> Result<Vec<u8>, ArrowError> {
    let declared = columns(kind);
    let mut by_column: Vec<Vec<Value>> = declared.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for row in &rows {
        by_column.iter_mut().zip(values(row, &names)).for_each(|(column, value)| column.push(value));
    }
    let fields: Vec<Field> = declared.iter().map(|(name, kind)| Field::new(*name, data_type(*kind), true)).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, known));
    let arrays = declared.iter().zip(by_column).map(|((_, kind), values)| column(*kind, values)).collect();
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&RecordBatch::try_new(schema, arrays)?)?;
    writer.into_inner()
}
