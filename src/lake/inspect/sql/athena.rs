//! Athena, by the Delta tables, as a catalogue knows them.

use arrow::datatypes::SchemaRef;

use super::{plain_views, quoted, with_commits};
use crate::lake::history::layout;
use crate::lake::store::Lake;

/// Statements that make the tables known, once; each query reads the newest version of each.
pub fn athena(lake: &Lake, tables: &[(&str, SchemaRef)]) -> String {
    let mut sql = String::from(
        "-- Athena: once, one statement at a time; each query reads the newest version. For one commit of all tables add\n\
         -- `seq <= N` to what is read of the change logs and tables of records (N: select max(seq) from commits).\n",
    );
    for table in with_commits(tables) {
        let address = quoted(&lake.address(&layout::table(table)));
        sql +=
            &format!("CREATE EXTERNAL TABLE {table} LOCATION '{address}/' TBLPROPERTIES ('table_type' = 'DELTA');\n");
    }
    sql + &plain_views("CREATE OR REPLACE VIEW", tables, '"')
}
