//! Athena, by the Delta tables, as a catalogue knows them.

use super::{Contents, quoted};
use crate::lake::history::layout;
use crate::lake::store::Lake;

/// Statements that make the tables known, once; each query reads the newest version of each.
pub fn athena(lake: &Lake, contents: &Contents) -> String {
    let mut sql = String::from(
        "-- Athena: once, one statement at a time; each query reads the newest version. For one commit of all tables add\n\
         -- `seq <= N` to what is read of each table (N: select max(seq) from commits).\n",
    );
    for table in contents.names() {
        let address = quoted(&lake.address(&layout::table(table)));
        sql +=
            &format!("CREATE EXTERNAL TABLE {table} LOCATION '{address}/' TBLPROPERTIES ('table_type' = 'DELTA');\n");
    }
    sql + &contents.views_of_now("CREATE OR REPLACE VIEW", '"')
}
