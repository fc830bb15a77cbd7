//! Decoding, extracting and encoding alone, on one thread, records in memory: where a record's nanoseconds go. Times are this
//! thread's time on a CPU, so that others on the machine disturb little.
//!
//! `cargo bench --bench rows [-- RECORDS]`; writes its files to a directory of its own under the system's temporary
//! one and leaves them there, named on the last line, for a look with DuckDB.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod common;

use std::time::Duration;

use citystream::parts::{
    Batch, DecodeOptions, Decoder, Encoder, EncoderOptions, Extractor, Incoming, RawBatch, Record, Records, Table,
    TextHasher, complete,
};
use citystream_dataflows::operators::classify::Classified;
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_dataflows::time::disposition::Disposition;

/// Records in one epoch.
const EPOCH: usize = 50_000;
/// Only decode, for a profile of it.
const PROFILE: &str = "decode";

fn main() {
    let records: usize = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(1_000_000);
    let mut random = common::Random(7);
    let input: Vec<(Topic, String, String)> =
        (0..records).map(|number| common::record(&mut random, number as u64)).collect();
    let bytes: usize = input.iter().map(|(_, _, payload)| payload.len()).sum();
    println!("{records} records, {} bytes each", bytes / records);
    for topic in Topic::all() {
        let only: Vec<_> = input.iter().filter(|(t, ..)| *t == topic).cloned().collect();
        let time = decode(&only, &mut drop);
        println!("decode {:10} {:>6.0} ns/record", topic.name(), nanos(time, only.len()));
    }
    let decoding = decode(&input, &mut drop);
    let mut batches = Vec::new();
    decode(&input, &mut |epoch| batches.extend(epoch));
    if std::env::args().any(|argument| argument == PROFILE) {
        (0..20).for_each(|_| _ = decode(&input, &mut drop));
    }
    println!("decode all        {:>6.0} ns/record", nanos(decoding, records));
    println!("extract all       {:>6.0} ns/record", nanos(extract(&batches), records));
    for table in Table::all() {
        let only: Vec<_> = batches.iter().filter(|batch| batch.table == table).cloned().collect();
        let rows: usize = only.iter().map(|batch| batch.columns.num_rows()).sum();
        if rows > 0 {
            let (time, bytes) = encode(only, None);
            println!("encode {:14} {:>6.0} ns/row, {} bytes/row", table.name(), nanos(time, rows), bytes / rows);
        }
    }
    let directory = std::env::temp_dir().join(format!("citystream-rows-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (encoding, bytes) = encode(batches, Some(&directory));
    println!("encode all        {:>6.0} ns/record, {} bytes/record", nanos(encoding, records), bytes / records);
    println!("together          {:>6.0} records/s a core", records as f64 / (encoding + decoding).as_secs_f64());
    println!("{}", directory.display());
}

/// This thread's time on a CPU so far (Linux).
fn on_cpu() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

fn nanos(time: Duration, records: usize) -> f64 {
    time.as_nanos() as f64 / records as f64
}

/// Decodes everything and hands over each epoch.
fn decode(input: &[(Topic, String, String)], take: &mut dyn FnMut(Vec<RawBatch>)) -> Duration {
    let mut decoder = Decoder::new(
        DecodeOptions { timezone: jiff::tz::TimeZone::UTC, max_record: 256 << 10, max_ahead: 86_400_000_000 },
        TextHasher::new(1),
    );
    let mut rows = decoder.rows();
    let start = on_cpu();
    for (number, (topic, key, payload)) in input.iter().enumerate() {
        let (offset, log_time) = (number as i64, common::START + 100 * number as i64);
        let record = Record {
            offset,
            next: NextOffset(offset + 1),
            log_time,
            key: Some(key.as_bytes()),
            payload: Some(payload.as_bytes()),
            length: None,
        };
        let partition = Partition { topic: *topic, index: (number / 5 % 4) as i32 };
        decoder.decode(Incoming::new(partition, None, record), &mut rows);
        if number % EPOCH == EPOCH - 1 {
            take(rows.finish());
        }
    }
    let last = rows.finish();
    assert!(last.iter().all(|batch| batch.table != Table::DeadLetters));
    take(last);
    on_cpu() - start
}

/// Makes records of all rows, all of them on time.
fn extract(batches: &[RawBatch]) -> Duration {
    let mut extractor = Extractor::new(TextHasher::new(1));
    let batches: Vec<Batch> = batches.iter().cloned().map(on_time).collect();
    let start = on_cpu();
    let mut delivered = 0;
    for batch in &batches {
        let mut records = Records::default();
        extractor.extract(batch, &mut records).unwrap();
        delivered += std::hint::black_box(records).deliveries.len();
    }
    assert_eq!(delivered, batches.iter().map(|batch| batch.columns.num_rows()).sum::<usize>());
    on_cpu() - start
}

/// Rows that are all on time, in one window of data quality.
fn on_time(batch: RawBatch) -> Batch {
    let dispositions = vec![Disposition::OnTime; batch.metas.len()];
    let quality_windows = vec![Some(common::START); batch.columns.num_rows()];
    Classified { batch, dispositions, quality_windows }.into()
}

fn encode(batches: Vec<RawBatch>, directory: Option<&std::path::Path>) -> (Duration, usize) {
    let start = on_cpu();
    let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
    for batch in batches {
        encoder.append(batch.table, complete(&on_time(batch), 1, 1).unwrap()).unwrap();
    }
    let files = encoder.seal_all().unwrap();
    let time = on_cpu() - start;
    for (number, file) in files.iter().enumerate() {
        if let Some(directory) = directory {
            let name = format!("{}-{}-{number}.parquet", file.table.name(), file.date);
            std::fs::write(directory.join(name), &file.data).unwrap();
        }
    }
    (time, files.iter().map(|file| file.data.len()).sum())
}
