//! Some files of one table and date to one: the same rows, `seq` and `epoch` included.
//!
//! The inputs' digests are checked first. What was read is added up row by row, and so is what the finished file is decoded to:
//! only if both are the same (T2) the file is made durable. It counts once a commit names it; until then it is an orphan.

use bytes::Bytes;
use futures::StreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::EncodeError;
use super::merge::{Input, merge};
use crate::columns::tables::{Table, schema};
use crate::lake::Lake;
use crate::lake::history::commit::File;
use crate::sink::tidy::{Adder, Pace, Sum, TidyError, sound};
use crate::sink::write::group::OpenFile;
use crate::sink::write::{EncodedFile, Properties};

/// How many files are read at the same time.
const READ_AHEAD: usize = 8;
/// Rows of the finished file that are decoded at a time.
const CHECKED_ROWS: usize = 4096;

/// Files, and the one that is to take their place.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Their table.
    pub table: Table,
    /// Those that go.
    pub removed: Vec<File>,
    /// The one that comes.
    pub added: File,
}

/// Makes files of one table and date one, at `path`.
///
/// # Errors
/// A damaged file is named; without it the others may be packed.
pub async fn pack(
    lake: &Lake,
    (table, removed): (Table, Vec<File>),
    path: String,
    pace: &mut Pace<'_>,
) -> Result<Pack, TidyError> {
    let gets = removed.iter().map(|file| async move { (file, lake.get(&file.path).await) });
    let mut gets = futures::stream::iter(gets.collect::<Vec<_>>()).buffered(READ_AHEAD);
    let mut inputs = Vec::new();
    while let Some((file, bytes)) = gets.next().await {
        // To wait for a store takes no core.
        pace.begin();
        inputs.push(open(table, file, bytes?)?);
        pace.step()?;
    }
    drop(gets);
    let room = removed.iter().map(|file| file.bytes as usize).sum();
    let properties = Properties::of(table).map_err(EncodeError::from)?;
    // What was packed before is compressed: its rows are more.
    let is_first = removed.iter().all(|file| file.level == 0);
    let properties = if is_first { properties.for_bytes(room) } else { &properties.much };
    let mut made = OpenFile::new(table, properties, room)?;
    let mut taken = adder(table)?;
    merge(table, &inputs, (&mut taken, pace), &mut made)?;
    drop(inputs);
    let date = removed.first().map(|file| file.date.clone()).unwrap_or_default();
    let made = made.finish()?.named(table, date);
    let seqs = check(&made, &taken.sum, pace)?;
    let added = made.describe(path, seqs, File::sum(&removed).level + 1);
    lake.put(&added.path, made.data).await?;
    Ok(Pack { table, removed, added })
}

fn open(table: Table, file: &File, bytes: Option<Bytes>) -> Result<Input, TidyError> {
    let damaged = |why: String| TidyError::Damaged { path: file.path.clone(), why };
    Input::open(table, sound(file, bytes)?).map_err(damaged)
}

/// T2: the file holds what was read. The commits that its rows are of.
fn check(made: &EncodedFile, taken: &Sum, pace: &mut Pace<'_>) -> Result<(u64, u64), TidyError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(made.data.clone()).map_err(EncodeError::from)?;
    let mut found = adder(made.table)?;
    for rows in builder.with_batch_size(CHECKED_ROWS).build().map_err(EncodeError::from)? {
        found.add(&rows.map_err(EncodeError::from)?).map_err(EncodeError::from)?;
        pace.step()?;
    }
    let (date, table) = (&made.date, made.table.name());
    match found.sum.seqs() {
        Some(seqs) if found.sum == *taken => Ok(seqs),
        _ => Err(TidyError::Refused(format!("T2: {table} of {date}: {taken:?} was read, {:?} written", found.sum))),
    }
}

fn adder(table: Table) -> Result<Adder, EncodeError> {
    Ok(Adder::new(&schema(table))?)
}
