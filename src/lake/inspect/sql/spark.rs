//! Spark, by the Delta tables.

use arrow::datatypes::SchemaRef;

use super::{plain_views, with_commits};
use crate::lake::history::layout;
use crate::lake::store::Lake;

/// Statements that make a view of each table, all of the commit `seq`, whatever is committed meanwhile.
pub fn spark(lake: &Lake, seq: u64, tables: &[(&str, SchemaRef)]) -> String {
    let mut sql = format!(
        "-- Spark with io.delta:delta-spark: commit {seq} of the lake as views; `lake sql` again shows the newest one.\n\
         SET TIME ZONE 'UTC';\n"
    );
    for table in with_commits(tables) {
        let address = lake.address(&layout::table(table)).replacen("s3://", "s3a://", 1).replace('`', "``");
        sql +=
            &format!("CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM delta.`{address}` VERSION AS OF {seq};\n");
    }
    sql + &plain_views("CREATE OR REPLACE TEMP VIEW", tables, '`')
}
