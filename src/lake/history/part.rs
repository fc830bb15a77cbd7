//! A part of a root as a Parquet file: one row a file. DuckDB reads it (`lake sql`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use bytes::Bytes;
use citystream_dataflows::time::Micros;

use crate::columns::row::column;
use crate::lake::history::commit::File;
use crate::lake::history::rebuilt;

type Range = Option<(Micros, Micros)>;

/// The columns of ranges: first and last.
const RANGES: [[&str; 2]; 3] =
    [["first_event_time", "last_event_time"], ["first_log_time", "last_log_time"], ["first_window", "last_window"]];

/// The bytes of a part of a table's files: a function of them.
pub(super) fn encode(table: &str, files: &[File]) -> Result<Bytes, ArrowError> {
    rebuilt::encode(&batch(table, files)?)
}

fn batch(table: &str, files: &[File]) -> Result<RecordBatch, ArrowError> {
    let text =
        |of: fn(&File) -> &str| -> ArrayRef { Arc::new(files.iter().map(|f| Some(of(f))).collect::<StringArray>()) };
    let long =
        |of: fn(&File) -> i64| -> ArrayRef { Arc::new(files.iter().map(|f| Some(of(f))).collect::<Int64Array>()) };
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("table", Arc::new(files.iter().map(|_| Some(table)).collect::<StringArray>())),
        ("path", text(|file| &file.path)),
        ("date", text(|file| &file.date)),
        ("rows", long(|file| file.rows as i64)),
        ("bytes", long(|file| file.bytes as i64)),
        ("sha256", text(|file| &file.sha256)),
        ("first_seq", long(|file| file.seqs.0 as i64)),
        ("last_seq", long(|file| file.seqs.1 as i64)),
        ("level", long(|file| file.level.into())),
        ("net", long(|file| file.net)),
        ("added_ms", Arc::new(files.iter().map(|file| file.added_ms).collect::<Int64Array>())),
    ];
    let ranges: [fn(&File) -> Range; 3] = [|file| file.event_time, |file| file.log_time, |file| file.quality_window];
    for ([first, last], range) in RANGES.into_iter().zip(ranges) {
        let ends = |end: fn((Micros, Micros)) -> Micros| -> ArrayRef {
            Arc::new(files.iter().map(|file| range(file).map(end)).collect::<Int64Array>())
        };
        columns.extend([(first, ends(|range| range.0)), (last, ends(|range| range.1))]);
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
}

/// The files of a part; `None` if these are not its bytes.
pub(super) fn decode(bytes: Bytes) -> Option<Vec<File>> {
    rows(&rebuilt::decode(bytes).ok()?)
}

fn rows(batch: &RecordBatch) -> Option<Vec<File>> {
    let text = |name: &str| column::<StringArray>(batch, name);
    let long = |name: &str| column::<Int64Array>(batch, name);
    let (paths, dates, digests) = (text("path")?, text("date")?, text("sha256")?);
    let (rows, bytes, net, levels) = (long("rows")?, long("bytes")?, long("net")?, long("level")?);
    let (first, last) = (long("first_seq")?, long("last_seq")?);
    let added = long("added_ms");
    let [event, log, window] = RANGES.map(|[first, last]| long(first).zip(long(last)));
    let range = |ends: Option<(&Int64Array, &Int64Array)>, row: usize| {
        ends.filter(|(first, _)| first.is_valid(row)).map(|(first, last)| (first.value(row), last.value(row)))
    };
    let file = |row: usize| File {
        path: paths.value(row).to_owned(),
        date: dates.value(row).to_owned(),
        rows: rows.value(row) as u64,
        bytes: bytes.value(row) as u64,
        sha256: digests.value(row).to_owned(),
        seqs: (first.value(row) as u64, last.value(row) as u64),
        level: levels.value(row) as u8,
        net: net.value(row),
        added_ms: added.filter(|added| added.is_valid(row)).map(|added| added.value(row)),
        event_time: range(event, row),
        log_time: range(log, row),
        quality_window: range(window, row),
    };
    Some((0..batch.num_rows()).map(file).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let file = |n: i64| File {
            path: format!("tables/x/{n}"),
            date: "2026-11-23".into(),
            rows: n as u64,
            bytes: 7,
            sha256: "ab".into(),
            seqs: (3, n as u64),
            level: 2,
            net: -n,
            added_ms: (n > 2).then_some(n),
            event_time: (n > 1).then_some((n, n + 1)),
            log_time: None,
            quality_window: Some((-5, n)),
        };
        let files: Vec<File> = (0..3000).map(file).collect();
        let bytes = encode("x", &files).unwrap();
        assert_eq!(bytes, encode("x", &files).unwrap());
        assert_eq!(decode(bytes.clone()).unwrap(), files);
        assert_eq!(decode(bytes.slice(..bytes.len() - 1)), None);
    }
}
