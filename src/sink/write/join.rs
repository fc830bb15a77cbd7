//! Small files of one table and date to one: their row groups as they are, one after the other. Nothing is encoded again.

use std::collections::BTreeMap;
use std::sync::Arc;

use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::EncodeError;
use super::group::{EncodedFile, widest};
use crate::columns::tables::Table;

/// As few files as may be, of at most `target` bytes but for those that were longer already; in them the parts are in the
/// order of their times.
pub(super) fn joined<'a>(
    parts: Vec<EncodedFile>,
    target: usize,
    properties: impl Fn(Table) -> &'a WriterProperties,
) -> Result<Vec<EncodedFile>, EncodeError> {
    let mut groups: BTreeMap<(Table, String), Vec<EncodedFile>> = BTreeMap::new();
    for part in parts {
        groups.entry((part.table, part.date.clone())).or_default().push(part);
    }
    let mut files = Vec::new();
    for ((table, _), mut parts) in groups {
        parts.sort_by_key(|part| (part.event_time, part.log_time));
        let mut file: Vec<EncodedFile> = Vec::new();
        for part in parts {
            let bytes: usize = file.iter().map(|part| part.data.len()).sum();
            if !file.is_empty() && bytes + part.data.len() > target {
                files.push(join(std::mem::take(&mut file), properties(table))?);
            }
            file.push(part);
        }
        files.push(join(file, properties(table))?);
    }
    Ok(files)
}

/// One file of parts of the same table and date.
fn join(mut parts: Vec<EncodedFile>, properties: &WriterProperties) -> Result<EncodedFile, ParquetError> {
    let mut whole = parts.swap_remove(0);
    if parts.is_empty() {
        return Ok(whole);
    }
    let room = whole.data.len() + parts.iter().map(|part| part.data.len()).sum::<usize>();
    let first = read_metadata(&whole)?;
    let schema = first.file_metadata().schema_descr().root_schema_ptr();
    let mut writer = SerializedFileWriter::new(Vec::with_capacity(room), schema, Arc::new(properties.clone()))?;
    append(&mut writer, &whole, &first)?;
    for part in &parts {
        append(&mut writer, part, &read_metadata(part)?)?;
        whole.rows += part.rows;
        whole.net += part.net;
        whole.event_time = widest(whole.event_time, part.event_time);
        whole.log_time = widest(whole.log_time, part.log_time);
        whole.quality_window = widest(whole.quality_window, part.quality_window);
    }
    whole.data = writer.into_inner()?.into();
    Ok(whole)
}

fn read_metadata(part: &EncodedFile) -> Result<ParquetMetaData, ParquetError> {
    ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required).parse_and_finish(&part.data)
}

/// Copies the row groups of a file, with what its indexes say of their pages.
fn append(
    writer: &mut SerializedFileWriter<Vec<u8>>,
    part: &EncodedFile,
    metadata: &ParquetMetaData,
) -> Result<(), ParquetError> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let pages = metadata.page_index_for_row_group(number);
        let mut copied = writer.next_row_group()?;
        for (index, column) in group.columns().iter().enumerate() {
            let close = ColumnCloseResult {
                bytes_written: column.compressed_size() as u64,
                rows_written: group.num_rows() as u64,
                metadata: column.clone(),
                bloom_filter: None,
                column_index: pages.column_index(index).cloned(),
                offset_index: pages.offset_index(index).cloned(),
            };
            copied.append_column(&part.data, close)?;
        }
        copied.close()?;
    }
    Ok(())
}
