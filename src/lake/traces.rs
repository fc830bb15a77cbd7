//! What is left of a vehicle that is to be forgotten, wherever it is: in files that are nobody's any more, which are swept; and in any
//! object at all, which is the proof.
//!
//! A file that an erasure removed, and any other that no reader of the newest version needs and that has rows of the vehicle, goes
//! at once: no grace, and no time travel to it.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;

use crate::columns::tables::Table;
use crate::columns::whose::Whose;
use crate::lake::delta;
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{State, Violation, erasure, layout, roots};
use crate::lake::store::Lake;

/// Deletes what is left of it in files that are nobody's any more; `rest` is called now and then, and says whether to go on.
/// `false`: readers of the newest version may still want some, or the rest is for later.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn sweep(lake: &Lake, id: &str, whose: &Whose, mut rest: impl FnMut() -> bool) -> Result<bool, ReadError> {
    let listed: Vec<String> = lake.objects(layout::TABLES)?.map_ok(|object| object.path).try_collect().await?;
    let Some(state) = roots::state(lake).await? else { return Ok(true) };
    let Some(published) = delta::published_by(lake, &state).await? else { return Ok(true) };
    let Some(shown) = roots::after(lake, published.seq).await? else { return Ok(true) };
    let (mut gone, mut is_all) = removed(lake, &state, (id, whose.bound.seq), published.seq).await?;
    let (live, shown) = (live(lake, &state).await?, live(lake, &shown).await?);
    let beside = listed.into_iter().filter(|path| !live.contains(path) && is_nobodys(path, &state));
    for path in beside.collect::<Vec<_>>() {
        if !rest() {
            return Ok(false);
        }
        if gone.contains(&path) || !has_some(lake, &path, whose).await? {
            continue;
        }
        // Who reads the newest version sees it yet, whatever removed it.
        if shown.contains(&path) {
            is_all = false;
        } else {
            gone.insert(path);
        }
    }
    lake.delete(gone.into_iter().collect()).await?;
    lake.delete_leftovers(layout::TABLES, |name| layout::is_of_another(name, &state.run))?;
    Ok(is_all)
}

/// The paths of all live files.
async fn live(lake: &Lake, state: &State) -> Result<BTreeSet<String>, ReadError> {
    let mut paths = BTreeSet::new();
    for table in state.files.tables() {
        roots::each(lake, &state.files, table, |file| paths.extend([file.path.clone()])).await?;
    }
    Ok(paths)
}

/// The files that commits of an erasure removed, as far as a version says so; and whether that is all of them.
async fn removed(
    lake: &Lake,
    state: &State,
    (id, after): (&str, u64),
    published: u64,
) -> Result<(BTreeSet<String>, bool), ReadError> {
    let (mut gone, mut is_all) = (BTreeSet::new(), true);
    for (table, sum) in &state.erased {
        let mut next = Some(sum.last).filter(|last| *last > after);
        while let Some(seq) = next.take() {
            let (_, commit) = read::commit(lake, seq).await?;
            for (tidy, erased) in erasure::of(&commit).filter(|(tidy, _)| tidy.table == *table) {
                next = erased.last.filter(|last| *last > after);
                if tidy.request.as_deref() == Some(id) {
                    is_all &= seq <= published;
                    let files = commit.removed_by(tidy).into_iter().filter(|_| seq <= published);
                    gone.extend(files.map(|file| file.path.clone()));
                }
            }
        }
    }
    Ok((gone, is_all))
}

/// Whether a data file that is not live will not be: of the run that holds the claim, what it has written for its next commit may.
fn is_nobodys(path: &str, state: &State) -> bool {
    match layout::run_of(path) {
        None => false,
        Some(run) if run != state.run => true,
        Some(_) => layout::meant_for(path).is_none_or(|seq| seq <= state.seq),
    }
}

