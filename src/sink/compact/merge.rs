//! Sorted files to one sorted file, a slice of rows at a time.
//!
//! What is merged are row groups, each of which is in order: by time, changes by key, then as they came. A row group is opened
//! when its first row may be the next, so of a long file few are open. Of an open one there are some rows, and no reader:
//! a reader of some dozens of columns holds megabytes, so each time rows are wanted another one skips to them.

use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::interleave_record_batch;
use bytes::Bytes;
use citystream_dataflows::time::Micros;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::file::statistics::Statistics;

use super::EncodeError;
use crate::columns::row::column;
use crate::columns::tables::{ROW_KEY, Table, schema};
use crate::sink::tidy::{Adder, Pace, TidyError};
use crate::sink::write::group::{GROUP_ROWS, OpenFile, group_length};

/// Bytes of rows that are decoded at a time, of all inputs together, and that are put in order at a time, about.
const DECODED_BYTES: usize = 32 << 20;
const SLICE_BYTES: usize = 8 << 20;
/// And rows: of one input, and of all.
const DECODED_ROWS: usize = 8 * 1024;
const SLICE_ROWS: usize = 8 * 1024;
/// The first rows of an input, of which the length of others is guessed.
const FIRST_ROWS: usize = 256;
/// Bytes of a row group that is being written, about.
const GROUP_BYTES: usize = 32 << 20;

/// A file whose rows are merged.
pub struct Input {
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
}

impl Input {
    /// A file from its bytes.
    pub fn open(table: Table, bytes: Bytes) -> Result<Input, String> {
        let metadata = ArrowReaderMetadata::load(&bytes, Default::default()).map_err(|error| error.to_string())?;
        if metadata.schema().fields() != schema(table).fields() {
            return Err(format!("it has other columns than {}", table.name()));
        }
        Ok(Input { bytes, metadata })
    }

    fn rows(&self) -> usize {
        self.metadata.metadata().file_metadata().num_rows().max(0) as usize
    }

    /// Some rows of a row group from one on.
    fn rows_of(&self, group: usize, from: usize, count: usize) -> Result<Option<RecordBatch>, EncodeError> {
        let left = (self.metadata.metadata().row_group(group).num_rows().max(0) as usize).saturating_sub(from);
        if left == 0 {
            return Ok(None);
        }
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone());
        let count = count.min(left);
        let builder = builder.with_row_groups(vec![group]).with_offset(from).with_limit(count).with_batch_size(count);
        Ok(builder.build()?.next().transpose()?)
    }
}

/// Writes the rows of all inputs, and adds them up as they are read.
pub fn merge(
    table: Table,
    inputs: &[Input],
    (rows, pace): (&mut Adder, &mut Pace<'_>),
    file: &mut OpenFile,
) -> Result<(), TidyError> {
    let mut merge = Merge::new(table, inputs);
    let length = group_length(inputs.iter().map(Input::rows).sum()).max(GROUP_ROWS);
    while let Some(batch) = merge.next(rows)? {
        file.append(&batch)?;
        let (rows, bytes) = file.open_group();
        if rows >= length || bytes >= GROUP_BYTES {
            file.end_group()?;
        }
        pace.step()?;
    }
    Ok(file.end_group()?)
}

/// Row groups that are not open yet, and those that are.
struct Merge<'a> {
    table: Table,
    inputs: &'a [Input],
    /// Bytes that a row takes, about: of the longest rows so far.
    row_bytes: usize,
    /// Input and row group, by the time that no row of it is before; the next one last.
    closed: Vec<(Micros, usize, usize)>,
    runs: Vec<Run>,
    /// A heap of the runs that have a row: the next one first.
    heap: Vec<usize>,
    /// The batches of the slice that is put together.
    held: Vec<RecordBatch>,
}

/// A row group that is being read.
struct Run {
    /// Input and row group: what ties is in this order.
    from: (usize, usize),
    /// Rows that were decoded.
    read: usize,
    times: TimestampMicrosecondArray,
    /// Of changes.
    keys: Option<StringArray>,
    batch: RecordBatch,
    row: usize,
    /// Its batch's place in the slice, if a row of it is there.
    held: Option<usize>,
}

