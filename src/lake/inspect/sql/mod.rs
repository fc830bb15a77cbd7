//! What to paste into DuckDB, Polars, Spark or Athena to read a lake's tables (`lake sql`).
//!
//! A derived table is three: `<table>_changes`, its change log; `<table>`, its sealed rows; and `<table>_now`, a view: what is
//! sealed, and of each row that is not, the last change, if that is +1.

mod athena;
mod duckdb;
mod polars;
mod spark;

use citystream_dataflows::tables::Derived;
use citystream_dataflows::time::Micros;

use crate::columns::tables::Table;
use crate::lake::history::layout::{COMMITS_TABLE, EVENT_DATE_COLUMN};

pub use athena::athena;
pub use duckdb::duckdb;
pub use polars::polars;
pub use spark::spark;

/// What of a lake is read.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Its derived tables.
    pub derived: Vec<Derived>,
    /// How far it was complete when it was looked at: what was final then is not looked for among changes.
    pub horizon: Option<Micros>,
}

impl Contents {
    /// Its tables with files: of records, changes, and sealed rows.
    fn tables(&self) -> impl Iterator<Item = Table> {
        Table::records().chain(self.derived.iter().flat_map(|table| Table::of(*table)))
    }

    /// Their names, and that of the table of commits.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.tables().map(Table::name).chain([COMMITS_TABLE])
    }

    /// The date from which on rows may still be open; `None`: any.
    fn open_from(&self, table: Derived) -> Option<String> {
        let time = table.sealing.all_before(self.horizon?);
        Some(jiff::Timestamp::from_microsecond(time).ok()?.strftime("%Y-%m-%d").to_string())
    }

    /// A derived table as it is now. A change that takes a row back has the row's own time, so that may stand among what tells
    /// rows apart: then a filter by it passes the window, and files are left out.
    fn now(&self, table: Derived, quote: char) -> String {
        let (name, row) = (table.name(), row(table).join(", "));
        let columns: Vec<String> = columns(table).map(|column| format!("{quote}{column}{quote}")).collect();
        let columns = columns.join(", ");
        let from = |condition: &str| {
            self.open_from(table)
                .map_or(String::new(), |from| format!(" {condition} {EVENT_DATE_COLUMN} >= DATE '{from}'"))
        };
        format!(
            "SELECT {columns} FROM {name}\n\
             \x20 UNION ALL SELECT {columns} FROM\n\
             \x20 (SELECT *, row_number() OVER (PARTITION BY {row} ORDER BY seq DESC, diff DESC) AS latest FROM {name}_changes{}) AS o\n\
             \x20 WHERE latest = 1 AND diff = 1 AND NOT EXISTS (SELECT 1 FROM {name} AS s WHERE s.row_key = o.row_key{})",
            from("WHERE"),
            from("AND")
        )
    }

    /// Statements that make the derived tables of now known, as `create` says.
    fn views_of_now(&self, create: &str, quote: char) -> String {
        let view = |table: &Derived| format!("{create} {}_now AS {};\n", table.name(), self.now(*table, quote));
        self.derived.iter().map(view).collect()
    }
}

/// The columns that tell the rows of a derived table apart.
fn row(table: Derived) -> [&'static str; 3] {
    ["row_key", table.time, EVENT_DATE_COLUMN]
}

/// The columns of a derived table, as readers see them.
fn columns(table: Derived) -> impl Iterator<Item = String> {
    let schema = crate::columns::tables::schema(Table::Sealed(table));
    let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    columns.into_iter().chain([EVENT_DATE_COLUMN.to_owned()])
}

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::history::versions::Published;
    use crate::lake::store::Lake;
    use crate::lake::store::StoreOptions;

    async fn lake(dir: &tempfile::TempDir) -> Lake {
        Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap()
    }

    fn contents(horizon: Option<Micros>) -> Contents {
        Contents { derived: Derived::all().collect(), horizon }
    }

    #[tokio::test]
    async fn local_sql_needs_no_extension_and_names_every_table() {
        let dir = tempfile::tempdir().unwrap();
        let sql = duckdb(&lake(&dir).await, &StoreOptions::default(), &contents(None));
        assert!(!sql.contains("INSTALL") && !sql.contains("//"), "{sql}");
        assert!(Table::all().all(|table| sql.contains(&format!("VIEW {} ", table.name()))));
        assert!(sql.contains("NULL::TIMESTAMPTZ AS \"event_time\"") && sql.contains("SET TimeZone = 'UTC';"), "{sql}");
    }

    #[tokio::test]
    async fn every_reader_sees_the_three_of_a_derived_table_and_the_commits() {
        let dir = tempfile::tempdir().unwrap();
        let (lake, contents) = (lake(&dir).await, contents(None));
        let duckdb = duckdb(&lake, &StoreOptions::default(), &contents);
        let polars = polars(&lake, &StoreOptions::default(), &contents);
        let spark = spark(&lake, Published { version: 41, seq: 43 }, &contents);
        let athena = athena(&lake, &contents);
        for name in Derived::all().map(Derived::name) {
            let is_view = |text: &&String| text.contains(&format!("VIEW {name}_now AS"));
            assert!([&duckdb, &spark, &athena].iter().all(is_view), "{name}");
            assert!(polars.contains(&format!("\n{name}_now = now({name:?}, ")), "{polars}");
            let is_table =
                |text: &&String| [format!(" {name} "), format!(" {name}_changes ")].iter().all(|t| text.contains(t));
            assert!([&duckdb, &spark, &athena].iter().all(is_table), "{name}");
        }
        assert!(athena.contains("\"row_key\", \"event_time\"") && !athena.contains("\"diff\""), "{athena}");
        assert!(athena.contains("\"event_date\" FROM"), "{athena}");
        let pinned = spark.matches(" VERSION AS OF 41;").count();
        assert_eq!(pinned, Table::all().count() + 1, "every table, and the commits: {spark}");
        let commits = ["VIEW commits AS", "VIEW commits AS", "TABLE commits ", "\ncommits = table("];
        for (text, named) in [duckdb, spark, athena, polars].iter().zip(commits) {
            assert!(text.contains(named), "{text}");
        }
    }

    #[tokio::test]
    async fn what_was_final_is_not_looked_for_among_changes() {
        let dir = tempfile::tempdir().unwrap();
        // 2026-06-03 00:30.
        let horizon = Some(1_780_446_600_000_000);
        let sql = athena(&lake(&dir).await, &contents(horizon));
        let since = |table: &str| {
            let view = sql.split(&format!("VIEW {table}_now AS")).nth(1).unwrap().split(';').next().unwrap();
            let dates: Vec<&str> = view.split("event_date >= DATE '").skip(1).map(|rest| &rest[..10]).collect();
            assert_eq!(dates.len(), 2, "{view}");
            assert_eq!(dates[0], dates[1]);
            dates[0].to_owned()
        };
        assert_eq!(since("enriched_pings"), "2026-06-03");
        assert_eq!(since("incident_exposures"), "2026-06-02", "it began an hour before, at most");
        assert_eq!(since("incidents"), "2026-06-01", "a life may last for 25 hours");
    }
}
