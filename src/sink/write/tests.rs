//! What goes in comes out: once, in the right file, in order.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use citystream_dataflows::operators::classify::Classified;
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_dataflows::time::disposition::Disposition;
use jiff::tz::TimeZone;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader, RowGroupMetaData};

use super::encoder::{Remainder, date};
use super::*;
use crate::columns::decode::{DecodeOptions, Decoder, Incoming};
use crate::columns::tables::{Table, schema};
use crate::columns::text_hash::testing::hasher;
use crate::source::Record;

const DAY: Micros = 86_400_000_000;
/// 2026-11-23.
const START: Micros = 20_780 * DAY;

/// `rows` GPS pings from offset `first`, whose log times spread over two days and whose event times are shuffled;
/// every hundredth is a dead letter.
fn batches(first: i64, rows: i64) -> Vec<(Table, RecordBatch)> {
    let mut decoder =
        Decoder::new(DecodeOptions { timezone: TimeZone::UTC, max_record: 1000, max_ahead: 3 * DAY }, hasher());
    let mut all = decoder.rows();
    for offset in first..first + rows {
        let log_time = START + (offset % 1000) * 2 * DAY / 1000;
        let event_time = jiff::Timestamp::from_microsecond(START + (offset * 7919) % DAY).unwrap();
        let mut payload = format!(
            r#"{{"id": "ping-{offset}", "deviceId": "d{}", "timestamp": "{event_time}", "coordinates": "52.5,-1.5"}}"#,
            offset % 10
        );
        if offset % 100 == 0 {
            payload.pop();
        }
        let payload = Some(payload.as_bytes());
        let record = Record { offset, next: NextOffset(offset + 1), log_time, key: None, payload, length: None };
        let partition = Partition { topic: Topic::GPS, index: 0 };
        decoder.decode(Incoming::new(partition, None, record), &mut all);
    }
    let complete = |raw: crate::columns::decode::RawBatch| {
        let dispositions: Vec<Disposition> = (0..raw.metas.len()).map(|row| Disposition::ALL[row % 4]).collect();
        let quality_windows = vec![None; raw.columns.num_rows()];
        (raw.table, complete(&Classified { batch: raw, dispositions, quality_windows }.into(), 5, 9).unwrap())
    };
    all.finish().into_iter().map(complete).collect()
}

fn read(file: &EncodedFile) -> (Vec<RecordBatch>, usize) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.data.clone()).unwrap();
    let groups = reader.metadata().num_row_groups();
    (reader.build().unwrap().map(Result::unwrap).collect(), groups)
}

fn column(batch: &RecordBatch, name: &str) -> Vec<i64> {
    let array = batch.column_by_name(name).unwrap();
    match array.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) => times.values().to_vec(),
        None => array.as_primitive::<Int64Type>().values().to_vec(),
    }
}

/// Checks each file against what it says of itself; returns all offsets by table.
fn check(files: &[EncodedFile]) -> BTreeMap<Table, Vec<i64>> {
    let mut offsets: BTreeMap<Table, Vec<i64>> = BTreeMap::new();
    for file in files {
        let (batches, _) = read(file);
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!((rows as u64, rows as i64), (file.rows, file.net));
        let mut range: Option<(Micros, Micros)> = None;
        for batch in &batches {
            assert_eq!(batch.schema().fields(), schema(file.table).fields());
            for time in column(batch, "log_time") {
                assert_eq!(date(time.div_euclid(DAY)), file.date);
            }
            if file.table != Table::DeadLetters {
                for time in column(batch, "event_time") {
                    range = Some(range.map_or((time, time), |(a, b)| (a.min(time), b.max(time))));
                }
            }
            offsets.entry(file.table).or_default().extend(column(batch, "offset"));
        }
        assert_eq!(range, file.event_time);
    }
    offsets.values_mut().for_each(|offsets| offsets.sort_unstable());
    offsets
}

fn expected(rows: i64) -> BTreeMap<Table, Vec<i64>> {
    let (dead, alive) = (0..rows).partition(|offset| offset % 100 == 0);
    BTreeMap::from([(Table::Raw(Topic::GPS), alive), (Table::DeadLetters, dead)])
}

