//! A portion's files to its records: read several at a time, filtered as they are decoded, and put in the order of offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use bytes::Bytes;
use citystream_dataflows::time::bindings::{Partition, Topic};
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter};
use tokio::sync::Semaphore;

use super::old::{OldFile, OldLake};
use super::portion::{Portion, Span};
use crate::columns::rebuild::{DeadRows, RawRows, conform, needed};
use crate::columns::row::column;
use crate::columns::tables::Table;
use crate::lake::digest;
use crate::source::SourceError;

/// Files that are read at the same time, and how much they hold together, or one that holds more.
const FILES: usize = 8;
const MIB: usize = 64;

/// Rows that were loaded together; partitions share them.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) raw: BTreeMap<Topic, RawRows>,
    pub(super) dead: Option<DeadRows>,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) row: u32,
    pub(super) is_dead: bool,
}

/// What was loaded.
pub(super) struct Loaded {
    pub(super) chunk: Arc<Chunk>,
    /// The records of each partition, by offset, and what they span.
    pub(super) parts: BTreeMap<Partition, (Span, Vec<Entry>)>,
}

type Spans = Arc<BTreeMap<Partition, Span>>;

/// Loads a portion.
///
/// # Errors
/// What is gone or damaged, unless losses are accepted.
pub(super) async fn load(old: &OldLake, portion: Portion) -> Result<Loaded, SourceError> {
    let Portion { spans, files, seqs, .. } = portion;
    let spans = Arc::new(spans);
    let mut chunk = Chunk::default();
    let mut entries: BTreeMap<Partition, Vec<Entry>> = BTreeMap::new();
    let mut is_whole = true;
    for (name, files) in files {
        let Some(table) = Table::from_name(name) else { continue };
        let (batches, is_all) = read(old, table, files, &spans).await?;
        is_whole &= is_all;
        let rows = concat_batches(&needed(table), &batches).map_err(|why| old.broken(&format!("{name}: {why}")))?;
        index(table, &rows, &mut entries)
            .and_then(|()| chunk.take(table, &rows))
            .map_err(|why| old.broken(&format!("{name}: {why}")))?;
    }
    let mut parts = BTreeMap::new();
    for (partition, span) in spans.iter() {
        let mut entries = entries.remove(partition).unwrap_or_default();
        entries.sort_unstable();
        let gone = old.gone(partition.topic, seqs).await;
        let erased = old.erased(*partition).await;
        let checked = check(old, *partition, *span, &entries, (gone.as_deref(), erased));
        checked.or_else(|why| if is_whole { old.lose(&why) } else { Ok(()) })?;
        parts.insert(*partition, (*span, entries));
    }
    Ok(Loaded { chunk: Arc::new(chunk), parts })
}

/// P4: the files hold the records that the bindings count, each once, but for those that are erased: they are no loss.
fn check(
    old: &OldLake,
    partition: Partition,
    span: Span,
    entries: &[Entry],
    (gone, erased): (Option<&str>, u64),
) -> Result<(), String> {
    let place = format!("{}: {}/{}", old.lake.location(), partition.topic.name(), partition.index);
    let (from, until, found) = (span.from.0, span.until.0, entries.len());
    if entries.windows(2).any(|pair| pair[0].offset == pair[1].offset) {
        return Err(format!("{place}: an offset from {from} to {until} is there twice"));
    }
    match (span.records, gone) {
        (Some(records), _) if records.checked_sub(found as u64).is_some_and(|missing| missing <= erased) => Ok(()),
        (Some(records), gone) => {
            let gone = gone.map_or_else(String::new, |gone| format!("; {gone}"));
            Err(format!(
                "{place}: from offset {from} to {until} its commits count {records} records, and {found} are there{gone}"
            ))
        }
        (None, Some(gone)) => Err(format!("{place}: from offset {from} to {until} records may be missing; {gone}")),
        (None, None) => Ok(()),
    }
}

impl Chunk {
    fn take(&mut self, table: Table, rows: &RecordBatch) -> Result<(), String> {
        match table {
            Table::Raw(topic) => drop(self.raw.insert(topic, RawRows::new(topic, rows)?)),
            _ => self.dead = Some(DeadRows::new(rows)?),
        }
        Ok(())
    }
}

/// Adds where the rows of a table are.
fn index(table: Table, rows: &RecordBatch, entries: &mut BTreeMap<Partition, Vec<Entry>>) -> Result<(), String> {
    let places = Places::of(table, rows).ok_or("a column of its records is missing")?;
    for row in 0..rows.num_rows() {
        if let Some((partition, offset)) = places.at(row) {
            let entry = Entry { offset, row: row as u32, is_dead: table == Table::DeadLetters };
            entries.entry(partition).or_default().push(entry);
        }
    }
    Ok(())
}

