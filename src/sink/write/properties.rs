//! How each column is written. The choices were measured (`benches/README.md`).

use arrow::datatypes::{DataType, Field};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::columns::tables::{self, LOG_TIME, QUALITY_WINDOW, Table};

/// A file with fewer bytes of rows is little.
const LITTLE: usize = 32 << 10;

/// The writer properties of a table's files, by how much is in them.
pub(in crate::sink) struct Properties {
    little: WriterProperties,
    pub(in crate::sink) much: WriterProperties,
}

impl Properties {
    /// A little file is packed soon, or stays little. A compressor for a column takes longer than to write it, but for text that hardly
    /// repeats; and what helps to leave out a part of a column would be a third of the file.
    pub(in crate::sink) fn of(table: Table) -> Result<Properties, ParquetError> {
        let much = much(table)?;
        let (compression, little) = (compression()?, much.clone().into_builder());
        let little = little.set_compression(Compression::UNCOMPRESSED).set_statistics_enabled(EnabledStatistics::None);
        let little = tables::schema(table).fields().iter().fold(little, |builder, field| {
            let path = ColumnPath::from(field.name().as_str());
            let is_sought = is_sought(table, field.name());
            let statistics = if is_sought { much.statistics_enabled(&path) } else { EnabledStatistics::None };
            let builder = builder.set_column_statistics_enabled(path.clone(), statistics);
            if is_nearly_unique(field.name()) { builder.set_column_compression(path, compression) } else { builder }
        });
        Ok(Properties { little: little.build(), much })
    }

    /// Those of a file that begins with so many bytes of rows.
    pub(in crate::sink) fn for_bytes(&self, bytes: usize) -> &WriterProperties {
        if bytes < LITTLE { &self.little } else { &self.much }
    }
}

/// The writer properties of files of much.
fn much(table: Table) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("citystream ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(compression()?)
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_dictionary_enabled(true);
    for field in tables::schema(table).fields() {
        builder = column(builder, table, field);
    }
    Ok(builder.build())
}

fn compression() -> Result<Compression, ParquetError> {
    Ok(Compression::ZSTD(ZstdLevel::try_new(1)?))
}

fn column(builder: WriterPropertiesBuilder, table: Table, field: &Field) -> WriterPropertiesBuilder {
    let path = ColumnPath::from(field.name().as_str());
    match field.data_type() {
        // Sorted, or rising with it: differences are small.
        DataType::Timestamp(..) => {
            let pages = if is_sought(table, field.name()) { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
            builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
                .set_column_statistics_enabled(path, pages)
        }
        DataType::Int64 if field.name() == "offset" => builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
        DataType::Float64 => builder.set_column_dictionary_enabled(path, false),
        _ if is_nearly_unique(field.name()) => builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None),
        _ => builder,
    }
}

/// What rows are asked for by, most of all: times, and the commit.
fn is_sought(table: Table, column: &str) -> bool {
    [table.sort_column(), LOG_TIME, QUALITY_WINDOW, "seq"].contains(&column)
}

/// Text that hardly repeats: a dictionary would cost more than it saves, and its range says nothing.
fn is_nearly_unique(column: &str) -> bool {
    matches!(column, "id" | "row_key" | "key" | "snapshot" | "extra" | "payload" | "detail")
}
