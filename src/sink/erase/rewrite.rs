//! One file without some rows: the others are as they were, in the row groups and in the order that they had.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use citystream_dataflows::tables::Fields;
use citystream_dataflows::time::bindings::{Partition, Topic};
use citystream_dataflows::time::disposition::Disposition;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};

use crate::columns::row::Row;
use crate::columns::tables::{DIFF, ROW_KEY, Table, schema};
use crate::columns::whose::Whose;
use crate::lake::Lake;
use crate::lake::history::commit::{Count, File};
use crate::sink::tidy::{Adder, Pace, Sum, TidyError, sound};
use crate::sink::write::group::OpenFile;
use crate::sink::write::{EncodeError, Properties};

/// Which rows go.
type Goes<'a> = dyn Fn(&RecordBatch) -> Vec<bool> + 'a;

/// Rows that are decoded at a time.
const ROWS: usize = 4096;

/// A file, and what takes its place.
#[derive(Debug)]
pub(super) struct Rewrite {
    pub(super) table: Table,
    pub(super) removed: File,
    /// `None`: nothing is left.
    pub(super) added: Option<File>,
    pub(super) counts: Vec<Count>,
}

/// Makes a file without a vehicle's records, or the rows of these keys, at `path`.
///
/// # Errors
/// A damaged file is named; the store's.
pub(super) async fn rewrite(
    lake: &Lake,
    (table, removed): (Table, File),
    path: String,
    (whose, keys): (&Whose, Option<&HashSet<String>>),
    pace: &mut Pace<'_>,
) -> Result<Rewrite, TidyError> {
    let bytes = sound(&removed, lake.get(&removed.path).await?)?;
    let goes = |rows: &RecordBatch| match keys {
        Some(keys) => (0..rows.num_rows()).map(|row| has_key(Row { batch: rows, row }, keys)).collect(),
        None => whose.meant(table, rows),
    };
    let mut counts = Counts { table, date: &removed.date, kinds: BTreeMap::new() };
    let (kept, made) = without(table, &removed, bytes, (&goes, &mut counts), pace)?;
    let Some(made) = made else { return Ok(Rewrite { table, added: None, counts: counts.all(), removed }) };
    let counts = counts.all();
    let made = made.finish()?.named(table, removed.date.clone());
    let mut found = adder(table)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(made.data.clone()).map_err(EncodeError::from)?;
    for rows in reader.with_batch_size(ROWS).build().map_err(EncodeError::from)? {
        found.add(&rows.map_err(EncodeError::from)?).map_err(EncodeError::from)?;
        pace.step()?;
    }
    // T2, T4: it holds what was read and stays, and with what goes that is all.
    let gone: u64 = counts.iter().map(|count| count.rows).sum();
    match found.sum.seqs() {
        Some(seqs) if found.sum == kept && made.rows + gone == removed.rows => {
            let added = made.describe(path, seqs, removed.level);
            lake.put(&added.path, made.data).await?;
            Ok(Rewrite { table, added: Some(added), counts, removed })
        }
        _ => Err(TidyError::Refused(format!("T4: {}: {kept:?} was to stay, {:?} is written", removed.path, found.sum))),
    }
}

/// The rows that stay, and a file of them, if there are some.
fn without(
    table: Table,
    file: &File,
    bytes: Bytes,
    (goes, counts): (&Goes<'_>, &mut Counts<'_>),
    pace: &mut Pace<'_>,
) -> Result<(Sum, Option<OpenFile>), TidyError> {
    let damaged = |why: String| TidyError::Damaged { path: file.path.clone(), why };
    let metadata = ArrowReaderMetadata::load(&bytes, Default::default()).map_err(|why| damaged(why.to_string()))?;
    if metadata.schema().fields() != schema(table).fields() {
        return Err(damaged(format!("it has other columns than {}", table.name())));
    }
    let properties = Properties::of(table).map_err(EncodeError::from)?;
    let mut made = OpenFile::new(table, &properties.much, bytes.len())?;
    let (mut kept, mut is_any) = (adder(table)?, false);
    for group in 0..metadata.metadata().num_row_groups() {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata.clone());
        let rows = builder.with_row_groups(vec![group]).with_batch_size(ROWS).build();
        for rows in rows.map_err(|why| damaged(why.to_string()))? {
            let rows = rows.map_err(|why| damaged(why.to_string()))?;
            let goes = goes(&rows);
            counts.take(&rows, &goes);
            let stays: BooleanArray = goes.iter().map(|goes| Some(!goes)).collect();
            let stays = filter_record_batch(&rows, &stays).map_err(EncodeError::from)?;
            if stays.num_rows() > 0 {
                is_any = true;
                kept.add(&stays).map_err(EncodeError::from)?;
                made.append(&stays)?;
            }
            pace.step()?;
        }
        made.end_group()?;
    }
    Ok((kept.sum, Some(made).filter(|_| is_any)))
}

fn has_key(row: Row<'_>, keys: &HashSet<String>) -> bool {
    row.text(ROW_KEY).is_some_and(|key| keys.contains(key))
}

fn adder(table: Table) -> Result<Adder, EncodeError> {
    Ok(Adder::new(&schema(table))?)
}

/// Rows that go, by kind.
struct Counts<'a> {
    table: Table,
    date: &'a str,
    kinds: BTreeMap<(Option<Partition>, Option<Disposition>), Count>,
}

impl Counts<'_> {
    fn take(&mut self, rows: &RecordBatch, goes: &[bool]) {
        let gone = (0..rows.num_rows()).filter(|row| goes[*row]).map(|row| Row { batch: rows, row });
        for row in gone {
            let kind = kind(self.table, row);
            let (date, (place, disposition)) = (self.date.to_owned(), kind);
            let count =
                self.kinds.entry(kind).or_insert_with(|| Count { date, place, disposition, ..Count::default() });
            let diff = row.int(DIFF).map_or(1, i64::from);
            (count.rows, count.net) = (count.rows + 1, count.net + diff);
            let totals = self.table.derived().into_iter().flat_map(|table| table.declaration().totals);
            for column in totals.filter_map(|total| total.column) {
                *count.sums.entry(column.to_owned()).or_default() += diff * row.long(column).unwrap_or(0);
            }
        }
    }

    fn all(self) -> Vec<Count> {
        self.kinds.into_values().collect()
    }
}

/// Of a record: where it stood in the log, and what it is.
fn kind(table: Table, row: Row<'_>) -> (Option<Partition>, Option<Disposition>) {
    if table.derived().is_some() {
        return (None, None);
    }
    let topic = table.topic().or_else(|| Topic::named(row.text("topic")?));
    let place = topic.zip(row.int("partition")).map(|(topic, index)| Partition { topic, index });
    (place, row.text("disposition").and_then(Disposition::from_name))
}
