//! Spark, by the Delta tables.

use super::Contents;
use crate::lake::history::layout;
use crate::lake::history::versions::Published;
use crate::lake::store::Lake;

/// Statements that make a view of each table, all at one version, whatever is committed meanwhile.
pub fn spark(lake: &Lake, Published { version, seq }: Published, contents: &Contents) -> String {
    let mut sql = format!(
        "-- Spark with io.delta:delta-spark: the lake as of commit {seq} as views; `lake sql` again shows the newest one.\n\
         SET TIME ZONE 'UTC';\n"
    );
    for table in contents.names() {
        let address = lake.address(&layout::table(table)).replacen("s3://", "s3a://", 1).replace('`', "``");
        sql += &format!(
            "CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM delta.`{address}` VERSION AS OF {version};\n"
        );
    }
    sql + &contents.views_of_now("CREATE OR REPLACE TEMP VIEW", '`')
}
