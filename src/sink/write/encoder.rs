//! Rows in, Parquet files out. Synchronous and in memory: one encoder per worker, on a thread beside it.
//!
//! Rows wait in groups by table and date (raw rows: of log time, derived rows: of event time). A group of 128 Ki rows is sorted by event
//! time (dead letters by log time) and becomes a row group of the group's open file; a file that has reached its
//! target is closed and the next begins. [`Encoder::seal`] closes all of them. What is too little for a file of its own comes
//! out as [`Remainder`]s, most of it encoded already, for one encoder a table to collect: so a short commit makes no swarm of
//! tiny files, and who collects has little to do.

use std::collections::BTreeMap;

use arrow::array::{RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use citystream_dataflows::time::{DAY, Micros};

use super::EncodeError;
use super::group::{EncodedFile, Finished, Group};
use super::join::joined;
use super::properties::Properties;
use crate::columns::row::column;
use crate::columns::tables::Table;

/// How rows become files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderOptions {
    /// The bytes after which a file is closed, about.
    pub target_bytes: usize,
    /// Smaller files are left as remainders by [`Encoder::seal`].
    pub small_bytes: usize,
    /// Fewer rows of a group are left as they are: encoded, they would be mostly envelope.
    pub few_rows: usize,
}

impl Default for EncoderOptions {
    fn default() -> EncoderOptions {
        EncoderOptions { target_bytes: 128 << 20, small_bytes: 8 << 20, few_rows: 2048 }
    }
}

/// Too little for a file of its own.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum Remainder {
    /// Few rows of one table and date, as an Arrow IPC stream.
    Rows(Table, Bytes),
    /// A small file.
    File(EncodedFile),
}

impl Remainder {
    /// Its table.
    pub fn table(&self) -> Table {
        match self {
            Remainder::Rows(table, _) | Remainder::File(EncodedFile { table, .. }) => *table,
        }
    }
}

/// All rows since the last seal.
#[derive(Clone, Debug, Default)]
pub struct Sealed {
    /// Files.
    pub files: Vec<EncodedFile>,
    /// What is too little for files of their own.
    pub remainders: Vec<Remainder>,
}

/// Makes files of rows.
pub struct Encoder {
    options: EncoderOptions,
    /// By table.
    properties: Vec<Properties>,
    /// By table and days since 1970 of its day column.
    groups: BTreeMap<(Table, i64), Group>,
    finished: Vec<EncodedFile>,
}

impl Encoder {
    /// An encoder without rows.
    pub fn new(options: EncoderOptions) -> Result<Encoder, EncodeError> {
        let properties = Table::all().map(Properties::of).collect::<Result<_, _>>()?;
        Ok(Encoder { options, properties, groups: BTreeMap::new(), finished: Vec::new() })
    }

    /// Takes rows in the table's complete schema.
    pub fn append(&mut self, table: Table, batch: RecordBatch) -> Result<(), EncodeError> {
        for (day, rows) in by_day(batch, table.day_column())? {
            let group = self.groups.entry((table, day)).or_insert_with(|| Group::new(table));
            group.push(rows);
            if group.is_full(self.options.target_bytes) {
                let file = group.flush(&self.properties[table.index()], self.options.target_bytes)?;
                self.keep(table, day, file);
            }
        }
        Ok(())
    }

    /// Takes what another encoder had too little of.
    pub fn append_remainder(&mut self, remainder: Remainder) -> Result<(), EncodeError> {
        match remainder {
            Remainder::Rows(table, ipc) => {
                for batch in StreamReader::try_new(&*ipc, None)? {
                    self.append(table, batch?)?;
                }
            }
            Remainder::File(file) => self.finished.push(file),
        }
        Ok(())
    }

    /// Files that are complete before the seal; later ones do not have them again.
    pub fn take_files(&mut self) -> Vec<EncodedFile> {
        std::mem::take(&mut self.finished)
    }

    /// Makes files of all groups that have enough for one; the encoder is empty afterwards.
    pub fn seal(&mut self) -> Result<Sealed, EncodeError> {
        let mut remainders = Vec::new();
        for ((table, day), mut group) in std::mem::take(&mut self.groups) {
            if group.has_file() || group.rows() >= self.options.few_rows {
                self.seal_group(table, day, group)?;
            } else if group.rows() > 0 {
                remainders.push(few_rows(table, &mut group)?);
            }
        }
        let enough = self.options.small_bytes;
        let (files, small): (Vec<_>, Vec<_>) =
            self.take_files().into_iter().partition(|file| file.data.len() >= enough);
        remainders.extend(small.into_iter().map(Remainder::File));
        Ok(Sealed { files, remainders })
    }

    /// Makes files of everything, as few as the target allows; the encoder is empty afterwards.
    pub fn seal_all(&mut self) -> Result<Vec<EncodedFile>, EncodeError> {
        for ((table, day), group) in std::mem::take(&mut self.groups) {
            self.seal_group(table, day, group)?;
        }
        let parts = self.take_files();
        joined(parts, self.options.target_bytes, |table| &self.properties[table.index()].much)
    }

    /// Memory held, about.
    pub fn bytes(&self) -> usize {
        let finished: usize = self.finished.iter().map(|file| file.data.len()).sum();
        finished + self.groups.values().map(Group::bytes).sum::<usize>()
    }

    fn seal_group(&mut self, table: Table, day: i64, mut group: Group) -> Result<(), EncodeError> {
        let file = group.flush(&self.properties[table.index()], self.options.target_bytes)?;
        self.keep(table, day, file);
        let file = group.close()?;
        self.keep(table, day, file);
        Ok(())
    }

    fn keep(&mut self, table: Table, day: i64, file: Option<Finished>) {
        self.finished.extend(file.map(|file| file.named(table, date(day))));
    }
}

fn few_rows(table: Table, group: &mut Group) -> Result<Remainder, EncodeError> {
    let batch = group.take()?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    Ok(Remainder::Rows(table, writer.into_inner()?.into()))
}

/// The rows by the day of a column of times; nearly always it is one.
fn by_day(batch: RecordBatch, day_column: &str) -> Result<Vec<(i64, RecordBatch)>, EncodeError> {
    let Some(times) = column::<TimestampMicrosecondArray>(&batch, day_column) else {
        let error = format!("no column {day_column} of times");
        return Err(arrow::error::ArrowError::SchemaError(error).into());
    };
    let (Some(least), Some(greatest)) = (times.values().iter().min(), times.values().iter().max()) else {
        return Ok(Vec::new());
    };
    if day_of(*least) == day_of(*greatest) {
        return Ok(vec![(day_of(*least), batch)]);
    }
    let mut rows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (row, time) in times.values().iter().enumerate() {
        rows.entry(day_of(*time)).or_default().push(row as u32);
    }
    let part = |(day, rows)| Ok((day, take_record_batch(&batch, &UInt32Array::from(rows))?));
    rows.into_iter().map(part).collect()
}

fn day_of(time: Micros) -> i64 {
    time.div_euclid(DAY)
}

/// `YYYY-MM-DD` of days since 1970, in the Gregorian calendar however far away.
pub(super) fn date(day: i64) -> String {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March, so that a leap day comes last.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