#[test]
fn every_row_is_in_one_file_of_its_log_date_and_row_groups_are_sorted() {
    let mut encoder = Encoder::new(EncoderOptions { target_bytes: 32 << 10, small_bytes: 0, few_rows: 1 }).unwrap();
    let rows = 400_000;
    for first in (0..rows).step_by(10_000) {
        for (table, batch) in batches(first, 10_000) {
            encoder.append(table, batch).unwrap();
        }
        assert!(encoder.bytes() > 0);
    }
    let early = encoder.take_files();
    assert!(!early.is_empty(), "a file of 32 KiB was complete before the seal");
    let sealed = encoder.seal().unwrap();
    assert_eq!(sealed.remainders.len(), 0);
    assert_eq!(encoder.bytes(), 0);
    let files: Vec<EncodedFile> = early.into_iter().chain(sealed.files).collect();
    assert!(check(&files) == expected(rows));
    for file in &files {
        sorted_groups(file);
    }
}

fn sorted_groups(file: &EncodedFile) {
    let builder = || ParquetRecordBatchReaderBuilder::try_new(file.data.clone()).unwrap();
    for group in 0..builder().metadata().num_row_groups() {
        let reader = builder().with_row_groups(vec![group]).build().unwrap();
        let times: Vec<i64> = reader.flat_map(|batch| column(&batch.unwrap(), file.table.sort_column())).collect();
        assert!(times.is_sorted());
        assert!(times.len() <= 2 * group::GROUP_ROWS);
    }
}

#[test]
fn what_is_too_little_travels_and_becomes_one_file_a_date() {
    // As rows; as files; the dead letters as rows and all else as files.
    for (rows, few_rows) in [(9000, usize::MAX), (9000, 0), (90_000, 2048)] {
        let options = EncoderOptions { target_bytes: 64 << 20, small_bytes: 8 << 20, few_rows };
        let mut workers: Vec<Encoder> = (0..3).map(|_| Encoder::new(options).unwrap()).collect();
        let mut collector = Encoder::new(EncoderOptions::default()).unwrap();
        for first in (0..rows).step_by(100) {
            for (table, batch) in batches(first, 100) {
                workers[first as usize / 100 % 3].append(table, batch).unwrap();
            }
        }
        for worker in &mut workers {
            let sealed = worker.seal().unwrap();
            assert!(sealed.files.is_empty() && worker.bytes() == 0);
            for remainder in sealed.remainders {
                let expected = few_rows > 2048 || (few_rows > 0 && remainder.table() == Table::DeadLetters);
                assert_eq!(matches!(remainder, Remainder::Rows(..)), expected);
                collector.append_remainder(remainder).unwrap();
            }
        }
        let files = collector.seal_all().unwrap();
        assert_eq!(files.len(), 4, "two tables on two dates");
        assert!(check(&files) == expected(rows));
        files.iter().for_each(sorted_groups);
        assert!(collector.seal_all().unwrap().is_empty() && collector.seal().unwrap().files.is_empty());
    }
}

#[test]
fn a_joined_file_has_the_statistics_and_the_page_index_of_its_parts() {
    let encode = |first| {
        let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
        batches(first, 5000).into_iter().for_each(|(table, batch)| encoder.append(table, batch).unwrap());
        encoder.seal_all().unwrap()
    };
    let (first, second) = (encode(0), encode(5000));
    let mut collector = Encoder::new(EncoderOptions::default()).unwrap();
    for file in first.iter().chain(&second) {
        collector.append_remainder(Remainder::File(file.clone())).unwrap();
    }
    for whole in collector.seal_all().unwrap() {
        let parts = first.iter().chain(&second).filter(|part| (part.table, &part.date) == (whole.table, &whole.date));
        let (mut parts, mut groups): (Vec<_>, _) = (parts.flat_map(index).collect(), index(&whole));
        parts.sort();
        groups.sort();
        assert_eq!(parts, groups);
    }
}

/// Of each row group and column: statistics, what its pages hold, and what each page's bytes are.
fn index(file: &EncodedFile) -> Vec<String> {
    let metadata = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = metadata.parse_and_finish(&file.data).unwrap();
    let groups = metadata.row_groups().iter().enumerate();
    let of = |(number, group): (usize, &RowGroupMetaData)| {
        let pages = metadata.page_index_for_row_group(number);
        let columns = group.columns().iter().enumerate().map(|(index, column)| {
            let places = pages.offset_index(index).unwrap().page_locations().iter();
            let bytes = places.map(|page| {
                let from = page.offset as usize;
                (page.first_row_index, file.data.slice(from..from + page.compressed_page_size as usize))
            });
            format!("{:?} {:?} {:?}", column.statistics(), pages.column_index(index), bytes.collect::<Vec<_>>())
        });
        columns.collect()
    };
    groups.map(of).collect()
}