impl<'a> Merge<'a> {
    fn new(table: Table, inputs: &'a [Input]) -> Merge<'a> {
        let groups = |(input, of): (usize, &Input)| {
            let groups = 0..of.metadata.metadata().num_row_groups();
            groups.map(|group| (first_time(of, table, group), input, group)).collect::<Vec<_>>()
        };
        let mut closed: Vec<_> = inputs.iter().enumerate().flat_map(groups).collect();
        closed.sort_unstable_by(|one, other| other.cmp(one));
        let groups = inputs.iter().flat_map(|input| input.metadata.metadata().row_groups());
        let row_bytes = groups.map(|group| group.total_byte_size() / group.num_rows().max(1)).max().unwrap_or(0);
        let row_bytes = row_bytes.max(1) as usize;
        Merge { table, inputs, row_bytes, closed, runs: Vec::new(), heap: Vec::new(), held: Vec::new() }
    }

    /// The next rows.
    fn next(&mut self, rows: &mut Adder) -> Result<Option<RecordBatch>, TidyError> {
        let most = (SLICE_BYTES / self.row_bytes).clamp(64, SLICE_ROWS);
        let mut order = Vec::with_capacity(most);
        while order.len() < most {
            self.open_due(rows)?;
            let Some(run) = self.heap.first().copied() else { break };
            let Run { batch, held, row, .. } = &mut self.runs[run];
            let place = *held.get_or_insert_with(|| {
                self.held.push(batch.clone());
                self.held.len() - 1
            });
            order.push((place, *row));
            *row += 1;
            if *row == batch.num_rows() && !self.load(run, rows)? {
                self.heap.swap_remove(0);
            }
            self.sift(0);
        }
        if order.is_empty() {
            return Ok(None);
        }
        let held = std::mem::take(&mut self.held);
        self.runs.iter_mut().for_each(|run| run.held = None);
        let batches: Vec<&RecordBatch> = held.iter().collect();
        Ok(Some(interleave_record_batch(&batches, &order).map_err(EncodeError::from)?))
    }

    /// Opens the row groups whose first row may be the next.
    fn open_due(&mut self, rows: &mut Adder) -> Result<(), TidyError> {
        while let Some((first, input, group)) = self.closed.last().copied() {
            if self.heap.first().is_some_and(|run| self.runs[*run].time() < first) {
                break;
            }
            self.closed.pop();
            let batch = RecordBatch::new_empty(schema(self.table));
            let times = TimestampMicrosecondArray::new_null(0);
            let run = Run { from: (input, group), read: 0, times, keys: None, batch, row: 0, held: None };
            // The place of one that is over is free again.
            let free = (0..self.runs.len()).find(|place| !self.heap.contains(place));
            let place = free.unwrap_or(self.runs.len());
            match self.runs.get_mut(place) {
                Some(over) => *over = run,
                None => self.runs.push(run),
            }
            if self.load(place, rows)? {
                self.heap.push(place);
                self.rise();
            }
        }
        Ok(())
    }

    /// Decodes the next rows of a run; `false`: there are none.
    fn load(&mut self, run: usize, rows: &mut Adder) -> Result<bool, TidyError> {
        let Run { from: (input, group), read, batch, .. } = &self.runs[run];
        let most = if *read == 0 { FIRST_ROWS } else { DECODED_ROWS };
        let share = DECODED_BYTES / self.inputs.len();
        let count = (share / self.row_bytes).clamp(16, most);
        let next = match self.inputs[*input].rows_of(*group, *read, count)? {
            Some(next) => next,
            None => {
                // Its rows may be held for the slice, its batch not for longer.
                self.runs[run].batch = batch.slice(0, 0);
                return Ok(false);
            }
        };
        rows.add(&next).map_err(EncodeError::from)?;
        self.row_bytes = self.row_bytes.max(next.get_array_memory_size() / next.num_rows().max(1));
        self.runs[run].take(self.table, next)?;
        Ok(true)
    }

    fn is_before(&self, one: usize, other: usize) -> bool {
        self.runs[self.heap[one]].place() < self.runs[self.heap[other]].place()
    }

    /// Moves the last run of the heap up to where it belongs.
    fn rise(&mut self) {
        let mut at = self.heap.len() - 1;
        while at > 0 && self.is_before(at, (at - 1) / 2) {
            self.heap.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    /// Moves a run down to where it belongs.
    fn sift(&mut self, mut at: usize) {
        loop {
            let below = (2 * at + 1..self.heap.len().min(2 * at + 3))
                .reduce(|one, other| if self.is_before(other, one) { other } else { one });
            match below.filter(|below| self.is_before(*below, at)) {
                Some(below) => self.heap.swap(at, below),
                None => return,
            }
            at = below.unwrap_or(at);
        }
    }
}

impl Run {
    fn take(&mut self, table: Table, batch: RecordBatch) -> Result<(), TidyError> {
        let times: Option<&TimestampMicrosecondArray> = column(&batch, table.sort_column());
        self.times = times.cloned().ok_or_else(|| TidyError::Refused(format!("{} has no times", table.name())))?;
        self.keys = column::<StringArray>(&batch, ROW_KEY).cloned();
        self.read += batch.num_rows();
        (self.batch, self.row, self.held) = (batch, 0, None);
        Ok(())
    }

    fn time(&self) -> Micros {
        self.times.value(self.row)
    }

    /// What the next row goes by.
    fn place(&self) -> (Micros, Option<&str>, (usize, usize)) {
        (self.time(), self.keys.as_ref().map(|keys| keys.value(self.row)), self.from)
    }
}

/// The least time in a row group, as it says; where it does not, it is opened first.
fn first_time(input: &Input, table: Table, group: usize) -> Micros {
    let columns = input.metadata.metadata().row_group(group).columns();
    let chunk = columns.iter().find(|chunk| chunk.column_path().string() == table.sort_column());
    match chunk.and_then(|chunk| chunk.statistics()) {
        Some(Statistics::Int64(statistics)) => statistics.min_opt().copied().unwrap_or(Micros::MIN),
        _ => Micros::MIN,
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
