//! Files of many shapes become one that has the same rows, in order.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, new_null_array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, TimeUnit};
use citystream_dataflows::tables::Derived;
use citystream_wire::Topic;

use super::super::pack::Pack;
use super::super::pack::pack;
use super::*;
use crate::lake::history::commit::{Commit, File, Kind};
use crate::lake::history::tidy;
use crate::lake::testing::{Random, claim, seed};
use crate::lake::{Lake, StoreOptions, digest};
use crate::sink::tidy::Now;
use crate::sink::write::{Encoder, EncoderOptions};

/// 2026-11-23.
const START: i64 = 20_780 * 86_400_000_000;

/// Random rows of a commit: few times and keys, so that much ties.
fn rows(random: &mut Random, table: Table, (seq, count): (u64, usize)) -> RecordBatch {
    let schema = schema(table);
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        let mut number = |below: u64| random.below(below) as i64;
        match (field.name().as_str(), field.data_type()) {
            ("seq", _) => Arc::new(Int64Array::from(vec![seq as i64; count])),
            ("epoch", _) => Arc::new(Int64Array::from(vec![seq as i64 * 10; count])),
            ("diff", _) => {
                Arc::new((0..count).map(|_| Some(if number(3) == 0 { -1 } else { 1 })).collect::<Int32Array>())
            }
            (_, DataType::Utf8) => {
                Arc::new((0..count).map(|_| Some(format!("t{}", number(50)))).collect::<StringArray>())
            }
            (_, DataType::Int64) => Arc::new((0..count).map(|_| Some(number(1 << 40))).collect::<Int64Array>()),
            (_, DataType::Int32) => Arc::new((0..count).map(|_| Some(number(99) as i32)).collect::<Int32Array>()),
            (_, DataType::Float64) => {
                Arc::new((0..count).map(|_| Some(number(999) as f64 / 7.0)).collect::<Float64Array>())
            }
            (_, DataType::Boolean) => Arc::new((0..count).map(|_| Some(number(2) == 0)).collect::<BooleanArray>()),
            (_, DataType::Timestamp(TimeUnit::Microsecond, _)) => {
                let times = (0..count).map(|_| Some(START + number(5000) * 10_000_000));
                Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            (_, other) if field.is_nullable() => new_null_array(other, count),
            other => panic!("{other:?}"),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

/// What commits brought to one date: files of some row groups.
async fn files(lake: &Lake, random: &mut Random, table: Table, most: u64) -> (Vec<File>, RecordBatch) {
    let (mut files, mut batches) = (Vec::new(), Vec::new());
    for seq in 1..=2 + random.below(6) {
        let mut collector = Encoder::new(EncoderOptions::default()).unwrap();
        for _ in 0..=random.below(3) {
            let mut encoder = Encoder::new(EncoderOptions { few_rows: 0, ..EncoderOptions::default() }).unwrap();
            let count = 1 + random.below(most) as usize;
            let batch = rows(random, table, (seq, count));
            batches.push(batch.clone());
            encoder.append(table, batch).unwrap();
            encoder.seal().unwrap().remainders.into_iter().for_each(|few| collector.append_remainder(few).unwrap());
        }
        for file in collector.seal_all().unwrap() {
            let path = format!("tables/x/{seq}-{}", files.len());
            files.push(file.describe(path.clone(), (seq, seq), 0));
            lake.put(&path, file.data).await.unwrap();
        }
    }
    (files, concat_batches(&schema(table), &batches).unwrap())
}

async fn lake(dir: &tempfile::TempDir) -> Lake {
    Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap()
}

/// All rows, sorted by all columns that can be.
fn sorted(batch: &RecordBatch) -> RecordBatch {
    let columns = batch.columns().iter().filter(|column| !matches!(column.data_type(), DataType::List(_)));
    let columns: Vec<_> = columns.map(|values| SortColumn { values: values.clone(), options: None }).collect();
    take_record_batch(batch, &lexsort_to_indices(&columns, None).unwrap()).unwrap()
}

async fn read(lake: &Lake, file: &File) -> RecordBatch {
    let bytes = lake.get(&file.path).await.unwrap().unwrap();
    assert_eq!((bytes.len() as u64, digest(&bytes)), (file.bytes, file.sha256.clone()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let schema = reader.schema().clone();
    concat_batches(&schema, &reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

/// Derived tables in turn, a raw one, dead letters.
fn tables() -> Vec<Table> {
    let derived = Derived::all().flat_map(Table::of);
    [Table::Raw(Topic::GPS), Table::DeadLetters].into_iter().chain(derived).collect()
}

#[tokio::test]
async fn t2_a_pack_has_the_rows_of_its_files_in_order() {
    let seed = seed();
    for (round, table) in tables().into_iter().enumerate() {
        let mut random = Random(seed.wrapping_add(round as u64 * 2));
        let dir = tempfile::tempdir().unwrap();
        let lake = lake(&dir).await;
        let (files, all) = files(&lake, &mut random, table, 4000).await;
        let Pack { removed, added, .. } =
            pack(&lake, (table, files.clone()), "tables/x/packed".into(), &mut Pace::alone()).await.unwrap();
        assert_eq!(removed, files);
        let made = read(&lake, &added).await;
        assert_eq!(sorted(&made), sorted(&all), "{} seed {seed}", table.name());
        let times: &TimestampMicrosecondArray = column(&made, table.sort_column()).unwrap();
        assert!(times.values().is_sorted(), "{}", table.name());
        // What a commit may say of it.
        let mut commit = Commit { kind: Kind::Data, ..claim("a") };
        tidy::record(&mut commit, table.name(), removed, added, None);
        tidy::check(None, &commit).unwrap();
    }
}

#[tokio::test]
async fn packed_files_are_packed_again_and_row_groups_stay_long() {
    let mut random = Random(seed());
    let (dir, table) = (tempfile::tempdir().unwrap(), Table::Raw(Topic::TRAFFIC));
    let lake = lake(&dir).await;
    let (mut packed, mut all) = (Vec::new(), Vec::new());
    for n in 0..3 {
        let (files, rows) = files(&lake, &mut random, table, 40_000).await;
        let path = format!("tables/x/packed-{n}");
        packed.push(pack(&lake, (table, files), path, &mut Pace::alone()).await.unwrap().added);
        all.push(rows);
    }
    let made = pack(&lake, (table, packed), "tables/x/whole".into(), &mut Pace::alone()).await.unwrap().added;
    assert_eq!(made.level, 2);
    assert_eq!(sorted(&read(&lake, &made).await), sorted(&concat_batches(&schema(table), &all).unwrap()));
    let bytes = lake.get(&made.path).await.unwrap().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert!(groups.iter().rev().skip(1).all(|rows| *rows >= GROUP_ROWS as i64), "{groups:?}");
}

#[tokio::test]
async fn a_file_with_a_flipped_bit_is_named_and_so_is_one_that_is_missing() {
    let mut random = Random(seed());
    let (dir, table) = (tempfile::tempdir().unwrap(), Table::Raw(Topic::GPS));
    let lake = lake(&dir).await;
    let (files, _) = files(&lake, &mut random, table, 200).await;
    let spoiled = &files[random.below(files.len() as u64) as usize];
    let mut bytes = lake.get(&spoiled.path).await.unwrap().unwrap().to_vec();
    let at = random.below(bytes.len() as u64) as usize;
    bytes[at] ^= 1 << random.below(8);
    lake.put(&spoiled.path, bytes.into()).await.unwrap();
    for _ in 0..2 {
        let path = "tables/x/packed".to_owned();
        match pack(&lake, (table, files.clone()), path, &mut Pace::alone()).await {
            Err(TidyError::Damaged { path, .. }) => assert_eq!(path, spoiled.path),
            other => panic!("{other:?}"),
        }
        lake.delete(vec![spoiled.path.clone()]).await.unwrap();
    }
    assert!(!lake.exists("tables/x/packed").await.unwrap());
}

#[tokio::test]
async fn a_run_that_ends_is_not_waited_for() {
    let mut random = Random(seed());
    let (dir, table) = (tempfile::tempdir().unwrap(), Table::Raw(Topic::GPS));
    let lake = lake(&dir).await;
    let (files, _) = files(&lake, &mut random, table, 200).await;
    let ends = pack(&lake, (table, files), "tables/x/packed".into(), &mut Pace::beside(&|| Now::End)).await;
    assert!(matches!(ends, Err(TidyError::Ended)) && !lake.exists("tables/x/packed").await.unwrap());
}

#[tokio::test]
async fn t1_a_pack_that_is_not_its_files_is_no_commit() {
    let mut random = Random(seed());
    let (dir, table) = (tempfile::tempdir().unwrap(), Table::Raw(Topic::GPS));
    let lake = lake(&dir).await;
    let (files, _) = files(&lake, &mut random, table, 200).await;
    let Pack { removed, added, .. } = pack(&lake, (table, files), "p".into(), &mut Pace::alone()).await.unwrap();
    type Spoil = fn(&mut Vec<File>, &mut File);
    let wrong: [Spoil; 9] = [
        |_, made| made.rows -= 1,
        |_, made| made.net += 1,
        |_, made| made.level += 1,
        |_, made| made.seqs.0 += 1,
        |_, made| made.date = "2026-11-24".into(),
        |_, made| made.event_time = None,
        |files, _| _ = files.pop(),
        |files, _| files[0].date = "2026-11-24".into(),
        |files, _| files.truncate(1),
    ];
    for (n, spoil) in wrong.into_iter().enumerate() {
        let (mut removed, mut added) = (removed.clone(), added.clone());
        spoil(&mut removed, &mut added);
        let mut commit = Commit { kind: Kind::Data, ..claim("a") };
        tidy::record(&mut commit, table.name(), removed, added, None);
        assert!(tidy::check(None, &commit).unwrap_err().0.starts_with("T1"), "{n}");
    }
    let mut commit = Commit { kind: Kind::Data, ..claim("a") };
    tidy::record(&mut commit, table.name(), removed.clone(), added.clone(), None);
    tidy::record(&mut commit, table.name(), removed.clone(), added, None);
    assert!(tidy::check(None, &commit).is_err(), "twice");
    let unsaid = Commit { removed: [(table.name().to_owned(), removed)].into(), ..claim("a") };
    assert!(tidy::check(None, &unsaid).unwrap_err().0.contains("does not say why"));
}
