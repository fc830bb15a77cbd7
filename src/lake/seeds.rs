//! The lives of incidents that a start goes on from, read from the incidents that the lake shows. Statuses alone would
//! not do: where a life begins depends on all statuses before it.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use citystream_dataflows::changes::Exposure;
use citystream_dataflows::incidents::{EXPOSURE, LIFE, LifeId, Seed, exposed_until};
use citystream_dataflows::records::{Reading, Stamp};
use citystream_dataflows::time::Micros;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::history::{State, Violation};
use super::store::Lake;
use crate::lake::recover::ReadError;
use crate::names;
use crate::tables::Table;

/// The lives that may still change, and those that a status in reach may belong to.
///
/// # Errors
/// The store's, or an integrity violation where a file is missing or is not one of incidents.
pub async fn seeds(lake: &Lake, state: &State) -> Result<Vec<Seed>, ReadError> {
    let Some(horizon) = state.horizon else { return Ok(Vec::new()) };
    let from = known_from(horizon);
    let mut rows: HashMap<String, Row> = HashMap::new();
    let files = state.files.get(Table::Incidents.name()).into_iter().flatten();
    for file in files.filter(|file| file.event_time.is_some_and(|(_, last)| last >= from)) {
        let missing = || Violation(format!("P2: {} is in the lake's commits, but not in the lake", file.path));
        let bytes = lake.get(&file.path).await?.ok_or_else(missing)?;
        let read = read(bytes, horizon, &mut rows);
        read.map_err(|why| Violation(format!("P2: {} cannot be read: {why}", file.path)))?;
    }
    let live = rows.into_values().filter(|row| row.diff > 0 && row.seed.life.first.time >= from);
    let mut seeds: Vec<Seed> = live.map(|row| row.seed).collect();
    seeds.sort_unstable_by_key(|seed| seed.life);
    Ok(seeds)
}

/// From where on lives are taken from the lake. Statuses are recalled from there as well: a life is either known with
/// all of its statuses, or so old that it is final.
pub fn known_from(horizon: Micros) -> Micros {
    horizon - 2 * LIFE - EXPOSURE
}

/// The last change of a row.
struct Row {
    seq: i64,
    diff: i32,
    seed: Seed,
}

fn read(bytes: Bytes, horizon: Micros, rows: &mut HashMap<String, Row>) -> Result<(), String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    for batch in builder.build().map_err(|error| error.to_string())? {
        let batch = batch.map_err(|error| error.to_string())?;
        take(&batch, horizon, rows).ok_or("it has other columns")?;
    }
    Ok(())
}

fn take(batch: &RecordBatch, horizon: Micros, rows: &mut HashMap<String, Row>) -> Option<()> {
    let column = |name| batch.column_by_name(name);
    let texts = |name| column(name)?.as_string_opt::<i32>();
    let times = |name| column(name)?.as_primitive_opt::<TimestampMicrosecondType>();
    let longs = |name| column(name)?.as_primitive_opt::<Int64Type>();
    let ints = |name| column(name)?.as_primitive_opt::<Int32Type>();
    let doubles = |name| column(name)?.as_primitive_opt::<Float64Type>();
    let (keys, incidents) = (texts("row_key")?, texts("incident_id")?);
    let (firsts, actives, resolved) = (times("first_time")?, times("active_time")?, times("resolved_time")?);
    let (partitions, offsets) = (ints("partition")?, longs("offset")?);
    let (seqs, diffs) = (longs("seq")?, ints("diff")?);
    let exposed = longs("exposed_vehicles")?;
    let (during, during_mean) = (longs("pings_during")?, doubles("speed_during_kmh")?);
    let (before, before_mean) = (longs("pings_before")?, doubles("speed_before_kmh")?);
    let reading = |means: &arrow::array::Float64Array, row| {
        means.is_valid(row).then(|| means.value(row)).map_or(Reading::NONE, Reading::new)
    };
    for row in 0..batch.num_rows() {
        let (seq, diff) = (seqs.value(row), diffs.value(row));
        if rows.get(keys.value(row)).is_some_and(|held| (held.seq, held.diff) > (seq, diff)) {
            continue;
        }
        let first = Stamp { time: firsts.value(row), partition: partitions.value(row), offset: offsets.value(row) };
        let incident = names::text(incidents.value(row).as_bytes());
        let resolved = resolved.is_valid(row).then(|| resolved.value(row));
        let is_over = actives.is_valid(row) && exposed_until(actives.value(row), resolved) <= horizon;
        let exposure = is_over.then(|| Exposure {
            vehicles: exposed.is_valid(row).then(|| exposed.value(row) as u64),
            during: (during.value(row) as u64, reading(during_mean, row)),
            before: (before.value(row) as u64, reading(before_mean, row)),
        });
        let seed = Seed { life: LifeId { incident, first }, exposure };
        rows.insert(keys.value(row).to_owned(), Row { seq, diff, seed });
    }
    Some(())
}
