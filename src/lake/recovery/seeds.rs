//! What a start takes from the rows of derived tables: where records alone would not do, a table says how its own rows
//! are read back (its *recovery*).

use std::collections::HashMap;

use bytes::Bytes;
use citystream_dataflows::operators::incidents::Seed;
use citystream_dataflows::tables::{Derived, Fields, Recovery};
use citystream_dataflows::time::Micros;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::columns::row::Row;
use crate::columns::text_hash::TextHasher;
use crate::lake::history::commit::File;
use crate::lake::history::read::ReadError;
use crate::lake::history::{State, Violation, roots};
use crate::lake::recovery::lookback::greatest;
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// How many files are read at the same time.
const READ_AHEAD: usize = 32;

/// What the live rows of tables give to a run, with this hasher, that goes on from the horizon.
///
/// # Errors
/// The store's, or an integrity violation where a file is missing or is not one of its table.
pub async fn seeds(lake: &Lake, state: &State, tables: &[Derived], hasher: TextHasher) -> Result<Vec<Seed>, ReadError> {
    let Some(horizon) = state.horizon else { return Ok(Vec::new()) };
    let mut seeds = Vec::new();
    for (table, recovery) in tables.iter().filter_map(|table| Some((*table, table.recovery?))) {
        seeds.extend(of_table(lake, state, (table, recovery, horizon), hasher).await?);
    }
    seeds.sort_unstable_by_key(|seed| seed.life);
    Ok(seeds)
}

async fn of_table(
    lake: &Lake,
    state: &State,
    (table, recovery, horizon): (Derived, Recovery, Micros),
    hasher: TextHasher,
) -> Result<Vec<Seed>, ReadError> {
    let from = (recovery.from)(horizon);
    let mut rows: HashMap<String, Change> = HashMap::new();
    let in_reach = |file: &File| file.event_time.is_some_and(|(_, last)| last >= from);
    let files = roots::files(lake, &state.files, table.changes(), in_reach).await?;
    let gets =
        files.into_iter().map(|file| async move { Ok::<_, StoreError>((lake.get(&file.path).await?, file.path)) });
    let mut gets = futures::stream::iter(gets).buffered(READ_AHEAD);
    while let Some((bytes, path)) = gets.try_next().await? {
        let bytes =
            bytes.ok_or_else(|| Violation(format!("P2: {path} is in the lake's commits, but not in the lake")))?;
        let seed = |row: &Row<'_>| (recovery.seed)(row, horizon, &|text| hasher.id(text.as_bytes()));
        let read = read(bytes, (table.time, from), |row| take(row, table, seed, &mut rows));
        read.map_err(|why| Violation(format!("P2: {path} cannot be read: {why}")))?;
    }
    let live = rows.into_values().filter(|row| row.diff > 0 && row.time >= from);
    Ok(live.map(|row| row.seed).collect())
}

/// The last change of a row.
struct Change {
    seq: i64,
    diff: i32,
    time: Micros,
    seed: Seed,
}

/// Gives the rows of those row groups that reach a time.
fn read(bytes: Bytes, (time, from): (&str, Micros), mut take: impl FnMut(Row<'_>) -> Option<()>) -> Result<(), String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let groups = builder.metadata().row_groups().iter().enumerate();
    let in_reach = groups.filter(|(_, group)| greatest(group, time).is_none_or(|last| last >= from));
    let groups = in_reach.map(|(index, _)| index).collect();
    for batch in builder.with_row_groups(groups).build().map_err(|error| error.to_string())? {
        let batch = batch.map_err(|error| error.to_string())?;
        for row in 0..batch.num_rows() {
            take(Row { batch: &batch, row }).ok_or("it has other columns")?;
        }
    }
    Ok(())
}

fn take(
    row: Row<'_>,
    table: Derived,
    seed: impl Fn(&Row<'_>) -> Option<Seed>,
    rows: &mut HashMap<String, Change>,
) -> Option<()> {
    let (key, seq, diff, time) = (row.text("row_key")?, row.long("seq")?, row.int("diff")?, row.long(table.time)?);
    if rows.get(key).is_some_and(|held| (held.seq, held.diff) > (seq, diff)) {
        return Some(());
    }
    let seed = seed(&row)?;
    rows.insert(key.to_owned(), Change { seq, diff, time, seed });
    Some(())
}
