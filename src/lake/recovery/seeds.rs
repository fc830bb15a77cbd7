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
    // Before there is a horizon nothing is final, and all lives are known by their rows: no event is before 1970.
    let horizon = state.horizon.unwrap_or(0);
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::columns::text_hash::testing::hasher;
    use crate::lake::StoreOptions;
    use crate::lake::history::{self, commit::Commit};
    use crate::lake::testing::{claim, data};

    const T: Micros = 1_700_000_000_000_000;

    /// A row of `incidents_changes` as far as a seed is made of it.
    fn parquet() -> Bytes {
        let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![T]).with_timezone("UTC"));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("row_key", Arc::new(StringArray::from(vec!["fire/0/7"]))),
            ("seq", Arc::new(Int64Array::from(vec![1]))),
            ("diff", Arc::new(Int32Array::from(vec![1]))),
            ("incident_id", Arc::new(StringArray::from(vec!["fire"]))),
            ("first_time", time.clone()),
            ("active_time", time),
            ("partition", Arc::new(Int32Array::from(vec![0]))),
            ("offset", Arc::new(Int64Array::from(vec![7]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap().into()
    }

    /// D4: what a start takes for lives that the lake does not know is dropped as final.
    #[tokio::test]
    async fn lives_are_known_before_there_is_a_horizon() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let state = history::apply(None, &claim("a"), "d".into());
        let mut commit = data(&state, "a", 1, 0);
        let file = File { path: "tables/x.parquet".into(), event_time: Some((T, T)), ..File::default() };
        lake.put(&file.path, parquet()).await.unwrap();
        commit.added.insert("incidents_changes".into(), vec![file]);
        let incidents = [Derived::from_name("incidents").unwrap()];
        for horizon in [None, Some(T)] {
            let state = history::apply(Some(state.clone()), &Commit { horizon, ..commit.clone() }, "e".into());
            let seeds = seeds(&lake, &state, &incidents, hasher()).await.unwrap();
            let known: Vec<_> = seeds.iter().map(|seed| (seed.life.first.time, seed.life.first.offset)).collect();
            assert_eq!(known, [(T, 7)], "{horizon:?}");
        }
    }
}
