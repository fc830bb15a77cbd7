//! What to paste into DuckDB, Polars, Spark or Athena to read a lake's tables (`lake sql`).
//!
//! DuckDB needs no extension on a local lake: the live files are those added and not removed by the commits, read
//! once into variables, so that all tables are of one commit. A table without rows yet is an empty view.
//!
//! A derived table is a view over its change log: of each key the last change, if that is +1.

use arrow::datatypes::{DataType, SchemaRef};

use crate::lake::history::layout;
use crate::lake::store::Lake;
use crate::lake::store::s3::StoreOptions;

/// The last change of each key: within a commit, +1 after -1.
const LATEST: &str = "row_number() OVER (PARTITION BY row_key ORDER BY seq DESC, diff DESC)";

/// DuckDB statements that make a view of each table, all of the same commit; run again, they show the newest one.
pub fn duckdb(lake: &Lake, options: &StoreOptions, tables: &[(&str, SchemaRef)]) -> String {
    let root = quoted(lake.location());
    let mut sql = String::from(
        "-- DuckDB: one commit of the lake as views; paste again for the newest.\nSET TimeZone = 'UTC';\n",
    );
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
        if let Some(plain) = layout::plain_table(table) {
            sql += &format!(
                "CREATE OR REPLACE TEMP VIEW {plain} AS SELECT * EXCLUDE (diff) FROM {table}\n\
                 \x20 QUALIFY {LATEST} = 1 AND diff = 1;\n"
            );
        }
    }
    let commits = layout::table(layout::COMMITS_TABLE);
    sql += &format!(
        "CREATE OR REPLACE TEMP VIEW commits AS SELECT * FROM read_parquet(getvariable('lake') || '/{commits}/*.parquet')\n\
         \x20 WHERE seq <= (SELECT max(seq) FROM lake_commits);\n"
    );
    sql
}

/// Polars through `deltalake`: all tables at one version.
pub fn polars(lake: &Lake, options: &StoreOptions, tables: &[(&str, SchemaRef)]) -> String {
    let location = lake.location();
    let endpoint = options.endpoint.as_deref();
    let storage = match (lake.local_root(), endpoint) {
        (Some(_), _) => "{}".into(),
        (None, None) => "{\"AWS_REGION\": \"...\"}".into(),
        (None, Some(endpoint)) => format!("{{\"AWS_ENDPOINT_URL\": {endpoint:?}, \"AWS_ALLOW_HTTP\": \"true\"}}"),
    };
    let mut text = format!(
        "# Polars (pip install polars deltalake): the version is the commit; the same one for all tables is one commit.\n\
         import polars as pl\n\
         from deltalake import DeltaTable\n\n\
         lake, storage = {location:?}, {storage}\n\
         version = DeltaTable(f\"{{lake}}/{commits}\", storage_options=storage).version()\n\n\
         def table(name):\n\
         \x20   return pl.scan_delta(f\"{{lake}}/{all}/{{name}}\", version=version, storage_options=storage)\n\n\
         def plain(name):\n\
         \x20   last = table(f\"{{name}}{CHANGES}\").sort(\"seq\", \"diff\", descending=True).unique(\"row_key\", keep=\"first\", maintain_order=True)\n\
         \x20   return last.filter(pl.col(\"diff\") == 1).drop(\"diff\")\n\n",
        commits = layout::table(layout::COMMITS_TABLE),
        all = layout::TABLES,
        CHANGES = layout::CHANGES,
    );
    for (table, _) in tables {
        text += &match layout::plain_table(table) {
            None => format!("{table} = table({table:?})\n"),
            Some(plain) => format!("{table} = table({table:?})\n{plain} = plain({plain:?})\n"),
        };
    }
    text
}

/// Spark and Athena: both read the Delta tables.
pub fn spark(lake: &Lake, tables: &[(&str, SchemaRef)]) -> String {
    let (mut spark, mut athena) = (
        String::from(
            "-- Spark (with io.delta:delta-spark); for any commit: ... VERSION AS OF its number\nSET TIME ZONE 'UTC';\n",
        ),
        String::from("\n-- Athena\n"),
    );
    for (table, schema) in tables {
        let address = lake.address(&layout::table(table));
        let s3a = address.replacen("s3://", "s3a://", 1);
        spark += &format!("CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM delta.`{s3a}`;\n");
        athena +=
            &format!("CREATE EXTERNAL TABLE {table} LOCATION '{address}/' TBLPROPERTIES ('table_type' = 'DELTA');\n");
        if let Some(plain) = layout::plain_table(table) {
            spark += &format!("CREATE OR REPLACE TEMP VIEW {plain} AS {};\n", latest(table, schema, '`'));
            athena += &format!("CREATE OR REPLACE VIEW {plain} AS {};\n", latest(table, schema, '"'));
        }
    }
    spark + &athena
}

/// The plain table of a change log, for readers that cannot filter by a window function.
fn latest(table: &str, schema: &SchemaRef, quote: char) -> String {
    let columns = schema.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != "diff");
    let columns: Vec<String> =
        columns.chain([layout::date_column(table)]).map(|name| format!("{quote}{name}{quote}")).collect();
    format!(
        "SELECT {} FROM\n  (SELECT *, {LATEST} AS latest FROM {table}) WHERE latest = 1 AND diff = 1",
        columns.join(", ")
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
    use citystream_dataflows::tables::Derived;

    use super::*;

    async fn lake(dir: &tempfile::TempDir) -> Lake {
        Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap()
    }

    #[tokio::test]
    async fn local_sql_needs_no_extension_and_names_every_table() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::default();
        let lake = lake(&dir).await;
        let time = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
        let schema: SchemaRef = Schema::new(vec![Field::new("event_time", time, false)]).into();
        let tables: Vec<_> = layout::record_tables().map(|name| (name, schema.clone())).collect();
        let sql = duckdb(&lake, &options, &tables);
        assert!(!sql.contains("INSTALL") && !sql.contains("//"), "{sql}");
        assert!(layout::record_tables().all(|table| sql.contains(&format!("VIEW {table} "))));
        assert!(sql.contains("NULL::TIMESTAMPTZ AS \"event_time\"") && sql.contains("SET TimeZone = 'UTC';"), "{sql}");
    }

    #[tokio::test]
    async fn every_reader_sees_a_derived_table_and_its_changes() {
        let dir = tempfile::tempdir().unwrap();
        let lake = lake(&dir).await;
        let derived: Vec<Derived> = Derived::all().collect();
        let tables: Vec<_> = crate::columns::tables::with_schemas(&derived).collect();
        let duckdb = duckdb(&lake, &StoreOptions::default(), &tables);
        let polars = polars(&lake, &StoreOptions::default(), &tables);
        let spark = spark(&lake, &tables);
        let (spark, athena) = spark.split_once("-- Athena").unwrap();
        for plain in derived.into_iter().map(Derived::name) {
            assert!([&duckdb, spark, athena].iter().all(|text| text.contains(&format!("VIEW {plain} AS"))), "{plain}");
            assert!(polars.contains(&format!("\n{plain} = plain(\"{plain}\")\n")), "{polars}");
        }
        assert!(athena.contains("\"row_key\", \"event_time\"") && !athena.contains("\"diff\""), "{athena}");
        assert!(athena.contains("\"event_date\" FROM"), "{athena}");
    }
}
