//! What to paste into DuckDB, Polars, Spark or Athena to read a lake's tables (`lake sql`).
//!
//! A derived table is a view over its change log: of each row the last change, if that is +1.

mod athena;
mod duckdb;
mod polars;
mod spark;

use arrow::datatypes::SchemaRef;

use crate::lake::history::layout;

pub use athena::athena;
pub use duckdb::duckdb;
pub use polars::polars;
pub use spark::spark;

/// Numbers the changes of a row, the last one first: within a commit, +1 after -1. A change that takes a row back has the
/// row's own time, so it may stand among what tells rows apart: then a filter by it passes the window, and files are left
/// out.
fn latest(table: &str, schema: &SchemaRef) -> String {
    format!("row_number() OVER (PARTITION BY {} ORDER BY seq DESC, diff DESC)", row(table, schema).join(", "))
}

/// The columns that tell the rows of a derived table apart.
fn row(table: &str, schema: &SchemaRef) -> Vec<&'static str> {
    ["row_key"].into_iter().chain(layout::time_column(schema)).chain([layout::date_column(table)]).collect()
}

/// A derived table, for readers that cannot filter by a window function.
fn plain(table: &str, schema: &SchemaRef, quote: char) -> String {
    let columns = schema.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != "diff");
    let columns: Vec<String> =
        columns.chain([layout::date_column(table)]).map(|name| format!("{quote}{name}{quote}")).collect();
    format!(
        "SELECT {} FROM\n  (SELECT *, {} AS latest FROM {table}) WHERE latest = 1 AND diff = 1",
        columns.join(", "),
        latest(table, schema)
    )
}

/// Statements that make the derived tables known, as `create` says.
fn plain_views(create: &str, tables: &[(&str, SchemaRef)], quote: char) -> String {
    let view = |(table, schema): &(&str, SchemaRef)| {
        let name = layout::plain_table(table)?;
        Some(format!("{create} {name} AS {};\n", plain(table, schema, quote)))
    };
    tables.iter().filter_map(view).collect()
}

/// The names of the tables, and of that of the commits.
fn with_commits<'a>(tables: &[(&'a str, SchemaRef)]) -> impl Iterator<Item = &'a str> {
    tables.iter().map(|(table, _)| *table).chain([layout::COMMITS_TABLE])
}

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use citystream_dataflows::tables::Derived;

    use super::*;
    use crate::lake::store::Lake;
    use crate::lake::store::s3::StoreOptions;

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
    async fn every_reader_sees_a_derived_table_and_its_changes_and_the_commits() {
        let dir = tempfile::tempdir().unwrap();
        let lake = lake(&dir).await;
        let derived: Vec<Derived> = Derived::all().collect();
        let tables: Vec<_> = crate::columns::tables::with_schemas(&derived).collect();
        let duckdb = duckdb(&lake, &StoreOptions::default(), &tables);
        let polars = polars(&lake, &StoreOptions::default(), &tables);
        let spark = spark(&lake, 41, &tables);
        let athena = athena(&lake, &tables);
        for plain in derived.iter().map(|table| table.name()) {
            assert!(
                [&duckdb, &spark, &athena].iter().all(|text| text.contains(&format!("VIEW {plain} AS"))),
                "{plain}"
            );
            assert!(polars.contains(&format!("\n{plain} = plain(\"{plain}\", ")), "{polars}");
        }
        assert!(athena.contains("\"row_key\", \"event_time\"") && !athena.contains("\"diff\""), "{athena}");
        assert!(athena.contains("\"event_date\" FROM"), "{athena}");
        let pinned = spark.matches(" VERSION AS OF 41;").count();
        assert_eq!(pinned, tables.len() + 1, "every table, and the commits: {spark}");
        let commits = ["VIEW commits AS", "VIEW commits AS", "TABLE commits ", "\ncommits = table("];
        for (text, named) in [duckdb, spark, athena, polars].iter().zip(commits) {
            assert!(text.contains(named), "{text}");
        }
    }
}
