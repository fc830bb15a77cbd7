//! The rows of one table and one date that wait to be written, and the file they go to.

use arrow::array::{Array, ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::{interleave_record_batch, max, min};
use bytes::Bytes;
use citystream_dataflows::time::Micros;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::properties::WriterProperties;

use super::EncodeError;
use super::properties::Properties;
use crate::columns::row::column;
use crate::columns::tables::{DIFF, LOG_TIME, QUALITY_WINDOW, ROW_KEY, Table, schema};
use crate::lake::digest;
use crate::lake::history::commit::File;

/// One Parquet file.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct EncodedFile {
    /// Its table.
    pub table: Table,
    /// Its date, `YYYY-MM-DD`.
    pub date: String,
    /// Its rows.
    pub rows: u64,
    /// What its rows add up to: changes by their `diff`, any other row as one.
    pub net: i64,
    /// Its least and greatest event time; `None` for dead letters.
    pub event_time: Option<(Micros, Micros)>,
    /// Its least and greatest log time; `None` for derived tables.
    pub log_time: Option<(Micros, Micros)>,
    /// Its least and greatest window of data quality; `None` where no row has one.
    pub quality_window: Option<(Micros, Micros)>,
    /// Its bytes.
    pub data: Bytes,
}

impl EncodedFile {
    /// What a commit says of it: at a path, with rows of these commits, which have been packed so often.
    pub fn describe(&self, path: String, seqs: (u64, u64), level: u8) -> File {
        File {
            path,
            date: self.date.clone(),
            rows: self.rows,
            bytes: self.data.len() as u64,
            sha256: digest(&self.data),
            seqs,
            level,
            net: self.net,
            event_time: self.event_time,
            log_time: self.log_time,
            quality_window: self.quality_window,
            added_ms: None,
        }
    }
}

/// The rows of a row group, at least; twice as many at most.
pub(in crate::sink) const GROUP_ROWS: usize = 128 * 1024;
/// The rows that are put in order at a time.
const SLICE: usize = 8 * 1024;
/// The bytes of rows that wait, about: long rows make smaller row groups.
const GROUP_BYTES: usize = 96 << 20;

/// Rows that wait, and an open file if some were written.
pub(super) struct Group {
    table: Table,
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
    file: Option<OpenFile>,
}

/// A file that rows are written to.
pub(in crate::sink) struct OpenFile {
    table: Table,
    writer: ArrowWriter<Vec<u8>>,
    rows: u64,
    net: i64,
    event_time: Option<(Micros, Micros)>,
    log_time: Option<(Micros, Micros)>,
    quality_window: Option<(Micros, Micros)>,
}

impl Group {
    pub(super) fn new(table: Table) -> Group {
        Group { table, batches: Vec::new(), rows: 0, bytes: 0, file: None }
    }

    /// Rows that wait.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Memory held, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.file.as_ref().map_or(0, |file| file.writer.inner().capacity() + file.writer.memory_size())
    }

    pub(super) fn push(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
    }

    /// Whether no more rows are to wait; where files are small, so are row groups.
    pub(super) fn is_full(&self, target: usize) -> bool {
        self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES.min(target)
    }

    /// Writes all rows that wait. Returns the file when it has reached `target` bytes.
    pub(super) fn flush(&mut self, properties: &Properties, target: usize) -> Result<Option<Finished>, EncodeError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let sorted = self.sorted();
        let batches = std::mem::take(&mut self.batches);
        self.rows = 0;
        self.bytes = 0;
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let bytes = batches.iter().flat_map(RecordBatch::columns).map(bytes_of).sum();
                none.insert(OpenFile::new(self.table, properties.for_bytes(bytes), 0)?)
            }
        };
        file.write(&batches, &sorted)?;
        if file.writer.bytes_written() >= target { self.close() } else { Ok(None) }
    }

    /// Closes the file, if one is open.
    pub(super) fn close(&mut self) -> Result<Option<Finished>, EncodeError> {
        self.file.take().map(OpenFile::finish).transpose()
    }

    /// Takes the rows that wait as one sorted batch.
    pub(super) fn take(&mut self) -> Result<RecordBatch, EncodeError> {
        let order = pairs(&self.sorted());
        let batches = std::mem::take(&mut self.batches);
        self.rows = 0;
        self.bytes = 0;
        interleave(self.table, &batches, &order)
    }

    /// The order of all rows by time: as they came where that ties, changes by key. Which change comes first is up to hash
    /// maps under a key that each run draws anew, and must not show. Fast where the batches are runs that rise already.
    fn sorted(&self) -> Vec<Place> {
        let mut places = Vec::with_capacity(self.rows);
        for (batch, columns) in self.batches.iter().enumerate() {
            let times = column::<TimestampMicrosecondArray>(columns, self.table.sort_column());
            let place = |(row, time): (usize, &Micros)| Place { time: *time, batch: batch as u32, row: row as u32 };
            places.extend(times.iter().flat_map(|times| times.values().iter().enumerate().map(place)));
        }
        let keys = self.batches.iter().map(|batch| column::<StringArray>(batch, ROW_KEY));
        match keys.collect::<Option<Vec<_>>>() {
            None => places.sort_by_key(|place| place.time),
            Some(keys) => {
                let key = |place: &Place| keys[place.batch as usize].value(place.row as usize);
                places.sort_by(|one, other| one.time.cmp(&other.time).then_with(|| key(one).cmp(key(other))));
            }
        }
        places
    }
}

