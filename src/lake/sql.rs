//! What to paste into DuckDB, Polars, Spark or Athena to read a lake's tables (`lake sql`).
//!
//! DuckDB needs no extension on a local lake: the live files are those added and not removed by the commits, read
//! once into variables, so that all tables are of one commit. A table without rows yet is an empty view.

use arrow::datatypes::{DataType, SchemaRef};

use crate::lake::layout;
use crate::lake::store::{Lake, StoreOptions};

/// DuckDB statements that make a view of each table, all of the same commit; run again, they show the newest one.
pub fn duckdb(lake: &Lake, options: &StoreOptions, tables: &[(&str, SchemaRef)]) -> String {
    let root = quoted(lake.location());
    let mut sql = String::from("-- DuckDB: one commit of the lake as views; paste again for the newest.\n");
    if lake.local_root().is_none() {
        sql += &secret(options);
    }
    sql += &format!(
        "SET VARIABLE lake = '{root}';\n\
         CREATE OR REPLACE TEMP TABLE lake_commits AS SELECT * FROM read_json(getvariable('lake') || '/{}/*.json',\n\
         \x20 columns = {{seq: 'UBIGINT', added: 'MAP(VARCHAR, STRUCT(path VARCHAR)[])', removed: 'MAP(VARCHAR, VARCHAR[])'}},\n\
         \x20 format = 'newline_delimited', maximum_object_size = 268435456);\n\
         CREATE OR REPLACE TEMP MACRO lake_files(name) AS (\n\
         \x20 SELECT list(getvariable('lake') || '/' || path ORDER BY path) FROM\n\
         \x20   (SELECT unnest(flatten(map_extract(added, name))).path AS path FROM lake_commits) WHERE path NOT IN\n\
         \x20   (SELECT unnest(flatten(map_extract(removed, name))) FROM lake_commits));\n",
        layout::COMMITS
    );
    for (table, schema) in tables {
        let columns: Vec<_> =
            schema.fields().iter().map(|f| format!("NULL::{} AS {}", duckdb_type(f.data_type()), f.name())).collect();
        sql += &format!(
            "SET VARIABLE {table}_files = (SELECT lake_files('{table}'));\n\
             CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM query(if(getvariable('{table}_files') IS NULL,\n\
             \x20 'SELECT {}, NULL::DATE AS {} LIMIT 0',\n\
             \x20 'SELECT * FROM read_parquet(getvariable(''{table}_files''), hive_partitioning = true)'));\n",
            columns.join(", "),
            layout::DATE_COLUMN
        );
    }
    let commits = layout::table(layout::COMMITS_TABLE);
    sql += &format!(
        "CREATE OR REPLACE TEMP VIEW commits AS SELECT * FROM read_parquet(getvariable('lake') || '/{commits}/*.parquet')\n\
         \x20 WHERE seq <= (SELECT max(seq) FROM lake_commits);\n"
    );
    sql
}

/// Polars through `deltalake`: all tables at one version.
pub fn polars(lake: &Lake, options: &StoreOptions) -> String {
    let (location, table) = (lake.location(), layout::table("raw_gps"));
    let endpoint = options.endpoint.as_deref();
    let storage = match (lake.local_root(), endpoint) {
        (Some(_), _) => String::new(),
        (None, None) => ", storage_options={\"AWS_REGION\": \"...\"}".into(),
        (None, Some(endpoint)) => {
            format!(", storage_options={{\"AWS_ENDPOINT_URL\": {endpoint:?}, \"AWS_ALLOW_HTTP\": \"true\"}}")
        }
    };
    format!(
        "# Polars (pip install polars deltalake): the version is the commit; the same one for all tables is one commit.\n\
         import polars as pl\n\
         from deltalake import DeltaTable\n\
         version = DeltaTable(\"{location}/{table}\"{storage}).version()\n\
         pl.scan_delta(\"{location}/{table}\", version=version{storage}).collect()\n"
    )
}

/// Spark and Athena: both read the Delta tables.
pub fn spark(lake: &Lake) -> String {
    let table = lake.address(&layout::table("raw_gps"));
    let s3a = table.replacen("s3://", "s3a://", 1);
    format!(
        "-- Spark (with io.delta:delta-spark)\n\
         SELECT * FROM delta.`{s3a}` VERSION AS OF 0;  -- any commit's number; without VERSION the newest\n\n\
         -- Athena\n\
         CREATE EXTERNAL TABLE raw_gps LOCATION '{table}/' TBLPROPERTIES ('table_type' = 'DELTA');\n"
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

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[tokio::test]
    async fn local_sql_needs_no_extension_and_names_every_table() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::default();
        let lake = Lake::open(&dir.path().to_string_lossy(), &options).await.unwrap();
        let time = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
        let schema: SchemaRef = Schema::new(vec![Field::new("event_time", time, false)]).into();
        let tables: Vec<_> = layout::record_tables().map(|name| (name, schema.clone())).collect();
        let sql = duckdb(&lake, &options, &tables);
        assert!(!sql.contains("INSTALL") && !sql.contains("//"), "{sql}");
        assert!(layout::record_tables().all(|table| sql.contains(&format!("VIEW {table} "))));
        assert!(sql.contains("NULL::TIMESTAMPTZ AS event_time"));
    }
}
