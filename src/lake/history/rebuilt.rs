//! Objects that can be rebuilt from the commits: how a batch becomes a small Parquet file, and how any is written.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use crate::lake::history::Violation;
use crate::lake::history::error::ReadError;
use crate::lake::store::error::StoreError;
use crate::lake::store::{Lake, Stored};

/// How a Parquet file ends.
const MAGIC: [u8; 4] = *b"PAR1";

/// Fewer rows are not compressed: to make a compressor for each column takes longer than to write it.
const FEW: usize = 64;

/// A batch as a Parquet file: a function of it.
///
/// # Errors
/// A column that Parquet does not have.
pub(in crate::lake) fn encode(batch: &RecordBatch) -> Result<Bytes, ArrowError> {
    let properties = match batch.num_rows() {
        ..FEW => properties().set_compression(Compression::UNCOMPRESSED),
        _ => properties(),
    };
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build()))?;
    writer.write(batch)?;
    Ok(writer.into_inner()?.into())
}

/// How they are written.
pub(in crate::lake) fn properties() -> WriterPropertiesBuilder {
    let compression = Compression::ZSTD(ZstdLevel::default());
    WriterProperties::builder().set_created_by("citystream".into()).set_compression(compression)
}

/// The batch that was encoded.
///
/// # Errors
/// These are not the bytes of one.
pub(in crate::lake) fn decode(bytes: Bytes) -> Result<RecordBatch, ArrowError> {
    let (schema, batches) = batches(bytes)?;
    concat_batches(&schema, &batches.collect::<Result<Vec<_>, _>>()?)
}

/// The same, some rows at a time.
///
/// # Errors
/// As above.
pub(in crate::lake) fn batches(bytes: Bytes) -> Result<(SchemaRef, ParquetRecordBatchReader), ArrowError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    Ok((reader.schema().clone(), reader.build()?))
}

/// Whether there is a Parquet file that was written to its end.
///
/// # Errors
/// The store's.
pub(in crate::lake) async fn is_whole(lake: &Lake, path: &str) -> Result<bool, StoreError> {
    Ok(lake.tail(path, MAGIC.len() as u64).await?.is_some_and(|end| *end == MAGIC))
}

/// Writes bytes that are a function of the history, over whatever is there, and reads them back.
pub(super) async fn put(lake: &Lake, path: &str, bytes: Bytes) -> Result<(), ReadError> {
    match lake.put_same(path, bytes.clone()).await? {
        // An earlier writer was of another version, or its object was damaged: this one is right.
        Stored::Other(_) => lake.put(path, bytes.clone()).await?,
        Stored::Same => {}
    }
    match lake.get(path).await? {
        Some(found) if found == bytes => Ok(()),
        _ => Err(Violation(format!("P2: {path} reads back otherwise than it was written")).into()),
    }
}
