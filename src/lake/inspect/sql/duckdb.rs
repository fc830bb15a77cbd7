//! DuckDB needs no extension on a local lake: the live files are those of the newest root's parts and of the commits after
//! it, read once into variables, so that all tables are of one commit. A table without rows yet is an empty view.

use arrow::datatypes::{DataType, Schema};

use super::{Contents, quoted};
use crate::columns::tables::{commits, schema};
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
    sql += &format!("SET VARIABLE lake = '{root}';\n{}{}", live_files(lake), live_rows(lake));
    for (table, schema) in contents.tables().map(|table| (table.name(), schema(table))) {
        let columns = format!("{}, NULL::DATE AS {}", nothing(&schema), layout::date_column(table));
        sql += &format!("SET VARIABLE {table}_files = (SELECT lake_files('{table}'));\n{};\n", view(table, &columns));
    }
    sql += &contents.views_of_now("CREATE OR REPLACE TEMP VIEW", '"');
    let commits = view(layout::COMMITS_TABLE, &nothing(&commits::schema()));
    let last = "coalesce(max(seq), parse_filename(getvariable('lake_root'), true)::UBIGINT)";
    sql + &format!("{commits}\n\x20 WHERE seq <= (SELECT {last} FROM lake_commits);\n")
}

/// A view of the files in a variable, or where that has none of these columns.
fn view(table: &str, columns: &str) -> String {
    format!(
        "CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM query(if(getvariable('{table}_files') IS NULL,\n\
         \x20 'SELECT {columns} LIMIT 0',\n\
         \x20 'SELECT * FROM read_parquet(getvariable(''{table}_files''), hive_partitioning = true)'))"
    )
}

/// The columns of a table without a value.
fn nothing(schema: &Schema) -> String {
    let columns: Vec<_> =
        schema.fields().iter().map(|f| format!("NULL::{} AS \"{}\"", duckdb_type(f.data_type()), f.name())).collect();
    columns.join(", ")
}

/// Numbered files from a number on, as a variable of DuckDB's: a folder may hold hundreds of thousands, and is not listed.
struct Numbered<'a> {
    variable: &'a str,
    /// Below the lake.
    folder: &'a str,
    /// The first number, as an expression.
    first: &'a str,
}

/// So many names are looked for.
const AHEAD: u64 = 10_000;
/// So many names begin alike, for a store that lists by prefix. The first of them may be before the first that is wanted.
const ALIKE: u64 = 1_000;

impl Numbered<'_> {
    /// A directory is asked for each name, S3 for names that begin alike. Where nearly all are there, there may be more, as what they
    /// are counted from could not be written for long: then all are listed.
    fn find(&self, lake: &Lake) -> String {
        let Numbered { variable, folder, first } = self;
        let (of, names, shape) = match lake.local_root() {
            Some(_) => (first.to_string(), AHEAD, "{:020d}"),
            None => (format!("{first} // {ALIKE}"), AHEAD / ALIKE, "{:017d}*"),
        };
        format!(
            "SET VARIABLE {variable} = (SELECT list(format('{{}}/{folder}/{shape}.json', getvariable('lake'), n))\n\
             \x20 FROM range({of}, {of} + {names}) AS numbers(n));\n\
             SET VARIABLE {variable} = (SELECT if(count(*) < {}, getvariable('{variable}'), [getvariable('lake') || '/{folder}/*.json'])\n\
             \x20 FROM glob(getvariable('{variable}')));\n\
             SET VARIABLE {variable} = (SELECT list(file ORDER BY file) FROM glob(getvariable('{variable}'))\n\
             \x20 WHERE parse_filename(file) >= format('{{:020d}}', {first}));\n",
            AHEAD - ALIKE
        )
    }
}

/// The files of the table of commits: those of its last checkpoint, and what the versions after it do.
fn live_rows(lake: &Lake) -> String {
    let (table, log) = (layout::table(layout::COMMITS_TABLE), layout::delta_log(layout::COMMITS_TABLE));
    let first = "coalesce(getvariable('commits_checkpoint') + 1, 0)";
    let later = Numbered { variable: "commits_later", folder: &log, first };
    // What has no `*` S3 takes to be there.
    let any = if lake.local_root().is_some() { "" } else { "*" };
    let action = "STRUCT(path VARCHAR)";
    format!(
        "SET VARIABLE commits_checkpoint = (SELECT max(file) FROM glob(getvariable('lake') || '/{log}/_last_checkpoint{any}'));\n\
         SET VARIABLE commits_checkpoint = (SELECT max(version) FROM query(if(getvariable('commits_checkpoint') IS NULL,\n\
         \x20 'SELECT parse_filename(file)[:20]::BIGINT AS version FROM glob(getvariable(''lake'') || ''/{log}/*.checkpoint.parquet'')',\n\
         \x20 'SELECT version FROM read_json(getvariable(''commits_checkpoint''), columns = {{version: ''BIGINT''}})')));\n\
         {}\
         CREATE OR REPLACE TEMP TABLE commits_actions AS SELECT \"add\".path AS added, \"remove\".path AS removed\n\
         \x20 FROM query(if(getvariable('commits_later') IS NULL,\n\
         \x20 'SELECT NULL::{action} AS \"add\", NULL::{action} AS \"remove\" LIMIT 0',\n\
         \x20 'SELECT * FROM read_json(getvariable(''commits_later''), format = ''newline_delimited'',\n\
         \x20   columns = {{\"add\": ''{action}'', \"remove\": ''{action}''}})'))\n\
         \x20 UNION ALL SELECT \"add\".path, NULL FROM query(if(getvariable('commits_checkpoint') IS NULL,\n\
         \x20 'SELECT NULL::{action} AS \"add\" LIMIT 0',\n\
         \x20 'SELECT \"add\" FROM read_parquet(format(''{{}}/{log}/{{:020d}}.checkpoint.parquet'', getvariable(''lake''),\n\
         \x20   getvariable(''commits_checkpoint'')))'));\n\
         SET VARIABLE commits_files = (SELECT list(getvariable('lake') || '/{table}/' || added ORDER BY added)\n\
         \x20 FROM commits_actions WHERE added IS NOT NULL AND added NOT IN\n\
         \x20 (SELECT removed FROM commits_actions WHERE removed IS NOT NULL));\n",
        later.find(lake)
    )
}

/// What makes `lake_files` known, by the name of a table.
fn live_files(lake: &Lake) -> String {
    let roots = layout::SNAPSHOTS;
    let files = "MAP(VARCHAR, STRUCT(path VARCHAR)[])";
    let json = "format = ''newline_delimited'', maximum_object_size = 268435456";
    let first = "coalesce(parse_filename(getvariable('lake_root'), true)::BIGINT + 1, 0)";
    let later = Numbered { variable: "lake_later", folder: layout::COMMITS, first };
    format!(
        "SET VARIABLE lake_root = (SELECT max(file) FROM glob(getvariable('lake') || '/{roots}/*.json'));\n\
         {}\
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
         \x20 WHERE path NOT IN (SELECT unnest(flatten(map_extract(removed, name))).path FROM lake_commits));\n",
        later.find(lake)
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
        DataType::Struct(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|f| format!("\"{}\" {}", f.name(), duckdb_type(f.data_type()))).collect();
            format!("STRUCT({})", fields.join(", "))
        }
        DataType::List(item) => format!("{}[]", duckdb_type(item.data_type())),
        _ => "VARCHAR".into(),
    }
}
