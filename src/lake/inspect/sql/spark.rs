//! Spark, by the Delta tables.

use arrow::datatypes::SchemaRef;

use super::plain;
use crate::lake::history::layout;
use crate::lake::store::Lake;

/// Statements that make a view of each table, all of the commit `seq`, whatever is committed meanwhile.
pub fn spark(lake: &Lake, seq: u64, tables: &[(&str, SchemaRef)]) -> String {
    let mut sql = format!(
        "-- Spark with io.delta:delta-spark: commit {seq} of the lake as views; `lake sql` again shows the newest one.\n\
         SET TIME ZONE 'UTC';\n"
    );
    for table in tables.iter().map(|(table, _)| *table).chain([layout::COMMITS_TABLE]) {
        let address = lake.address(&layout::table(table)).replacen("s3://", "s3a://", 1).replace('`', "``");
        sql +=
            &format!("CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM delta.`{address}` VERSION AS OF {seq};\n");
    }
    for (table, schema) in tables {
        if let Some(name) = layout::plain_table(table) {
            sql += &format!("CREATE OR REPLACE TEMP VIEW {name} AS {};\n", plain(table, schema, '`'));
        }
    }
    sql
}
