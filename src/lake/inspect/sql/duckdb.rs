//! DuckDB needs no extension on a local lake: the live files are those of the newest root's parts and of the commits after
//! it, read once into variables, so that all tables are of one commit. A table without rows yet is an empty view.

use arrow::datatypes::DataType;

use super::{Contents, quoted};
use crate::columns::tables::schema;
use crate::lake::history::layout;
use crate::lake::store::Lake;
use crate::lake::store::StoreOptions;

/// DuckDB statements that make a view of each table, all of the same commit; run again, they show the newest one.
pub fn duckdb(lake: &Lake, options: &StoreOptions, contents: &Contents) -> String {
    let root = quoted(lake.location());
    let mut sql = String::from(
        "-- DuckDB: one commit of the lake as views; paste again for the newest.\nSET TimeZone = 'UTC';\n",
    );
    if lake.local_root().is_none() {
        sql += &secret(options);
    }
    sql += &format!("SET VARIABLE lake = '{root}';\n{}", live_files());
    sql += &live_rows();
    for (table, schema) in contents.tables().map(|table| (table.name(), schema(table))) {
        let columns: Vec<_> = schema
            .fields()
            .iter()
            .map(|f| format!("NULL::{} AS \"{}\"", duckdb_type(f.data_type()), f.name()))
            .collect();
        sql += &format!(
            "SET VARIABLE {table}_files = (SELECT lake_files('{table}'));\n\
             CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM query(if(getvariable('{table}_files') IS NULL,\n\
             \x20 'SELECT {}, NULL::DATE AS {} LIMIT 0',\n\
             \x20 'SELECT * FROM read_parquet(getvariable(''{table}_files''), hive_partitioning = true)'));\n",
            columns.join(", "),
            layout::date_column(table)
        );
    }
    sql += &contents.views_of_now("CREATE OR REPLACE TEMP VIEW", '"');
    sql += "CREATE OR REPLACE TEMP VIEW commits AS SELECT * FROM read_parquet(getvariable('commits_files'))\n\
         \x20 WHERE seq <= (SELECT coalesce(max(seq), parse_filename(getvariable('lake_root'), true)::UBIGINT) FROM lake_commits);\n";
    sql
}

/// The files of the table of commits, without those that a file of more versions has the rows of.
fn live_rows() -> String {
    let commits = layout::table(layout::COMMITS_TABLE);
    format!(
        "SET VARIABLE commits_files = (WITH files AS (SELECT file, parse_filename(file, true)[:20] AS last,\n\
         \x20 coalesce(nullif(split_part(parse_filename(file, true), '-', 2), '')::INT, 1) AS versions\n\
         \x20 FROM glob(getvariable('lake') || '/{commits}/*.parquet'))\n\
         \x20 SELECT list(file ORDER BY last) FROM files WHERE last > coalesce((SELECT max(whole.last)\n\
         \x20 FROM files AS whole WHERE whole.versions > files.versions), ''));\n"
    )
}

/// What makes `lake_files` known, by the name of a table.
fn live_files() -> String {
    let (commits, roots) = (layout::COMMITS, layout::SNAPSHOTS);
    let files = "MAP(VARCHAR, STRUCT(path VARCHAR)[])";
    let json = "format = ''newline_delimited'', maximum_object_size = 268435456";
    format!(
        "SET VARIABLE lake_root = (SELECT max(file) FROM glob(getvariable('lake') || '/{roots}/*.json'));\n\
         SET VARIABLE lake_later = (SELECT list(file ORDER BY file) FROM glob(getvariable('lake') || '/{commits}/*.json')\n\
         \x20 WHERE parse_filename(file) > coalesce(parse_filename(getvariable('lake_root')), ''));\n\
         CREATE OR REPLACE TEMP TABLE lake_commits AS SELECT * FROM query(if(getvariable('lake_later') IS NULL,\n\
         \x20 'SELECT NULL::UBIGINT AS seq, NULL::{files} AS added, NULL::{files} AS removed LIMIT 0',\n\
         \x20 'SELECT seq, added, removed FROM read_json(getvariable(''lake_later''), columns = {{seq: ''UBIGINT'',\n\
         \x20   added: ''{files}'', removed: ''{files}''}}, {json})'));\n\
         SET VARIABLE lake_parts = (SELECT list(getvariable('lake') || '/' || part.sum.path) FROM (SELECT unnest(flatten(map_values(\n\
         \x20 files.parts))) AS part FROM query(if(getvariable('lake_root') IS NULL,\n\
         \x20 'SELECT NULL::STRUCT(parts MAP(VARCHAR, STRUCT(sum STRUCT(path VARCHAR))[])) AS files LIMIT 0',\n\
         \x20 'SELECT files FROM read_json(getvariable(''lake_root''), columns = {{files:\n\
         \x20   ''STRUCT(parts MAP(VARCHAR, STRUCT(sum STRUCT(path VARCHAR))[]))''}}, {json})'))));\n\
         CREATE OR REPLACE TEMP TABLE lake_rooted AS SELECT * FROM query(if(getvariable('lake_parts') IS NULL,\n\
         \x20 'SELECT NULL::VARCHAR AS \"table\", NULL::VARCHAR AS path LIMIT 0',\n\
         \x20 'SELECT \"table\", path FROM read_parquet(getvariable(''lake_parts''), hive_partitioning = false)'));\n\
         CREATE OR REPLACE TEMP MACRO lake_files(name) AS (SELECT list(getvariable('lake') || '/' || path ORDER BY path) FROM\n\
         \x20 (SELECT unnest(flatten(map_extract(added, name))).path AS path FROM lake_commits\n\
         \x20  UNION ALL SELECT path FROM lake_rooted WHERE \"table\" = name)\n\
         \x20 WHERE path NOT IN (SELECT unnest(flatten(map_extract(removed, name))).path FROM lake_commits));\n"
    )
}

fn secret(options: &StoreOptions) -> String {
    let region = options.region.as_deref().unwrap_or("us-east-1");
    let endpoint = options.endpoint.as_deref().map_or(String::new(), |endpoint| {
        let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", endpoint));
        let style = if options.virtual_hosted { "vhost" } else { "path" };
        format!(", ENDPOINT '{}', URL_STYLE '{style}', USE_SSL {}", quoted(host), scheme == "https")
    });
    format!(
        "INSTALL httpfs; LOAD httpfs; INSTALL aws; LOAD aws;\n\
         CREATE OR REPLACE SECRET lake (TYPE s3, PROVIDER credential_chain, REGION '{}'{endpoint});\n",
        quoted(region)
    )
}

fn duckdb_type(arrow: &DataType) -> String {
    match arrow {
        DataType::Int64 => "BIGINT".into(),
        DataType::Int32 => "INTEGER".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Binary => "BLOB".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Timestamp(..) => "TIMESTAMPTZ".into(),
        DataType::List(item) => format!("{}[]", duckdb_type(item.data_type())),
        _ => "VARCHAR".into(),
    }
}