/// The bytes of the values themselves: an array may be a part of more.
fn bytes_of(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or(usize::MAX >> 8)
}

/// A row's time and where it stands.
#[derive(Clone, Copy)]
struct Place {
    time: Micros,
    batch: u32,
    row: u32,
}

/// The rows of each row group when so many are written at once: about equal, and below twice the least.
pub(in crate::sink) fn group_length(rows: usize) -> usize {
    rows.div_ceil((rows / GROUP_ROWS).max(1)).max(1)
}

fn pairs(places: &[Place]) -> Vec<(usize, usize)> {
    places.iter().map(|place| (place.batch as usize, place.row as usize)).collect()
}

fn interleave(table: Table, batches: &[RecordBatch], order: &[(usize, usize)]) -> Result<RecordBatch, EncodeError> {
    if batches.is_empty() {
        return Ok(RecordBatch::new_empty(schema(table)));
    }
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    Ok(interleave_record_batch(&batches, order)?)
}

/// A file without its table and date.
pub(in crate::sink) struct Finished {
    rows: u64,
    net: i64,
    event_time: Option<(Micros, Micros)>,
    log_time: Option<(Micros, Micros)>,
    quality_window: Option<(Micros, Micros)>,
    data: Vec<u8>,
}

impl Finished {
    pub(in crate::sink) fn named(self, table: Table, date: String) -> EncodedFile {
        let Finished { rows, net, event_time, log_time, quality_window, data } = self;
        EncodedFile { table, date, rows, net, event_time, log_time, quality_window, data: data.into() }
    }
}

impl OpenFile {
    /// A file without rows, with room for so many bytes.
    pub(in crate::sink) fn new(
        table: Table,
        properties: &WriterProperties,
        room: usize,
    ) -> Result<OpenFile, EncodeError> {
        let options = ArrowWriterOptions::new().with_properties(properties.clone()).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::with_capacity(room), schema(table), options)?;
        Ok(OpenFile { table, writer, rows: 0, net: 0, event_time: None, log_time: None, quality_window: None })
    }

    /// Writes rows in their order, in row groups of about equal length. A slice at a time: of rows that wait there is no
    /// second copy.
    fn write(&mut self, batches: &[RecordBatch], sorted: &[Place]) -> Result<(), EncodeError> {
        for group in sorted.chunks(group_length(sorted.len())) {
            for slice in group.chunks(SLICE) {
                self.append(&interleave(self.table, batches, &pairs(slice))?)?;
            }
            self.end_group()?;
        }
        Ok(())
    }

    /// Writes rows of the open row group, in their order.
    pub(in crate::sink) fn append(&mut self, rows: &RecordBatch) -> Result<(), EncodeError> {
        self.writer.write(rows)?;
        self.rows += rows.num_rows() as u64;
        let diffs = column::<Int32Array>(rows, DIFF);
        self.net += diffs.map_or(rows.num_rows() as i64, |diffs| diffs.values().iter().map(|n| i64::from(*n)).sum());
        let event_time = Some(self.table.sort_column()).filter(|column| *column != LOG_TIME);
        let ranges = [(LOG_TIME, &mut self.log_time), (QUALITY_WINDOW, &mut self.quality_window)];
        for (name, range) in event_time.map(|name| (name, &mut self.event_time)).into_iter().chain(ranges) {
            let Some(times) = column::<TimestampMicrosecondArray>(rows, name) else { continue };
            if let (Some(least), Some(greatest)) = (min(times), max(times)) {
                *range = Some(widened(*range, least, greatest));
            }
        }
        Ok(())
    }

    /// Ends the open row group.
    pub(in crate::sink) fn end_group(&mut self) -> Result<(), EncodeError> {
        Ok(self.writer.flush()?)
    }

    /// Rows of the open row group, and the bytes that they take, about.
    pub(in crate::sink) fn open_group(&self) -> (usize, usize) {
        (self.writer.in_progress_rows(), self.writer.in_progress_size())
    }

    /// The file.
    pub(in crate::sink) fn finish(self) -> Result<Finished, EncodeError> {
        let OpenFile { writer, rows, net, event_time, log_time, quality_window, .. } = self;
        Ok(Finished { rows, net, event_time, log_time, quality_window, data: writer.into_inner()? })
    }
}

fn widened(range: Option<(Micros, Micros)>, least: Micros, greatest: Micros) -> (Micros, Micros) {
    range.map_or((least, greatest), |(first, last)| (first.min(least), last.max(greatest)))
}

/// The range that holds both.
pub(super) fn widest(one: Option<(Micros, Micros)>, other: Option<(Micros, Micros)>) -> Option<(Micros, Micros)> {
    other.map_or(one, |(least, greatest)| Some(widened(one, least, greatest)))
}