async fn has_some(lake: &Lake, path: &str, whose: &Whose) -> Result<bool, ReadError> {
    let Some((table, bytes)) = table_of(path).zip(lake.get(path).await?) else { return Ok(false) };
    // One that was cut off cannot be read by anybody.
    let Ok(batches) = batches(bytes) else { return Ok(true) };
    Ok(batches.iter().any(|rows| whose.meant(table, rows).contains(&true)))
}

fn table_of(path: &str) -> Option<Table> {
    Table::from_name(path.strip_prefix(layout::TABLES)?.strip_prefix('/')?.split('/').next()?)
}

fn batches(bytes: Bytes) -> Result<Vec<RecordBatch>, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
    reader.map_err(|why| why.to_string())?.collect::<Result<_, _>>().map_err(|why| why.to_string())
}

/// What a scan of all objects of a lake found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Objects that were read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that were decoded.
    pub rows: u64,
    /// Rows of it that came later: they are rows again.
    pub later: u64,
    /// Objects that still name it. None: it is forgotten.
    pub left: Vec<String>,
    /// Rows of others in which it stands as a word, by table and column.
    pub mentions: BTreeMap<String, u64>,
}

/// Reads every object of a lake, with what it decompresses and decodes to, but for the request `id`.
///
/// # Errors
/// The store's.
pub async fn proof(lake: &Lake, id: &str, whose: &Whose) -> Result<Proof, ReadError> {
    let mut proof = Proof::default();
    let mut objects = std::pin::pin!(lake.objects("")?);
    while let Some(object) = objects.try_next().await? {
        let path = object.path;
        let Some(bytes) = lake.get(&path).await?.filter(|_| path != layout::request(id)) else { continue };
        (proof.objects, proof.bytes) = (proof.objects + 1, proof.bytes + bytes.len() as u64);
        if proof.names_it(&path, bytes, whose)? {
            proof.left.push(path);
        }
    }
    proof.left.sort();
    Ok(proof)
}

impl Proof {
    /// Whether nothing is left.
    pub fn holds(&self) -> bool {
        self.left.is_empty()
    }

    fn names_it(&mut self, path: &str, bytes: Bytes, whose: &Whose) -> Result<bool, ReadError> {
        let broken = |why: String| Violation(format!("P2: {path}: {why}"));
        if path.ends_with(".zst") {
            let text = zstd::decode_all(&bytes[..]).map_err(|why| broken(why.to_string()))?;
            return Ok(whose.is_word_in(&text));
        }
        if !path.ends_with(".parquet") {
            return Ok(whose.is_word_in(&bytes));
        }
        let batches = batches(bytes.clone()).map_err(broken)?;
        self.rows += batches.iter().map(|rows| rows.num_rows() as u64).sum::<u64>();
        let Some(table) = table_of(path).filter(|_| layout::run_of(path).is_some()) else {
            return Ok(whose.is_word_in(&bytes) || batches.iter().any(|rows| !whose.mentions(rows).is_empty()));
        };
        self.judge(table, &bytes, &batches, whose).map_err(|why| broken(why.to_string()).into())
    }

    fn judge(
        &mut self,
        table: Table,
        bytes: &[u8],
        batches: &[RecordBatch],
        whose: &Whose,
    ) -> Result<bool, arrow::error::ArrowError> {
        let (mut later, mut mentioned) = (0, 0);
        for rows in batches {
            if whose.meant(table, rows).contains(&true) {
                return Ok(true);
            }
            let named = whose.named(table, rows);
            later += named.iter().filter(|named| **named).count() as u64;
            let others: BooleanArray = named.into_iter().map(|named| Some(!named)).collect();
            for (column, rows) in whose.mentions(&filter_record_batch(rows, &others)?) {
                mentioned += rows;
                *self.mentions.entry(format!("{}.{column}", table.name())).or_default() += rows;
            }
        }
        self.later += later;
        // Ranges and dictionaries are of rows: where none has it, they have not.
        Ok(later + mentioned == 0 && whose.is_word_in(bytes))
    }
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