#[test]
fn an_empty_batch_makes_no_file_and_an_encoder_may_move_to_a_thread() {
    fn may_move<T: Send>(_: &T) {}

    let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
    may_move(&encoder);
    encoder.append(Table::Raw(Topic::GPS), RecordBatch::new_empty(schema(Table::Raw(Topic::GPS)))).unwrap();
    assert!(encoder.seal_all().unwrap().is_empty());
}

#[test]
fn row_groups_are_about_equal_however_many_rows_come_at_once() {
    for rows in [0, 1, 500, group::GROUP_ROWS - 1, group::GROUP_ROWS, 300_000, 1_000_003, 8 * group::GROUP_ROWS] {
        let length = group::group_length(rows);
        assert!(length >= rows.min(group::GROUP_ROWS) && length < 2 * group::GROUP_ROWS, "{rows} {length}");
        let last = rows % length;
        assert!(last == 0 || last > length / 2, "{rows} {length}");
    }
}

#[test]
fn long_rows_do_not_wait_for_as_many() {
    let mut waiting = group::Group::new(Table::DeadLetters);
    let (_, dead) = batches(0, 100).remove(1);
    let long = arrow::array::BinaryArray::from_vec(vec![&vec![b'x'; 100 << 20]]);
    let mut columns = dead.columns().to_vec();
    columns[schema(Table::DeadLetters).index_of("payload").unwrap()] = std::sync::Arc::new(long);
    waiting.push(dead);
    assert!(!waiting.is_full(128 << 20));
    waiting.push(RecordBatch::try_new(schema(Table::DeadLetters), columns).unwrap());
    assert!(waiting.is_full(128 << 20));
}

#[test]
fn statistics_on_event_time_stand_in_every_file() {
    let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
    for (table, batch) in batches(0, 5000) {
        encoder.append(table, batch).unwrap();
    }
    for file in encoder.seal_all().unwrap() {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.data.clone()).unwrap();
        let name = file.table.sort_column();
        let index = reader.schema().index_of(name).unwrap();
        let statistics = reader.metadata().row_group(0).column(index).statistics().unwrap();
        assert!(statistics.min_bytes_opt().is_some() && statistics.max_bytes_opt().is_some());
    }
}

#[test]
fn of_little_ids_and_keys_are_compressed_and_much_is_whole_also_where_it_has_travelled() {
    for (rows, travels, is_compressed) in [(20, false, false), (20, true, false), (5000, false, true)] {
        let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
        encoder.append(Table::Raw(Topic::GPS), batches(0, rows).remove(0).1).unwrap();
        if travels {
            let few = encoder.seal().unwrap().remainders;
            few.into_iter().for_each(|few| encoder.append_remainder(few).unwrap());
        }
        for file in encoder.seal_all().unwrap() {
            let reader = ParquetRecordBatchReaderBuilder::try_new(file.data.clone()).unwrap();
            let columns = reader.metadata().row_group(0).columns();
            for column in columns {
                let (name, found) =
                    (column.column_path().parts()[0].as_str(), column.compression() != Compression::UNCOMPRESSED);
                assert_eq!(found, is_compressed || ["id", "key", "extra"].contains(&name), "{name}, {rows} rows");
                let sought = ["event_time", "log_time", "quality_window", "seq"].contains(&name);
                assert!(is_compressed || column.statistics().is_some() == sought, "{name}, {rows} rows");
            }
        }
    }
}

#[test]
fn columns_that_do_not_fit_are_an_error() {
    let (table, batch) = batches(0, 50).remove(0);
    let narrow = batch.project(&[0, 1]).unwrap();
    assert!(Encoder::new(EncoderOptions::default()).unwrap().append(table, narrow).is_err());
    let derived = citystream_dataflows::tables::Derived::all().next().unwrap();
    let batch = crate::columns::tables::Batch::derived(Table::Changes(derived), batch);
    assert!(complete(&batch, 1, 1).is_err());
}

#[test]
fn dates_agree_with_jiff() {
    for day in (-700_000..2_900_000).step_by(37) {
        let expected = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(day));
        if let Ok(expected) = expected {
            assert_eq!(date(day), format!("{expected}"));
        }
    }
    assert_eq!(date(i64::MAX.div_euclid(DAY)), "294247-01-10");
}