/// Where rows stood in the log.
struct Places<'a> {
    topic: Option<Topic>,
    topics: Option<&'a StringArray>,
    partitions: &'a Int32Array,
    offsets: &'a Int64Array,
}

impl<'a> Places<'a> {
    fn of(table: Table, rows: &'a RecordBatch) -> Option<Places<'a>> {
        Some(Places {
            topic: table.topic(),
            topics: column(rows, "topic"),
            partitions: column(rows, "partition")?,
            offsets: column(rows, "offset")?,
        })
    }

    fn at(&self, row: usize) -> Option<(Partition, i64)> {
        let topic = self.topic.or_else(|| Topic::named(self.topics?.value(row)))?;
        Some((Partition { topic, index: self.partitions.value(row) }, self.offsets.value(row)))
    }
}

/// The wanted rows of a table's files, and whether all of these were there and whole.
async fn read(
    old: &OldLake,
    table: Table,
    files: Vec<OldFile>,
    spans: &Spans,
) -> Result<(Vec<RecordBatch>, bool), SourceError> {
    let room = Semaphore::new(MIB);
    let reads = futures::stream::iter(files.into_iter().map(|file| read_file(old, table, file, spans, &room)));
    let read: Vec<Option<Vec<RecordBatch>>> = reads.buffered(FILES).try_collect().await?;
    let is_all = read.iter().all(Option::is_some);
    Ok((read.into_iter().flatten().flatten().collect(), is_all))
}

/// The wanted rows of a file; `None` if it is lost, and that is accepted.
async fn read_file(
    old: &OldLake,
    table: Table,
    file: OldFile,
    spans: &Spans,
    room: &Semaphore,
) -> Result<Option<Vec<RecordBatch>>, SourceError> {
    let mib = (file.bytes >> 20).clamp(1, MIB as u64) as u32;
    // Nobody closes it.
    let _room = room.acquire_many(mib).await.ok();
    let (lake, path) = (&old.lake, file.path.as_str());
    let lost = |why: &str| old.lose(&format!("{}: {} rows are lost: {why}", lake.address(path), file.rows));
    let Some(bytes) = old.patiently(|| async move { Ok(lake.get(path).await?) }).await? else {
        return lost("the file is gone").map(|()| None);
    };
    let (wanted, sha256) = (Arc::clone(spans), file.sha256.clone());
    let decoded = tokio::task::spawn_blocking(move || decode(table, bytes, sha256.as_deref(), wanted)).await;
    match decoded.map_err(|why| why.to_string()).flatten() {
        Ok(rows) => Ok(Some(rows)),
        Err(why) => lost(&why).map(|()| None),
    }
}

/// The wanted rows in the bytes of a file, a row group after the other.
fn decode(table: Table, bytes: Bytes, sha256: Option<&str>, spans: Spans) -> Result<Vec<RecordBatch>, String> {
    if sha256.is_some_and(|sha256| sha256 != digest(&bytes)) {
        return Err("its bytes are not those that were written".to_owned());
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|why| why.to_string())?;
    let parquet = builder.parquet_schema();
    let schema = needed(table);
    let mask = ProjectionMask::columns(parquet, schema.fields().iter().map(|field| field.name().as_str()));
    let places = ProjectionMask::columns(parquet, ["topic", "partition", "offset"]);
    let wanted = ArrowPredicateFn::new(places, move |rows| filter(table, &rows, &spans));
    let builder = builder.with_projection(mask).with_row_filter(RowFilter::new(vec![Box::new(wanted)]));
    let reader = builder.build().map_err(|why| why.to_string())?;
    reader.map(|rows| conform(table, &rows.map_err(|why| why.to_string())?)).collect()
}

fn filter(table: Table, rows: &RecordBatch, spans: &BTreeMap<Partition, Span>) -> Result<BooleanArray, ArrowError> {
    let missing = || ArrowError::SchemaError("a column of its records is missing".to_owned());
    let places = Places::of(table, rows).ok_or_else(missing)?;
    let is_wanted = |(partition, offset): (Partition, i64)| {
        spans.get(&partition).is_some_and(|span| (span.from.0..span.until.0).contains(&offset))
    };
    Ok((0..rows.num_rows()).map(|row| Some(places.at(row).is_some_and(is_wanted))).collect())
}
